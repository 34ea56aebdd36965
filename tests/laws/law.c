#include "tests/laws/law.h"

#include <math.h>

#include "host/base/memory.h"
#include "kernels/grid.h"
#include "tests/tested.h"

static void machine_add(struct check *check, struct machines *machines, const char *backend,
                        const char *isa, int threads)
{
    struct device_options options = {.threads = threads, .isa = isa};
    struct machine *machine = &machines->machine[machines->count];
    struct device_info info;

    machine->backend = backend_named(backend);
    if (!machine->backend ||
        machine->backend->open(0, &options, &machine->device, NULL) != STATUS_OK)
        return;
    machine->backend->describe(machine->device, &info);
    if (isa && strcmp(info.isa, isa) != 0) { /* a ceiling: the machine has less */
        machine->backend->close(&machine->device);
        return;
    }
    snprintf(machine->name, sizeof machine->name, "%s %s %d", backend, info.isa, threads);
    check_true(check, machines->count < MACHINES_MAX - 1);
    machines->count++;
}

/* The plug-in's device, its tiles as it likes and cut small. */
static void plugin_add(struct check *check, struct machines *machines)
{
    static const struct {
        enum residency residency;
        int tile_rows;
        const char *name;
    } rungs[] = {{RESIDENT, 0, "resident"},
                 {RESIDENT_SMALL, 0, "small tiles"},
                 {STREAMED, 37, "streamed by 37"}};

    for (size_t i = 0; i < sizeof rungs / sizeof *rungs; i++) {
        struct machine *machine = &machines->machine[machines->count];
        check_true(check, machines->count < MACHINES_MAX - 1);
        *machine = (struct machine){.backend = tested_backend(),
                                    .device = tested_device(rungs[i].tile_rows),
                                    .residency = rungs[i].residency,
                                    .stays = true};
        snprintf(machine->name, sizeof machine->name, "%s %s", machine->backend->name,
                 rungs[i].name);
        machines->count++;
    }
}

struct machines machines_open(struct check *check, const int *threads)
{
    static const char *const isas[] = {"plain", "avx2", "avx512", "neon"};
    struct machines machines = {0};

    machine_add(check, &machines, "ref", NULL, 1);
    if (tested_backend()) {
        machine_add(check, &machines, "cpu", NULL, threads[0]);
        plugin_add(check, &machines);
        return machines;
    }
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
        for (const int *t = threads; *t; t++)
            machine_add(check, &machines, "cpu", isas[i], *t);
    check_true(check, machines.count >= 2);
    return machines;
}

void machines_close(struct machines *machines)
{
    for (int i = 0; i < machines->count; i++)
        if (!machines->machine[i].stays)
            machines->machine[i].backend->close(&machines->machine[i].device);
    machines->count = 0;
}

const struct machine *machine_tested(const struct machines *machines)
{
    return &machines->machine[tested_backend() ? 2 : 1];
}

bool law_emulated(void)
{
    struct device_info info = {0};

    return tested_backend() && tested_backend()->devices(&info, 1, NULL) > 0 &&
           strcmp(info.name, "cuemu") == 0;
}

int64_t law_size(int64_t full, int64_t emulated)
{
    return law_emulated() ? emulated : full;
}

static size_t number_bytes(enum number number)
{
    return number == NUMBER_F32 ? sizeof(float) : sizeof(double);
}

struct data data_new(enum number number, int64_t rows, int64_t columns)
{
    struct data data = {.number = number, .rows = rows, .columns = columns};

    data.values = calloc((size_t)(rows * columns) + 1, number_bytes(number));
    return data;
}

void data_free(struct data *data)
{
    free(data->values);
    free(data->weight);
    *data = (struct data){0};
}

void data_set(struct data *data, int64_t row, int64_t column, double value)
{
    if (data->number == NUMBER_F32)
        ((float *)data->values)[row * data->columns + column] = (float)value;
    else
        ((double *)data->values)[row * data->columns + column] = value;
}

double data_at(const struct data *data, int64_t row, int64_t column)
{
    if (data->number == NUMBER_F32)
        return (double)((const float *)data->values)[row * data->columns + column];
    return ((const double *)data->values)[row * data->columns + column];
}

struct data data_copy(const struct data *data)
{
    struct data copy = data_new(data->number, data->rows, data->columns);

