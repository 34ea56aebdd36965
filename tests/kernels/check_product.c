/* check_product.c - a GPU that lets a product of matrices propose the nearest centers gives the bytes of
 * ref all the same: on data that every term of its proof is needed for, with a product as wrong as it may
 * be, with one that is worse, and without one. In the emulator the product is a stand-in's. */
#include <math.h>
#include <stdlib.h>

#include "kernels/ref/work.h"
#include "tests/kernels/claims.h"
#include "tests/kernels/sample.h"

/* What a device is opened under. */
struct scene {
    const char *gemm, *library, *error, *broken;
};

static void setting(const char *name, const char *value)
{
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

static struct device *device_in(struct check *check, const struct scene *scene)
{
    const struct backend *tested = tested_side(0, &(struct device *){NULL});
    struct refusal why = {.reason = REASON_NONE};
    struct device *device = NULL;

    setting("BARY_CUDA_GEMM", scene->gemm);
    setting("BARY_CUBLASLT", scene->library);
    setting("CUEMU_MMA_ERROR", scene->error);
    setting("CUEMU_CUBLASLT", scene->broken);
    if (tested->open(0, NULL, &device, &why) != STATUS_OK)
        check_failed(check, __FILE__, __LINE__, "open: %s", why.text);
    return device;
}

static void scene_end(struct device **device)
{
    tested_side(0, &(struct device *){NULL})->close(device);
    setting("BARY_CUDA_GEMM", NULL);
    setting("BARY_CUBLASLT", NULL);
    setting("CUEMU_MMA_ERROR", NULL);
    setting("CUEMU_CUBLASLT", NULL);
}

static const char *method(struct device *device, const struct shape *shape)
{
    struct plan plan = {.method = "none"};

    tested_side(0, &(struct device *){NULL})->plan(device, shape, &plan);
    return plan.method;
}

/* False: no such library here, which a claim about it must say. */
static bool multiplies(struct device *device, const struct shape *shape)
{
    return device && strcmp(method(device, shape), "cublaslt+refine") == 0;
}

static bool in_emulator(void)
{
    return strstr(tested_side(0, &(struct device *){NULL})->build, "cuemu") != NULL;
}

/* Three rounds and what is left of them. */
struct left {
    int32_t *labels;
    struct assigned assigned[3];
    struct sums sums;
};

static void rounds(struct check *check, const struct backend *backend, struct device *device,
                   const struct sample *sample, int64_t cut, int64_t tile, struct left *out)
{
    const struct shape *shape = &sample->layout.shape;
    struct bench bench;

    out->labels = guarded_new(3 * (size_t)shape->rows * sizeof *out->labels);
    out->sums = sums_new(shape);
    if (!bench_open(check, &bench, backend, device, sample, cut, tile))
        return;
    for (int i = 0; i < 3; i++) {
        bench_assign(&bench, sample->centers[i % 2], true);
        bench_labels(&bench, out->labels + i * shape->rows);
        backend->assigned(bench.work, &out->assigned[i]);
    }
    backend->sums_read(bench.work, &out->sums);
    bench_close(&bench);
}

static void left_free(struct left *left)
{
    guarded_free(left->labels);
    sums_free(&left->sums);
}

static void left_equal(struct check *check, const struct left *a, const struct left *b,
                       const struct shape *shape)
{
    size_t k = (size_t)shape->clusters, d = (size_t)shape->columns, n = (size_t)shape->rows;

    check_equal_bytes(check, a->labels, b->labels, 3 * n * sizeof *a->labels);
    check_equal_bytes(check, a->assigned, b->assigned, sizeof a->assigned);
    check_equal_bytes(check, a->sums.sum, b->sums.sum, k * d * sizeof *a->sums.sum);
    check_equal_bytes(check, a->sums.weight, b->sums.weight, k * sizeof *a->sums.weight);
    check_equal_bytes(check, a->sums.count, b->sums.count, k * sizeof *a->sums.count);
    check_true(check, a->sums.fingerprint == b->sums.fingerprint);
}

static void same_as_ref(struct check *check, struct device *device, struct sample *sample,
                        int64_t cut, int64_t tile)
{
    const struct backend *tested = tested_side(0, &(struct device *){NULL});
    struct device *ref = device_of_ref();
    struct left want = {.labels = NULL}, got = {.labels = NULL};
    enum residency residency = sample->layout.shape.residency;

    rounds(check, tested, device, sample, cut, tile, &got);
    sample->layout.shape.residency = RESIDENT; /* ref knows one rung */
    rounds(check, &backend_ref, ref, sample, sample->layout.shape.rows, sample->layout.shape.rows,
           &want);
    sample->layout.shape.residency = residency;
    left_equal(check, &got, &want, &sample->layout.shape);
    left_free(&want);
    left_free(&got);
    backend_ref.close(&ref);
}

static void data_in_scene(struct check *check, struct device *device, enum data data, int64_t rows,
                          int64_t columns, int64_t clusters, int number)
{
    struct layout layout = {
        .data = data,
        .seed = (uint64_t)(rows + columns + number),
        .shape = {.rows = rows,
                  .columns = columns,
                  .clusters = clusters,
                  .number = number % 2 || data == DATA_EXTREME ? NUMBER_F64 : NUMBER_F32,
                  .weighted = number / 2 % 2 == 1}};
    struct sample sample;

    check_note(check, "%s n=%d d=%d k=%d turn=%d", data_names[data], (int)rows, (int)columns,
               (int)clusters, number);
    sample_init(&sample, &layout);
    sample.layout.shape.residency = (enum residency)(number % 3);
    if (check_equal_text(check, method(device, &sample.layout.shape), "cublaslt+refine"))
        same_as_ref(check, device, &sample, number % 5 == 4 ? 100 : rows, 1 << 22);
    sample_deinit(&sample);
}

/* Each kind of data at sizes where something begins or ends. */
void a_product_gives_the_bytes_of_ref(struct check *check)
{
    static const int64_t columns[] = {513, 1, 3, 8, 65, 5, 512, 2, 31};
    static const int64_t clusters[] = {64, 65, 3, 33, 1, 9, 40, 128, 300};
    static const int64_t rows[] = {60, 129, 300, 127, 33, 1500, 57, 200, 90};
    static const char *const errors[] = {NULL, "1"};
    const struct shape shape = {100, 600, 64, NUMBER_F32, false, 0, 0, RESIDENT};

    if (sides() < 3) {
        check_skip(check, "no plug-in is tested");
        return;
    }
    for (int i = CHECK_SANITIZED; i < 2; i++) { /* with sanitizers the sums with errors alone */
        const struct scene scene = {"1", NULL, errors[i], NULL};
        struct device *device = device_in(check, &scene);
        if (!multiplies(device, &shape))
            check_skip(check, "cuBLASLt is not here");
        for (int data = 0; !check->skipped && data < DATA_KINDS; data++) {
            int at = (data + i * 4) % 9;
            data_in_scene(check, device, (enum data)data, rows[at], columns[at], clusters[at],
                          data + 3 * i);
        }
        scene_end(&device);
    }
}

/* Rows and centers of a sample anew, |value| <= 1. `row` and `center` give value d of number i. */
typedef double value_of(uint64_t *state, int64_t i, int64_t d, const double *before);
static void fill(struct sample *sample, value_of *center, value_of *row, uint64_t state)
{
    const struct shape *shape = &sample->layout.shape;
    int64_t columns = shape->columns;
    double *centers = sample->centers[0];

    for (int64_t i = 0; i < shape->clusters * columns; i++)
        centers[i] = center(&state, i / columns, i % columns,
                            i < columns ? NULL : centers + (i / columns - 1) * columns);
    for (int64_t i = 0; i < shape->rows * columns; i++) {
        double x = row(&state, i / columns, i % columns,
                       centers + i / columns % (shape->clusters - 1) * columns);
        if (shape->number == NUMBER_F32)
            ((float *)sample->values)[i] = (float)x;
        else
            ((double *)sample->values)[i] = x;
    }
    memcpy(sample->centers[1], centers, (size_t)(shape->clusters * columns) * sizeof *centers);
    for (int64_t d = 0; d < columns; d++)
        sample->exponent[d] = 1;
}

static double sign(uint64_t *state)
{
    return check_random(state) & 1 ? 1 : -1;
}

/* Mirrored pairs, so that the pivot is 0, far smaller than the rows: canonical rounding alone decides. */
static double tiny_center(uint64_t *state, int64_t i, int64_t d, const double *before)
{
    return i % 2 ? -before[d] : ldexp(check_normal(state), -55 - (int)(i % 3));
}
static double unit_row(uint64_t *state, int64_t i, int64_t d, const double *before)
{
    (void)i, (void)d, (void)before;
    return fmax(-1, fmin(1, 0.3 * check_normal(state)));
}

/* Powers of two, exact in fp16, in mirrored pairs; every fourth pair begins anew, the others differ from
 * the last in one small value by one unit: only Gamma says that the scores cannot tell them apart. */
static double exact_center(uint64_t *state, int64_t i, int64_t d, const double *before)
{
    double last = before && i % 2 ? -before[d] : 0;

    if (i % 2)
        return last;
    if (i % 8 == 0)
        return d < 8 ? 0x1p-10 : sign(state) * ldexp(1, -(int)(check_random(state) % 14));
    return d == i % 8 ? -before[d] * (1 + 0x1p-10) : -before[d];
}
static double exact_row(uint64_t *state, int64_t i, int64_t d, const double *before)
{
    (void)i, (void)before;
    return d < 8 ? sign(state) : sign(state) * ldexp(1, -(int)(check_random(state) % 14));
}

/* Rows within a rounding to fp16 of the middle between two centers. */
static double some_center(uint64_t *state, int64_t i, int64_t d, const double *before)
{
    (void)i, (void)d, (void)before;
    return check_uniform(state) * 2 - 1;
}
static double middle_row(uint64_t *state, int64_t i, int64_t d, const double *before)
{
    double other = before[d + (i % 7 == 0 ? 0 : 1)];

    return fmax(-1, fmin(1, (before[d] + other) / 2 + ldexp(check_normal(state), -13)));
}

/* Two mirrored centers that are exact in fp16, and rows across their axis: all that the scores are wrong
 * by is what the rows lost. */
static double axis_center(uint64_t *state, int64_t i, int64_t d, const double *before)
{
    (void)state;
    return i % 2 ? -before[d] : d ? 0.5 : 0.75;
}
static double across_row(uint64_t *state, int64_t i, int64_t d, const double *before)
{
    double far = 0.25 + (double)(i * 37 % 200) / 400, along = ldexp((double)(i % 11 - 5) / 16, -12);

    (void)state, (void)before;
    return far * (d ? 0.75 + along * 0.5 : -0.5 + along * 0.75);
}

struct hostile {
    const char *name;
    value_of *center, *row;
    int64_t rows, columns, clusters;
};
static const struct hostile hostile_sets[] = {
    {"far from tiny centers", tiny_center, unit_row, 150, 9, 32},
    {"exact in fp16", exact_center, exact_row, 150, 64, 64},
    {"across an axis", axis_center, across_row, 200, 2, 2},
    {"between two centers", some_center, middle_row, 400, 1, 64},
    {"between two centers", some_center, middle_row, 200, 1, 300},
};

void what_a_product_leaves_open_is_proved(struct check *check)
{
    const struct scene scene = {"1", NULL, "1", NULL};
    struct device *device;

    if (sides() < 3) {
        check_skip(check, "no plug-in is tested");
        return;
    }
    device = device_in(check, &scene);
    for (int i = 0; i < 3 * (int)(sizeof hostile_sets / sizeof *hostile_sets); i++) {
        const struct hostile *set = &hostile_sets[i / 3];
        struct layout layout = {.data = DATA_ZEROS,
                                .shape = {.rows = set->rows,
                                          .columns = set->columns,
                                          .clusters = set->clusters,
                                          .number = i % 2 ? NUMBER_F64 : NUMBER_F32}};
        struct sample sample;
        if (!multiplies(device, &layout.shape)) {
            check_skip(check, "cuBLASLt is not here");
            break;
        }
        check_note(check, "%s d=%d k=%d turn=%d", set->name, (int)set->columns, (int)set->clusters,
                   i);
        sample_init(&sample, &layout);
        fill(&sample, set->center, set->row, (uint64_t)i);
        same_as_ref(check, device, &sample, set->rows, 1 << 22);
        sample_deinit(&sample);
    }
    scene_end(&device);
}

/* The shape is known to be one for the product; what the scene says of it afterwards. */
static void canonical_in(struct check *check, const struct scene *scene, const char *before,
                         const char *after)
{
    struct layout layout = {
        .data = DATA_NORMAL, .seed = 4, .shape = {90, 50, 33, NUMBER_F32, true, 0, 0, RESIDENT}};
    struct device *device = device_in(check, scene);
    struct sample sample;

    sample_init(&sample, &layout);
    check_note(check, "library=%s error=%s broken=%s", scene->library ? scene->library : "-",
               scene->error ? scene->error : "-", scene->broken ? scene->broken : "-");
    if (device) {
        check_equal_text(check, method(device, &layout.shape), before);
        same_as_ref(check, device, &sample, 50, 1 << 22);
        check_equal_text(check, method(device, &layout.shape), after);
    }
    sample_deinit(&sample);
    scene_end(&device);
}

/* The plan says so before a work is open where it can be known, and after it where it had to be tried. */
void rows_are_labeled_without_a_product_too(struct check *check)
{
    static const struct scene off = {"off", NULL, NULL, NULL},
                              missing = {"1", "/nowhere/libcublasLt.so.13", NULL, NULL},
                              other = {"1", "libm.so.6", NULL, NULL};

    if (sides() < 3) {
        check_skip(check, "no plug-in is tested");
        return;
    }
    canonical_in(check, &off, "canonical", "canonical");
    canonical_in(check, &missing, "canonical", "canonical");
    canonical_in(check, &other, "canonical", "canonical");
}

void no_product_is_trusted_beyond_its_gamma(struct check *check)
{
    /* more columns than the self-test has, which would find out first */
    static const struct scene right = {"50", NULL, "1", NULL}, wrong = {"50", NULL, "2", NULL},
                              no_context = {"50", NULL, NULL, "create"},
                              no_product = {"50", NULL, NULL, "matmul"};

    if (sides() < 3 || !in_emulator()) {
        check_skip(check, "only the emulator's product can be made worse");
        return;
    }
    canonical_in(check, &right, "cublaslt+refine", "cublaslt+refine");
    canonical_in(check, &wrong, "cublaslt+refine", "canonical");
    canonical_in(check, &no_context, "cublaslt+refine", "canonical");
    canonical_in(check, &no_product, "cublaslt+refine", "cublaslt+refine");
}
