/* check_plugin_wrong.c - a card that begins to compute wrongly after it was opened: one bit of what a launch
 * wrote is flipped, for each launch of a fit. Nothing may lead out of memory, whatever the bit was; an
 * answer's labels and rows exist, or the card is lost because it is wrong. Only the emulator can play it. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/kernels/claims.h"
#include "tests/kernels/sample.h"

enum { FAR = 5, LAUNCHES = 60 /* of a fit, and some */ };

/* How a fit goes, by what its sums and its assign take. */
struct scene {
    const char *name, *gemm;
    int64_t rows, columns, clusters, tile;
};
static const struct scene scenes[] = {{"tables", "off", 90, 3, 7, 40},
                                      {"segments", "off", 70, 9, 500, 70},
                                      {"product", "1", 90, 12, 9, 90}};

/* What a fit left. */
struct left {
    struct sums sums;
    int32_t *labels;
    struct far_row far[FAR];
    double *far_values;
    int far_held;
    int128 inertia;
    double largest;
};

/* The emulator plays by the present environment from here on. False: this plug-in is no emulator's. */
static bool replay(const char *launch, const char *seed)
{
    void *library = dlopen(getenv("BARY_TESTED_PLUGIN"), RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, "cuemu_restart") : NULL;
    void (*restart)(void);

    if (!symbol)
        return false;
    memcpy(&restart, &symbol, sizeof restart);
    if (launch)
        setenv("CUEMU_WRONG", launch, 1);
    else
        unsetenv("CUEMU_WRONG");
    setenv("CUEMU_SEED", seed, 1);
    restart();
    return true;
}

static struct device *device_in(struct check *check, const struct scene *scene)
{
    const struct backend *tested = tested_side(0, &(struct device *){NULL});
    struct device *device = NULL;

    setenv("BARY_CUDA_GEMM", scene->gemm, 1);
    check_equal_i64(check, tested->open(0, NULL, &device, NULL), STATUS_OK);
    unsetenv("BARY_CUDA_GEMM");
    return device;
}

static struct left left_new(const struct shape *shape)
{
    return (struct left){.sums = sums_new(shape),
                         .labels = guarded_new((size_t)shape->rows * sizeof(int32_t)),
                         .far_values =
                             guarded_new((size_t)(FAR * shape->columns) * sizeof(double))};
}

static void left_free(struct left *left)
{
    sums_free(&left->sums);
    guarded_free(left->labels);
    guarded_free(left->far_values);
}

#define STEP(call)               \
    do {                         \
        status = (call);         \
        if (status != STATUS_OK) \
            return status;       \
    } while (0)

static enum status rounds(const struct backend *tested, struct work *work, struct block *block,
                          const struct sample *sample, struct left *out)
{
    int64_t rows = sample->layout.shape.rows;
    enum status status;

    for (int i = 0; i < 3; i++) {
        STEP(tested->begin(work, sample->centers[i % 2]));
        STEP(tested->assign(work, block, 0, rows, true));
        STEP(tested->wait(work));
        STEP(tested->sums_read(work, &out->sums));
    }
    STEP(tested->farthest(work, block, 0, rows, FAR, out->far, out->far_values, &out->far_held));
    STEP(tested->inertia(work, block, 0, rows, 40, &out->inertia, NULL));
    STEP(tested->labels_read(work, block, 0, rows, out->labels));
    return tested->wait(work);
}

static enum status passes(const struct backend *tested, struct work *work, struct block *block,
                          const struct sample *sample, struct left *out)
{
    int64_t rows = sample->layout.shape.rows, row = -1;
    int128 rest = (int128)1 << 100;
    enum status status;

    STEP(tested->grid_set(work, &sample->grid));
    STEP(tested->seed_take(work, block, 0, rows, sample->centers[0], true, &out->largest));
    STEP(tested->seed_find(work, block, 0, rows, 40, &rest, &row));
    STEP(tested->wait(work));
    if (row < -1 || row >= rows) /* nobody's row */
        return STATUS_BUG;
    return rounds(tested, work, block, sample, out);
}

