/* check_plugin.c - what a GPU's plug-in promises beside what is asked of every backend: the bytes of ref
 * down the ladder of residencies, in tiles of any size, in just the memory that plan named. */
#include "kernels/ref/work.h"
#include "tests/kernels/claims.h"
#include "tests/kernels/sample.h"

/* Small and odd, as an emulator can run: one more and one less than warps, blocks and tiles. */
static const int64_t rows_of[] = {1, 31, 32, 33, 127, 129, 257, 700};
static const int64_t columns_of[] = {1, 2, 3, 4, 7, 8, 31, 33, 64, 130};
static const int64_t clusters_of[] = {1, 2, 8, 9, 31, 33, 65};
static const int64_t cuts_of[] = {1, 50, 4096};
static const int64_t tiles_of[] = {7, 64, 1 << 22};
static const int device_tiles_of[] = {0, 61};

enum { FACTORS = 9, LEVELS_MOST = 14, CASES_MOST = CHECK_SANITIZED ? 12 : 60 };
enum factor { ROWS, COLUMNS, CLUSTERS, DATA, KIND, CUT, TILE, RESIDENCY, DEVICE };
#define COUNT(list) ((int)(sizeof(list) / sizeof((list)[0])))
static const int levels_of[FACTORS] = {COUNT(rows_of),
                                       COUNT(columns_of),
                                       COUNT(clusters_of),
                                       DATA_KINDS,
                                       4,
                                       COUNT(cuts_of),
                                       COUNT(tiles_of),
                                       3,
                                       COUNT(device_tiles_of)};

struct cover {
    bool met[FACTORS][LEVELS_MOST][FACTORS][LEVELS_MOST];
    uint64_t state;
};

/* What an emulator does in a second. */
static bool too_dear(const int *at)
{
    double rows = (double)rows_of[at[ROWS]], columns = (double)columns_of[at[COLUMNS]];
    double cut = (double)cuts_of[at[CUT]], tile = (double)tiles_of[at[TILE]];

    return rows * columns * (double)clusters_of[at[CLUSTERS]] > 3e5 ||
           rows / (cut < tile ? cut : tile) > 40;
}

static int new_pairs(const struct cover *cover, const int *at)
{
    int count = 0;

    for (int a = 0; a < FACTORS; a++)
        for (int b = a + 1; b < FACTORS; b++)
            count += !cover->met[a][at[a]][b][at[b]];
    return count;
}

/* The best of a few random cases; false once none brings anything new. */
static bool next_case(struct cover *cover, int *best)
{
    int found = 0;

    for (int tries = 0; tries < 400; tries++) {
        int at[FACTORS];
        for (int a = 0; a < FACTORS; a++)
            at[a] = (int)(check_random(&cover->state) % (uint64_t)levels_of[a]);
        int count = too_dear(at) ? 0 : new_pairs(cover, at);
        if (count > found) {
            found = count;
            memcpy(best, at, sizeof at);
        }
    }
    for (int a = 0; a < FACTORS; a++)
        for (int b = a + 1; b < FACTORS && found; b++)
            cover->met[a][best[a]][b][best[b]] = true;
    return found > 0;
}

static struct layout layout_of(const int *at, int number)
{
    struct layout layout = {.data = (enum data)at[DATA], .seed = (uint64_t)number};
    bool f64 = at[KIND] % 2 == 1 || layout.data == DATA_EXTREME; /* beyond fp32 */

    layout.shape = (struct shape){.rows = rows_of[at[ROWS]],
                                  .columns = columns_of[at[COLUMNS]],
                                  .clusters = clusters_of[at[CLUSTERS]],
                                  .number = f64 ? NUMBER_F64 : NUMBER_F32,
                                  .weighted = at[KIND] / 2 == 1,
                                  .candidates = 1 + number % 9,
                                  .farthest = 1 + number % 17};
    return layout;
}

