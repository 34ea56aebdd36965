/* model.c - a fitted model and its bytes.
 *
 * Payload of format 1, in codec.h's frame, all numbers little-endian:
 *
 *      0   4 x 6  numerics, algorithm, init, number, stop, non_finite
 *     24   8 x 7  n_clusters K, columns D, rows, n_iter, n_init, max_iter, created_wall_ns
 *     80   8 x 3  tol, inertia, random_state
 *    104     16   fingerprint of the labels
 *    120   8 x 2  length H of the history; number of column names: D or 0
 *    136   8 K D  centers, row-major; 8 K sizes; 8 H history
 *           each  a column name: 8 its bytes n, n bytes of UTF-8
 */
#include "host/cluster/model.h"

#include <math.h>
#include <string.h>

#include "host/base/clock.h"
#include "host/base/file.h"
#include "host/base/memory.h"
#include "host/cluster/codec.h"
#include "host/cluster/weights.h"
#include "proto/limits.h"

static const char MAGIC[8] = "BARYMODL";

static enum status no_memory(const char *what, int64_t bytes, struct error *error)
{
    return FAIL(error, OUT_OF_MEMORY, TEXT("what", what), INT("needed", bytes),
                INT("retry_ms", 1000));
}

static void names_free(char **names, int64_t columns)
{
    for (int64_t d = 0; names && d < columns; d++)
        memory_free(names[d]);
    memory_free(names);
}

void model_pin(struct model *model)
{
    __atomic_add_fetch(&model->pins, 1, __ATOMIC_RELAXED);
}

void model_unpin(struct model **model)
{
    struct model *last = *model;

    *model = NULL;
    if (!last || __atomic_sub_fetch(&last->pins, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    memory_free(last->centers);
    memory_free(last->sizes);
    memory_free(last->history);
    names_free(last->column_names, last->columns);
    memory_free(last);
}

static void *copied(const void *data, int64_t count, size_t size)
{
    void *copy = memory_new((size_t)count, size);

    if (copy && count > 0)
        memcpy(copy, data, (size_t)count * size);
    return copy;
}

static char **names_copied(const char *const *names, int64_t columns)
{
    char **copy = memory_zeroed((size_t)columns, sizeof *copy);

    for (int64_t d = 0; copy && d < columns; d++)
        if (!(copy[d] = text_copy(names[d]))) {
            names_free(copy, columns);
            return NULL;
        }
    return copy;
}

/* Gives the model memory of its own for what its pointers borrow; one pin. */
static enum status model_own(const struct model *borrowed, const char *const *names,
                             struct model **out, struct error *error)
{
    struct model *model = memory_new(1, sizeof *model);
    int64_t values = borrowed->n_clusters * borrowed->columns;

    if (!model)
        return no_memory("a model", sizeof *model, error);
    *model = *borrowed;
    model->pins = 1;
    model->created_wall_ns = clock_wall_ns();
    model->centers = copied(borrowed->centers, values, sizeof *model->centers);
    model->sizes = copied(borrowed->sizes, borrowed->n_clusters, sizeof *model->sizes);
    model->history = copied(borrowed->history, borrowed->history_count, sizeof *model->history);
    model->column_names = names ? names_copied(names, borrowed->columns) : NULL;
    if (!model->centers || !model->sizes || !model->history || (names && !model->column_names)) {
        model_unpin(&model);
        return no_memory("a model", values * (int64_t)sizeof(double), error);
    }
    *out = model;
    return STATUS_OK;
}

enum status model_of_result(const struct kmeans_result *result, const struct kmeans_params *params,
                            const char *const *column_names, struct model **out,
                            struct error *error)
{
    const struct model borrowed = {
        .numerics = NUMERICS_VERSION,
        .algorithm = ALGORITHM_LLOYD,
        .init = result->init,
        .number = result->number,
        .n_clusters = result->n_clusters,
        .columns = result->columns,
        .rows = result->rows,
        .n_iter = result->n_iter,
        .n_init = result->n_init,
        .max_iter = params->max_iter,
        .tol = params->tol,
        .inertia = result->inertia,
        .random_state = result->random_state,
        .stop = result->stop,
        .non_finite = params->non_finite,
        .fingerprint = result->fingerprint,
        .centers = result->centers,
        .sizes = result->sizes,
        .history_count = result->history ? result->n_iter : 0,
        .history = result->history,
    };
    return model_own(&borrowed, column_names, out, error);
}

enum status model_of_centers(const double *centers, int64_t n_clusters, int64_t columns,
                             enum number number, struct model **out, struct error *error)
{
    enum status status;
    struct model borrowed = {.numerics = NUMERICS_VERSION,
                             .algorithm = ALGORITHM_LLOYD,
                             .init = INIT_CENTERS,
                             .number = number,
                             .n_clusters = n_clusters,
                             .columns = columns};

    if (n_clusters < 1 || n_clusters > CLUSTERS_MAX)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "the number of centers"),
                    INT("value", n_clusters), TEXT("limit", "1 to 1048576"));
    if (columns < 1 || columns > COLUMNS_MAX)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "the number of columns"),
                    INT("value", columns), TEXT("limit", "1 to 65536"));
    borrowed.centers = copied(centers, n_clusters * columns, sizeof *centers);
    borrowed.sizes = memory_zeroed((size_t)n_clusters, sizeof *borrowed.sizes);
    status = borrowed.centers && borrowed.sizes
                 ? STATUS_OK
                 : no_memory("a model", n_clusters * columns * (int64_t)sizeof *centers, error);
    if (status == STATUS_OK)
        status = centers_check("centers", borrowed.centers, n_clusters, columns, error);
    if (status == STATUS_OK)
        status = model_own(&borrowed, NULL, out, error);
    memory_free(borrowed.centers);
    memory_free(borrowed.sizes);
    return status;
}

