/* convert_store.c - views of datasets and models as messages. */
#include <string.h>

#include "rpc/convert.h"
#include "rpc/names.h"

/* With centers of 3 MiB these leave a reply under 4 MiB. */
enum { SIZES_MAX = 65536, NAMES_BYTES_MAX = 256 << 10 };

static Bary__V1__Schema *schema_new(struct arena *arena, const struct dataset_view *view)
{
    Bary__V1__Schema *out = message_new(arena, &bary__v1__schema__descriptor);

    if (!out)
        return NULL;
    out->columns = array_new(arena, (size_t)view->columns, sizeof *out->columns);
    for (int c = 0; out->columns && c < view->columns; c++) {
        Bary__V1__Column *column = message_new(arena, &bary__v1__column__descriptor);
        if (!column)
            return NULL;
        column->name = arena_text(arena, view->column[c].name);
        column->dtype = (Bary__V1__DType)view->column[c].dtype;
        column->width = view->column[c].width;
        if (!column->name)
            return NULL;
        out->columns[out->n_columns++] = column;
    }
    return out->columns ? out : NULL;
}

Bary__V1__Dataset *dataset_new_message(struct arena *arena, const struct principal *principal,
                                       const struct dataset_view *view)
{
    Bary__V1__Dataset *out = message_new(arena, &bary__v1__dataset__descriptor);
    char name[HANDLE_BYTES];

    if (!out)
        return NULL;
    out->name = arena_text(arena, name_print(principal, THING_DATASET, view->name, 0, name));
    out->upload_id = arena_text(arena, view->state == DATASET_SEALED ? "" : view->upload);
    out->state = (Bary__V1__DatasetState)view->state;
    out->encoding = (Bary__V1__Encoding)view->encoding;
    out->schema = schema_new(arena, view);
    out->rows = view->rows;
    out->bytes = view->bytes;
    out->content_hash = arena_text(arena, view->content_hash);
    out->pins = view->pins;
    out->ttl = message_new(arena, &google__protobuf__duration__descriptor);
    out->created = timestamp_new(arena, view->created_wall_ns);
    out->volatile_ = 1;
    if (!out->name || !out->upload_id || !out->schema || !out->content_hash || !out->ttl)
        return NULL;
    out->ttl->seconds = view->ttl_s;
    return out;
}

static bool names_fit(const struct model *model)
{
    size_t bytes = 0;

    for (int64_t c = 0; c < model->columns; c++)
        bytes += strlen(model->column_names[c]) + 2;
    return bytes <= NAMES_BYTES_MAX;
}

static bool model_fill(struct arena *arena, const struct model *model, bool whole,
                       Bary__V1__Model *out)
{
    unsigned char *fingerprint = array_new(arena, sizeof model->fingerprint, 1);

    if (!fingerprint)
        return false;
    memcpy(fingerprint, &model->fingerprint, sizeof model->fingerprint);
    out->label_fingerprint = (ProtobufCBinaryData){sizeof model->fingerprint, fingerprint};
    out->n_init = model->n_init;
    out->max_iter = model->max_iter;
    out->tol = model->tol;
    out->random_state = model->random_state;
    out->stop = (Bary__V1__StopReason)model->stop;
    out->numerics_version = model->numerics;
    out->init = (Bary__V1__Init)model->init;
    out->algorithm = (Bary__V1__Algorithm)model->algorithm;
    if (!whole)
        return true;
    if (model->n_clusters * model->columns * (int64_t)sizeof(double) <= INLINE_BYTES_MAX) {
        out->cluster_centers = matrix_new(arena, BARY__V1__DTYPE__DTYPE_F64, model->n_clusters,
                                          model->columns, model->centers);
        if (!out->cluster_centers)
            return false;
    }
    out->sizes_omitted = model->sizes && model->n_clusters > SIZES_MAX;
    if (model->sizes && !out->sizes_omitted) {
        out->sizes = model->sizes;
        out->n_sizes = (size_t)model->n_clusters;
    }
    out->column_names_omitted = model->column_names && !names_fit(model);
    if (model->column_names && !out->column_names_omitted) {
        out->column_names = model->column_names;
        out->n_column_names = (size_t)model->columns;
    }
    return true;
}

Bary__V1__Model *model_new_message(struct arena *arena, const struct principal *principal,
                                   const struct model_view *view, bool whole)
{
    Bary__V1__Model *out = message_new(arena, &bary__v1__model__descriptor);
    char name[HANDLE_BYTES];

    if (!out)
        return NULL;
    out->name =
        arena_text(arena, name_print(principal, THING_MODEL, view->name, view->version, name));
    out->version = view->version;
    out->bytes = view->bytes;
    out->content_hash = arena_text(arena, view->content_hash);
    out->created = timestamp_new(arena, view->created_wall_ns);
    out->n_clusters = view->n_clusters;
    out->columns = view->columns;
    out->rows = view->rows;
    out->n_iter = view->n_iter;
    out->inertia = view->inertia;
    out->dtype =
        view->number == NUMBER_F32 ? BARY__V1__DTYPE__DTYPE_F32 : BARY__V1__DTYPE__DTYPE_F64;
    if (!out->name || !out->content_hash ||
        (view->model && !model_fill(arena, view->model, whole, out)))
        return NULL;
    return out;
}
