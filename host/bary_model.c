/* bary_model.c - models under their public name. */
#include <string.h>

#include "host/bary.h"
#include "host/bary_call.h"
#include "host/base/memory.h"

static struct bary_model *public_model(struct model *model)
{
    return (struct bary_model *)(void *)model;
}

/* How a function that makes a model ends. */
static int model_end(enum status status, struct model *model, struct bary_model **out,
                     const struct error *inner, struct bary_error *error)
{
    if (status == STATUS_OK)
        *out = public_model(model);
    return call_end(status, inner, error);
}

int bary_model_of_centers(const double *centers, int64_t n_clusters, int64_t columns,
                          enum bary_dtype dtype, struct bary_model **out, struct bary_error *error)
{
    struct model *model = NULL;
    struct error inner;
    enum status status;

    if (dtype != BARY_F32 && dtype != BARY_F64)
        return call_end(FAIL(&inner, UNKNOWN_VALUE, TEXT("what", "dtype"), INT("value", dtype),
                             TEXT("known", "float32 (1), float64 (2)")),
                        &inner, error);
    status = model_of_centers(centers, n_clusters, columns,
                              dtype == BARY_F32 ? NUMBER_F32 : NUMBER_F64, &model, &inner);
    return model_end(status, model, out, &inner, error);
}

struct bary_model *bary_model_share(struct bary_model *model)
{
    model_pin((struct model *)(void *)model);
    return model;
}

void bary_model_free(struct bary_model **model)
{
    struct model *inner = (struct model *)(void *)*model;

    *model = NULL;
    model_unpin(&inner);
}

int bary_model_save(const struct bary_model *model, const char *path, struct bary_error *error)
{
    struct error inner;

    return call_end(model_write_file(call_model(model), path, &inner), &inner, error);
}

int bary_model_load(const char *path, struct bary_model **out, struct bary_error *error)
{
    struct model *model = NULL;
    struct error inner;
    enum status status = model_read_file(path, &model, &inner);

    return model_end(status, model, out, &inner, error);
}

int bary_model_encode(const struct bary_model *model, void **bytes, size_t *count,
                      struct bary_error *error)
{
    struct error inner;

    return call_end(model_encode(call_model(model), bytes, count, &inner), &inner, error);
}

int bary_model_decode(const void *bytes, size_t count, struct bary_model **out,
                      struct bary_error *error)
{
    struct model *model = NULL;
    struct error inner;
    enum status status = model_decode("the model", bytes, count, &model, &inner);

    return model_end(status, model, out, &inner, error);
}

void bary_bytes_free(void *bytes)
{
    memory_free(bytes);
}

void bary_model_describe(const struct bary_model *model, struct bary_model_info *out)
{
    const struct model *it = call_model(model);

    *out = (struct bary_model_info){
        .n_clusters = it->n_clusters,
        .columns = it->columns,
        .cluster_centers = it->centers,
        .sizes = it->sizes,
        .rows = it->rows,
        .n_iter = it->n_iter,
        .inertia = it->inertia,
    };
}