/* Enums lie as int32. */
static void word(struct codec *codec, int *value, int least, int most, const char *why)
{
    int32_t number = *value;

    codec_i32(codec, &number);
    *value = number;
    codec_in(codec, number, least, most, why);
}

static void head(struct codec *codec, struct model *model)
{
    int algorithm = (int)model->algorithm, init = (int)model->init, number = (int)model->number,
        stop = (int)model->stop, non_finite = (int)model->non_finite;

    codec_i32(codec, &model->numerics);
    word(codec, &algorithm, ALGORITHM_LLOYD, ALGORITHM_LLOYD, "unknown algorithm");
    word(codec, &init, INIT_AUTO, INIT_CENTERS, "unknown init");
    word(codec, &number, NUMBER_F32, NUMBER_F64, "unknown number type");
    word(codec, &stop, STOP_NONE, STOP_FIXED_ROUNDS, "unknown stop reason");
    word(codec, &non_finite, NON_FINITE_REJECT, NON_FINITE_SKIP, "unknown rule for NaN");
    model->algorithm = (enum algorithm)algorithm;
    model->init = (enum init)init;
    model->number = (enum number)number;
    model->stop = (enum stop_reason)stop;
    model->non_finite = (enum non_finite)non_finite;
}

static void count(struct codec *codec, int64_t *value, int64_t least, int64_t most, const char *why)
{
    codec_i64(codec, value);
    codec_in(codec, *value, least, most, why);
}

static void body(struct codec *codec, struct model *model)
{
    count(codec, &model->n_clusters, 1, CLUSTERS_MAX, "n_clusters is out of range");
    count(codec, &model->columns, 1, COLUMNS_MAX, "columns is out of range");
    count(codec, &model->rows, 0, ROWS_MAX, "rows is out of range");
    count(codec, &model->n_iter, 0, ITERATIONS_MAX, "n_iter is out of range");
    count(codec, &model->n_init, 0, N_INIT_MAX, "n_init is out of range");
    count(codec, &model->max_iter, 0, ITERATIONS_MAX, "max_iter is out of range");
    codec_i64(codec, &model->created_wall_ns);
    codec_f64(codec, &model->tol);
    codec_f64(codec, &model->inertia);
    codec_u64(codec, &model->random_state);
    codec_bytes(codec, &model->fingerprint, sizeof model->fingerprint);
    count(codec, &model->history_count, 0, model->n_iter, "the history is longer than n_iter");
}

/* What a fields function needs beside the model. */
struct model_fields {
    struct model *model;
    bool oom;
};

static void array(struct codec *codec, void *pointer, int64_t length, size_t size, bool *oom)
{
    void *data;

    memcpy(&data, pointer, sizeof data);
    data = codec_array(codec, data, length, size, oom);
    memcpy(pointer, &data, sizeof data);
    if (data)
        codec_bytes(codec, data, (size_t)length * size);
}

static void name(struct codec *codec, char **text, bool *oom)
{
    int64_t bytes = *text ? (int64_t)strlen(*text) : 0;

    count(codec, &bytes, 0, STRING_BYTES_MAX, "a column name is too long");
    if (codec->mode == CODEC_READ) { /* one byte more, for the end of the string */
        *text = codec->mistake ? NULL : memory_zeroed((size_t)bytes + 1, 1);
        *oom = *oom || (!codec->mistake && !*text);
    }
    if (!*text)
        return;
    codec_bytes(codec, *text, (size_t)bytes);
    if (strlen(*text) != (size_t)bytes)
        codec_refuse(codec, "a column name holds a zero byte");
}