    memcpy(copy.values, data->values,
           (size_t)(data->rows * data->columns) * number_bytes(data->number));
    if (data->weight) {
        copy.weight = malloc(((size_t)data->rows + 1) * sizeof *copy.weight);
        memcpy(copy.weight, data->weight, (size_t)data->rows * sizeof *copy.weight);
    }
    return copy;
}

struct data data_blobs(enum number number, int64_t rows, int64_t columns, int64_t blobs,
                       double width, uint64_t seed)
{
    struct data data = data_new(number, rows, columns);
    double *center = malloc((size_t)(blobs * columns) * sizeof *center);

    for (int64_t i = 0; i < blobs * columns; i++)
        center[i] = 20 * check_uniform(&seed) - 10;
    for (int64_t i = 0; i < rows; i++) {
        int64_t blob = (int64_t)(check_random(&seed) % (uint64_t)blobs);
        for (int64_t d = 0; d < columns; d++)
            data_set(&data, i, d, center[blob * columns + d] + width * check_normal(&seed));
    }
    free(center);
    return data;
}

void data_weigh(struct data *data, uint64_t seed)
{
    data->weight = malloc(((size_t)data->rows + 1) * sizeof *data->weight);
    for (int64_t i = 0; i < data->rows; i++)
        data->weight[i] = i % 7 == 3 ? 0 : 3 * (1 - check_uniform(&seed));
}

double *data_rows(const struct data *data, const int64_t *row, int64_t count)
{
    double *out = malloc((size_t)(count * data->columns) * sizeof *out);

    for (int64_t i = 0; i < count; i++)
        for (int64_t d = 0; d < data->columns; d++)
            out[i * data->columns + d] = data_at(data, row ? row[i] : i, d);
    return out;
}

bool view_open(struct check *check, const struct data *data, int64_t chunk_rows, struct view *view)
{
    struct table *table = NULL, *cut = NULL;
    struct selection all = {0};
    enum dtype dtype = data->number == NUMBER_F32 ? DTYPE_F32 : DTYPE_F64;

    *view = (struct view){0};
    if (!check_equal_i64(check,
                         table_of_matrix(dtype, data->rows, data->columns, data->values, NULL, NULL,
                                         &table, NULL),
                         STATUS_OK))
        return false;
    if (chunk_rows > 0) {
        if (!check_equal_i64(check, table_rechunk(table, chunk_rows, &cut, NULL), STATUS_OK))
            return false;
        table_unpin(&table);
        table = cut;
    }
    view->table = table;
    return check_equal_i64(check, matrix_select(table, &all, &view->matrix, NULL), STATUS_OK);
}

void view_close(struct view *view)
{
    matrix_release(&view->matrix);
    table_unpin(&view->table);
}

static bool ended_well(struct check *check, enum status status, const struct error *error)
{
    char text[512];

    if (status == STATUS_OK)
        return true;
    return check_failed(check, __FILE__, __LINE__, "it ended with: %s",
                        error_message(error, text, sizeof text));
}

bool law_fit(struct check *check, const struct machine *machine, const struct data *data,
             int64_t chunk_rows, const struct kmeans_params *params, struct kmeans_result *out)
{
    struct view view;
    struct error error = {0};

    *out = (struct kmeans_result){0};
    if (!view_open(check, data, chunk_rows, &view))
        return false;
    struct fit_input input = {.name = "X",
                              .matrix = &view.matrix,
                              .sample_weight = data->weight,
                              .residency = machine->residency};
    enum status status =
        kmeans_fit(machine->backend, machine->device, &input, params, NULL, out, &error);
    view_close(&view);
    return ended_well(check, status, &error);
}

enum status law_fit_status(const struct machine *machine, const struct data *data,
                           const struct kmeans_params *params, struct error *error)
{
    struct check silent = {.name = "silent"};
    struct kmeans_result result = {0};
    struct view view;

    if (!view_open(&silent, data, 0, &view))
        return STATUS_BUG;
    struct fit_input input = {.name = "X",
                              .matrix = &view.matrix,
                              .sample_weight = data->weight,
                              .residency = machine->residency};
    enum status status =
        kmeans_fit(machine->backend, machine->device, &input, params, NULL, &result, error);
    kmeans_result_free(&result);
    view_close(&view);
    return status;
}