/* A whole fit on the device. */
static enum status fit(struct device *device, const struct sample *sample, struct left *out)
{
    const struct backend *tested = tested_side(0, &(struct device *){NULL});
    const struct rows rows = {sample->values, sample->weight, 0, sample->layout.shape.rows};
    struct work *work = NULL;
    struct block *block = NULL;
    enum status status = tested->work_open(device, &sample->layout.shape, &work);

    if (status == STATUS_OK)
        status = tested->load(work, &rows, &block);
    if (status == STATUS_OK)
        status = passes(tested, work, block, sample, out);
    if (block)
        tested->unload(work, &block);
    tested->work_close(&work);
    return status;
}

static void stays_within(struct check *check, const struct left *left, const struct shape *shape)
{
    for (int64_t i = 0; i < shape->rows; i++)
        check_true(check, left->labels[i] >= -1 && left->labels[i] < shape->clusters);
    for (int i = 0; i < left->far_held; i++)
        check_true(check, left->far[i].row >= 0 && left->far[i].row < shape->rows &&
                              left->far[i].label >= 0 && left->far[i].label < shape->clusters);
    check_true(check, guarded_intact(left->labels, (size_t)shape->rows * sizeof(int32_t)));
}

/* With the nth launch wrong. Gives whether the card was lost, which a new one replaces. */
static bool wrong_once(struct check *check, struct device **device, const struct scene *scene,
                       const struct sample *sample, int nth, const char *seed)
{
    const struct backend *tested = tested_side(0, &(struct device *){NULL});
    struct left left = left_new(&sample->layout.shape);
    struct refusal why = {REASON_NONE, ""};
    char launch[16];

    snprintf(launch, sizeof launch, "%d", nth);
    check_note(check, "%s launch=%d seed=%s", scene->name, nth, seed);
    replay(launch, seed);
    enum status status = fit(*device, sample, &left);
    replay(NULL, seed);
    if (status == STATUS_OK)
        stays_within(check, &left, &sample->layout.shape);
    else {
        check_equal_i64(check, status, STATUS_DEVICE_LOST);
        tested->failure(*device, &why);
        check_equal_i64(check, why.reason, REASON_DEVICE_WRONG);
        tested->close(device);
        *device = device_in(check, scene);
    }
    left_free(&left);
    return status != STATUS_OK;
}

/* Every launch of a fit wrong once; how many fits lost their card. */
static int wrong_all(struct check *check, const struct scene *scene, bool weighted,
                     const char *seed)
{
    const struct layout layout = {.data = DATA_NORMAL,
                                  .seed = 7,
                                  .shape = {scene->rows, scene->columns, scene->clusters,
                                            NUMBER_F32, weighted, 2, FAR, RESIDENT}};
    struct device *device = device_in(check, scene);
    struct sample sample;
    int lost = 0;

    sample_init(&sample, &layout);
    for (int nth = 1; nth <= LAUNCHES && device; nth++)
        lost += wrong_once(check, &device, scene, &sample, nth, seed);
    tested_side(0, &(struct device *){NULL})->close(&device);
    sample_deinit(&sample);
    return lost;
}

void a_wrong_card_stays_within_bounds(struct check *check)
{
    int lost = 0;

    if (!tested_side(0, &(struct device *){NULL})) {
        check_skip(check, "BARY_TESTED_PLUGIN names no plug-in");
        return;
    }
    if (!replay(NULL, "1")) {
        check_skip(check, "only the emulator plays a wrong card");
        return;
    }
    for (int i = 0; i < 3; i++)
        lost += wrong_all(check, &scenes[i], i % 2, "1");
    check_true(check, lost >= 3); /* else no bit met an index, and nothing was asked */
    unsetenv("CUEMU_SEED");
    replay(NULL, "1");
}