static void names(struct codec *codec, struct model_fields *fields, int64_t names_count)
{
    struct model *model = fields->model;

    if (names_count == 0)
        return;
    if (codec->mode == CODEC_READ && !codec->mistake) {
        model->column_names = memory_zeroed((size_t)model->columns, sizeof *model->column_names);
        fields->oom = fields->oom || !model->column_names;
    }
    for (int64_t d = 0; model->column_names && d < model->columns && !codec->mistake; d++)
        name(codec, &model->column_names[d], &fields->oom);
}

static void model_fields(struct codec *codec, void *thing)
{
    struct model_fields *fields = thing;
    struct model *model = fields->model;
    int64_t names_count = model->column_names ? model->columns : 0;

    head(codec, model);
    body(codec, model);
    codec_i64(codec, &names_count);
    if (names_count != 0 && names_count != model->columns)
        codec_refuse(codec, "the number of column names is not the number of columns");
    int64_t values = codec->mistake ? 0 : model->n_clusters * model->columns; /* both in range */
    array(codec, &model->centers, values, sizeof(double), &fields->oom);
    array(codec, &model->sizes, model->n_clusters, sizeof(int64_t), &fields->oom);
    array(codec, &model->history, model->history_count, sizeof(double), &fields->oom);
    names(codec, fields, names_count);
}

enum status model_encode(const struct model *model, void **bytes, size_t *bytes_count,
                         struct error *error)
{
    struct model copy = *model; /* writing changes nothing, but reads share the code */
    struct model_fields fields = {.model = &copy};

    return codec_encode("a model", MAGIC, MODEL_FORMAT, model_fields, &fields, bytes, bytes_count,
                        error);
}

/* What no length and no crc can tell. */
static void contents_check(struct codec *codec, const struct model *model)
{
    for (int64_t j = 0; j < model->n_clusters; j++)
        codec_in(codec, model->sizes[j], 0, model->rows, "the size of a cluster is out of range");
    if (!(model->tol >= 0 && isfinite(model->tol)))
        codec_refuse(codec, "tol is out of range");
    if (!(model->inertia >= 0))
        codec_refuse(codec, "inertia is out of range");
    for (int64_t i = 0; i < model->n_clusters * model->columns; i++)
        if (model->centers[i] == 0 && signbit(model->centers[i]))
            codec_refuse(codec,
                         "a center is -0, which no fit leaves"); /* +0 would be other bytes */
    if (centers_check("centers", model->centers, model->n_clusters, model->columns, NULL) !=
        STATUS_OK)
        codec_refuse(codec, "a center is not finite or beyond 2^500");
}

enum status model_decode(const char *what, const void *bytes, size_t bytes_count,
                         struct model **out, struct error *error)
{
    enum status status;
    struct codec codec;
    struct model *model = memory_zeroed(1, sizeof *model);
    struct model_fields fields = {.model = model};

    if (!model)
        return no_memory("a model", sizeof *model, error);
    model->pins = 1;
    TRY(codec_open(&codec, what, MAGIC, MODEL_FORMAT, bytes, bytes_count, error));
    model_fields(&codec, &fields);
    if (fields.oom)
        TRY(no_memory("a model", (int64_t)codec.payload, error));
    if (!codec.mistake)
        contents_check(&codec, model);
    TRY(codec_done(&codec, error));
    *out = model;
    model = NULL;
out:
    model_unpin(&model);
    return status;
}

enum status model_write_file(const struct model *model, const char *path, struct error *error)
{
    enum status status;
    struct file *file = NULL;
    void *bytes = NULL;
    size_t bytes_count;

    TRY(model_encode(model, &bytes, &bytes_count, error));
    TRY(file_create(path, &file, error));
    TRY(file_write(file, bytes, bytes_count, error));
    TRY(file_adopt(&file, error));
out:
    file_discard(&file);
    memory_free(bytes);
    return status;
}

enum status model_read_file(const char *path, struct model **out, struct error *error)
{
    enum status status;
    void *bytes = NULL;
    size_t bytes_count;

    TRY(file_read_all(path, SIZE_MAX, &bytes, &bytes_count, error));
    TRY(model_decode(path, bytes, bytes_count, out, error));
out:
    memory_free(bytes);
    return status;
}