bool results_equal(struct check *check, const struct kmeans_result *got,
                   const struct kmeans_result *want)
{
    size_t values = (size_t)(want->n_clusters * want->columns);
    int failures = check->failures;

    check_equal_i64(check, got->n_iter, want->n_iter);
    check_equal_i64(check, got->run, want->run);
    check_equal_i64(check, got->stop, want->stop);
    check_equal_i64(check, got->empty, want->empty);
    check_equal_i64(check, got->distinct_below, want->distinct_below);
    check_equal_i64(check, got->skipped, want->skipped);
    check_equal_bits(check, got->inertia, want->inertia);
    check_true(check, got->fingerprint == want->fingerprint);
    check_equal_bytes(check, got->centers, want->centers, values * sizeof(double));
    check_equal_bytes(check, got->labels, want->labels, (size_t)want->rows * sizeof(int32_t));
    check_equal_bytes(check, got->sizes, want->sizes, (size_t)want->n_clusters * sizeof(int64_t));
    if (want->history && check_true(check, got->history != NULL))
        check_equal_bytes(check, got->history, want->history,
                          (size_t)want->n_iter * sizeof(double));
    return check->failures == failures;
}

bool law_predict(struct check *check, const struct machine *machine, const struct data *data,
                 int64_t chunk_rows, const double *centers, int64_t clusters, int32_t *labels,
                 double *distances)
{
    struct view view;
    struct model *model = NULL;
    struct error error = {0};
    enum status status;

    if (!view_open(check, data, chunk_rows, &view))
        return false;
    const struct fit_input input = {
        .name = "X", .matrix = &view.matrix, .residency = machine->residency};
    status = model_of_centers(centers, clusters, data->columns, data->number, &model, &error);
    if (status == STATUS_OK)
        status = score_predict(machine->backend, machine->device, &input, model, NON_FINITE_REJECT,
                               NULL, labels, distances, &error);
    model_unpin(&model);
    view_close(&view);
    return ended_well(check, status, &error);
}

double law_canonical(const double *x, const double *c, int64_t columns)
{
    double s = 0;

    for (int64_t d = 0; d < columns; d++) {
        double t = x[d] - c[d];
        s = fma(t, t, s);
    }
    return s;
}

/* Eight centers side by side: each lane is law_canonical of one of them. */
enum { LANES = 8 };

static void lanes_labels(const double *x, const double *packed, int64_t columns, int32_t first,
                         int64_t lanes, double *least, int32_t *label)
{
    double s[LANES] = {0};

    for (int64_t d = 0; d < columns; d++)
        for (int l = 0; l < LANES; l++) {
            double t = x[d] - packed[d * LANES + l];
            s[l] = fma(t, t, s[l]);
        }
    for (int64_t l = 0; l < lanes; l++)
        if (s[l] < *least) {
            *least = s[l];
            *label = first + (int32_t)l;
        }
}

void law_labels(const struct data *data, const double *centers, int64_t clusters, int32_t *labels)
{
    int64_t columns = data->columns;
    double *packed = malloc((size_t)(columns * LANES) * sizeof *packed);
    double *least = malloc((size_t)data->rows * sizeof *least);
    double *x = data_rows(data, NULL, data->rows);

    for (int64_t i = 0; i < data->rows; i++)
        least[i] = INFINITY;
    for (int64_t j = 0; j < clusters; j += LANES) {
        int64_t lanes = clusters - j < LANES ? clusters - j : LANES;
        for (int64_t d = 0; d < columns; d++)
            for (int64_t l = 0; l < LANES; l++)
                packed[d * LANES + l] = centers[(l < lanes ? j + l : j) * columns + d];
        for (int64_t i = 0; i < data->rows; i++)
            lanes_labels(x + i * columns, packed, columns, (int32_t)j, lanes, &least[i],
                         &labels[i]);
    }
    free(packed);
    free(least);
    free(x);
}

int128 law_fixed(double x, int32_t L)
{
    int exponent;

    if (x == 0) /* has no exponent to shift by */
        return 0;
    int64_t mantissa = (int64_t)ldexp(frexp(x, &exponent), 53); /* x = mantissa 2^(exponent-53) */
    int shift = exponent - 53 + GRID_BITS - L;
    int128 whole = mantissa < 0 ? -(int128)mantissa : mantissa;

    if (shift >= 0)
        whole <<= shift;
    else if (shift < -60)
        whole = 0;
    else {
        int128 half = (int128)1 << (-shift - 1), rest = whole & (2 * half - 1);
        whole >>= -shift;
        if (rest > half || (rest == half && (whole & 1)))
            whole++;
    }
    return mantissa < 0 ? -whole : whole;
}