/* The sample through ref, then through the plug-in on a rung of the ladder. */
static void same_bytes(struct check *check, const struct layout *layout, enum residency residency,
                       int64_t cut, int64_t tile, int device_tile)
{
    struct device *ref = device_of_ref(), *device;
    const struct backend *tested = tested_side(device_tile, &device);
    struct outcome want = {.pieces = 0}, got = {.pieces = 0};
    struct sample sample;

    sample_init(&sample, layout);
    trial(check, &backend_ref, ref, &sample, layout->shape.rows, layout->shape.rows, &want);
    sample.layout.shape.residency = residency;
    trial(check, tested, device, &sample, cut, tile, &got);
    outcomes_equal(check, &got, &want);
    outcome_deinit(&got);
    outcome_deinit(&want);
    sample_deinit(&sample);
    backend_ref.close(&ref);
}

static void run_case(struct check *check, const int *at, int number)
{
    const struct layout layout = layout_of(at, number);

    check_note(check, "case=%d %s n=%d d=%d k=%d f%d w=%d cut=%d tile=%d residency=%d device=%d",
               number, data_names[layout.data], (int)layout.shape.rows, (int)layout.shape.columns,
               (int)layout.shape.clusters, layout.shape.number == NUMBER_F32 ? 32 : 64,
               layout.shape.weighted, (int)cuts_of[at[CUT]], (int)tiles_of[at[TILE]], at[RESIDENCY],
               device_tiles_of[at[DEVICE]]);
    same_bytes(check, &layout, (enum residency)at[RESIDENCY], cuts_of[at[CUT]], tiles_of[at[TILE]],
               device_tiles_of[at[DEVICE]]);
}

static bool nothing_to_test(struct check *check)
{
    struct device *device;

    if (tested_side(0, &device))
        return false;
    check_skip(check, "BARY_TESTED_PLUGIN names no plug-in");
    return true;
}

void a_plugin_gives_the_bytes_of_ref_on_hostile_data(struct check *check)
{
    struct cover *cover = calloc(1, sizeof *cover);
    int at[FACTORS];

    if (nothing_to_test(check)) {
        free(cover);
        return;
    }
    cover->state = 20;
    for (int i = 0; i < CASES_MOST && next_case(cover, at); i++)
        run_case(check, at, i);
    free(cover);
}

/* Calls of any number of rows come in pieces that scratch and staging hold. */
void a_plugin_cuts_what_is_larger_than_its_tiles(struct check *check)
{
    static const struct {
        int tile;
        int64_t rows; /* each tile is a launch or two */
    } cases[] = {{1, 11}, {32, 90}, {100, 90}};

    if (nothing_to_test(check))
        return;
    for (int i = 0; i < 3 * 3;
         i += CHECK_SANITIZED ? 4 : 1) { /* with sanitizers each of both once */
        const struct layout layout = {
            .data = DATA_WHOLE,
            .seed = 5,
            .shape = {cases[i / 3].rows, 5, 4, NUMBER_F32, true, 3, 7, RESIDENT}};
        check_note(check, "tiles of %d, residency %d", cases[i / 3].tile, i % 3);
        same_bytes(check, &layout, (enum residency)(i % 3), 64, 1 << 22, cases[i / 3].tile);
    }
}

static int64_t free_bytes(const struct backend *backend, const struct device *device)
{
    struct device_info info;

    backend->describe(device, &info);
    return info.free_bytes;
}

/* A card rounds each piece up to what it hands out; nothing is taken that plan did not name. */
void a_plugin_takes_what_its_plan_says(struct check *check)
{
    enum { BLOCK_MOST = 2048, ROUNDING = 4 << 20 };
    struct device *device;
    const struct backend *backend = tested_side(0, &device);

    if (nothing_to_test(check))
        return;
    for (int i = 0; i < 3 * 2 * 2; i++) {
        const struct layout layout = {
            .data = DATA_NORMAL,
            .shape = {3001, 17, 40, NUMBER_F32, i % 2 == 1, i / 2 % 2 * 5, 9, RESIDENT}};
        struct sample sample;
        struct plan plan;
        struct bench bench;
        int64_t before = free_bytes(backend, device);

        sample_init(&sample, &layout);
        sample.layout.shape.residency = (enum residency)(i / 4);
        check_note(check, "residency %d weighted %d candidates %d", i / 4, i % 2, i / 2 % 2 * 5);
        check_equal_i64(check, backend->plan(device, &sample.layout.shape, &plan), STATUS_OK);
        check_true(check, plan.tile_rows >= 1 && plan.tile_rows <= layout.shape.rows);
        check_true(check, plan.pinned_bytes > 0 && plan.pinned_bytes <= plan.work_bytes);
        if (bench_open(check, &bench, backend, device, &sample, 3001, 3001)) {
            int64_t taken = before - free_bytes(backend, device);
            int64_t named = plan.device_work_bytes + 3001 * plan.device_row_bytes;
            check_true(check, taken >= named && taken <= named + BLOCK_MOST + ROUNDING);
            bench_close(&bench);
        }
        check_equal_i64(check, free_bytes(backend, device), before);
        sample_deinit(&sample);
    }
}

void a_plugin_refuses_a_shape_in_its_plan_alone(struct check *check)
{
    static const struct shape bad[] = {{1, 0, 1, NUMBER_F32, false, 0, 0, RESIDENT},
                                       {1, 1, 0, NUMBER_F32, false, 0, 0, STREAMED},
                                       {-1, 1, 1, NUMBER_F32, false, 0, 0, RESIDENT},
                                       {1, 1, 1LL << 31, NUMBER_F32, false, 0, 0, RESIDENT},
                                       {1, INT64_MAX / 2, 8, NUMBER_F32, false, 0, 0, RESIDENT},
                                       {1, 1 << 30, 1 << 30, NUMBER_F64, false, 0, 0, RESIDENT},
                                       {1, 1, 1, (enum number)3, false, 0, 0, RESIDENT},
                                       {1, 1, 1, NUMBER_F32, false, 0, 0, (enum residency)3}};
    struct device *device;
    const struct backend *backend = tested_side(0, &device);
    struct work *work = NULL;
    struct plan plan;

    if (nothing_to_test(check))
        return;
    for (int i = 0; i < COUNT(bad); i++) {
        check_note(check, "shape %d", i);
        check_equal_i64(check, backend->plan(device, &bad[i], &plan), STATUS_UNSUPPORTED);
        check_equal_i64(check, backend->work_open(device, &bad[i], &work), STATUS_UNSUPPORTED);
        check_true(check, work == NULL);
    }
    backend->work_close(&work); /* of nothing is fine */
    const struct shape large = {1LL << 40, 1000, 1000, NUMBER_F64, true, 9, 0, STREAMED};
    check_equal_i64(check, backend->plan(device, &large, &plan), STATUS_OK);
    check_true(check, plan.tile_rows <= 1 << 22 && plan.device_row_bytes < 32);
}

/* No rows: nothing is queued, and what was there stays. */
void a_plugin_looks_at_no_rows_of_an_empty_block(struct check *check)
{
    const struct shape shape = {0, 3, 2, NUMBER_F32, false, 2, 2, RESIDENT};
    const struct rows rows = {.first = 5, .count = 0};
    const double center[3] = {0, 0, 0};
    struct device *device;
    const struct backend *backend = tested_side(0, &device);
    struct work *work;
    struct block *block;
    double largest = 0.5;
    int128 rest = 7;
    int64_t row = 3;

    if (nothing_to_test(check))
        return;
    check_equal_i64(check, backend->work_open(device, &shape, &work), STATUS_OK);
    check_equal_i64(check, backend->load(work, &rows, &block), STATUS_OK);
    check_equal_i64(check, backend->seed_take(work, block, 0, 0, center, true, &largest),
                    STATUS_OK);
    check_equal_i64(check, backend->seed_find(work, block, 0, 0, 1, &rest, &row), STATUS_OK);
    check_equal_i64(check, backend->seed_reset(work, block, 2), STATUS_OK);
    settle(check, backend, work);
    check_equal_bits(check, largest, 0.5);
    check_true(check, row == -1 && rest == 7);
    backend->unload(work, &block);
    backend->work_close(&work);
}
