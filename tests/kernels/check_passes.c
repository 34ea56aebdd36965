/* check_passes.c - cpu gives the bytes of ref: every level, thread count, cut and kind of data.
 *
 * The cases cover every pair of values of every two factors: cases are drawn until none is missing. */
#include "kernels/cpu/cpu.h"
#include "tests/kernels/claims.h"
#include "tests/kernels/sample.h"

static const int64_t rows_of[] = {1, 15, 16, 17, 389, 4095, 4096, 4097};
static const int64_t columns_of[] = {1, 2, 3, 7, 8, 16, 31, 32, 33, 64, 127, 128, 519};
static const int64_t clusters_of[] = {1, 2, 15, 16, 17, 64, 128};
static const int64_t cuts_of[] = {1, 7, 4096};
static const int64_t tiles_of[] = {1, 333, 1 << 22};
static const int threads_of[] = {1, 2, 3, 8};

enum { FACTORS = 10, LEVELS_MOST = 14 };
enum factor { ROWS, COLUMNS, CLUSTERS, DATA, NUMBER, WEIGHTED, CUT, TILE, THREADS, TUNING };
#define COUNT(list) ((int)(sizeof(list) / sizeof((list)[0])))
static const int levels_of[FACTORS] = {
    COUNT(rows_of), COUNT(columns_of), COUNT(clusters_of), DATA_KINDS, 2, 2,
    COUNT(cuts_of), COUNT(tiles_of),   COUNT(threads_of),  3};

struct cover {
    bool met[FACTORS][LEVELS_MOST][FACTORS][LEVELS_MOST];
    uint64_t state;
    int cases;
};

static int64_t tiles_in(const int *at)
{
    int64_t cut = cuts_of[at[CUT]], tile = tiles_of[at[TILE]];

    return 1 + (rows_of[at[ROWS]] - 1) / (cut < tile ? cut : tile);
}

/* Rows, columns and clusters that are all large cost a second each and find nothing more; neither do
 * thousands of tiles of wide rows. */
static bool too_dear(const int *at)
{
    double rows = (double)rows_of[at[ROWS]], columns = (double)columns_of[at[COLUMNS]];
    double tiles = (double)tiles_in(at), pairs = rows * columns * (double)clusters_of[at[CLUSTERS]];

    return pairs > (CHECK_SANITIZED ? 2e5 : 4.5e6) ||
           tiles * columns > (CHECK_SANITIZED ? 500 : 13000);
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
        if (too_dear(at))
            continue;
        int count = new_pairs(cover, at);
        if (count > found) {
            found = count;
            memcpy(best, at, sizeof at);
        }
    }
    for (int a = 0; a < FACTORS; a++)
        for (int b = a + 1; b < FACTORS && found; b++)
            cover->met[a][best[a]][b][best[b]] = true;
    cover->cases++;
    return found > 0;
}

static struct layout layout_of(const int *at, int number)
{
    struct layout layout = {.data = (enum data)at[DATA], .seed = (uint64_t)number};
    bool f64 = at[NUMBER] == 1 || layout.data == DATA_EXTREME; /* beyond fp32 */

    layout.shape = (struct shape){.rows = rows_of[at[ROWS]],
                                  .columns = columns_of[at[COLUMNS]],
                                  .clusters = clusters_of[at[CLUSTERS]],
                                  .number = f64 ? NUMBER_F64 : NUMBER_F32,
                                  .weighted = at[WEIGHTED] == 1,
                                  .candidates = 1 + number % 9,
                                  .farthest = 1 + number % 17};
    return layout;
}

/* Each turn of the tuning takes other paths on data this small. Many tiles run without regions: on a
 * busy machine a hundred thousand of them take a minute. */
static void tune(struct device *device, int turn, int64_t tiles)
{
    struct cpu_tuning *tuning = &((struct cpu_device *)device)->tuning;

    if (tiles < 60) {
        tuning->parallel_pairs = 0;
        tuning->thread_pairs = 1e-9;
    }
    if (turn == 1)
        tuning->slot_bytes_max = 0; /* one table, clusters owned */
    if (turn == 2) {
        tuning->strip_bytes = 1;
        tuning->carry_rows = 61;
    }
}

static void run_case(struct check *check, const int *at, int number)
{
    const struct layout layout = layout_of(at, number);
    struct device *ref = device_of_ref();
    struct outcome want = {.pieces = 0};
    struct sample sample;

    sample_init(&sample, &layout);
    trial(check, &backend_ref, ref, &sample, layout.shape.rows, layout.shape.rows, &want);
    for (const char *const *isa = levels_here(); *isa; isa++) {
        int threads = threads_of[(at[THREADS] + (int)(isa - levels_here())) % 4];
        struct device *device = device_of_cpu(*isa, threads);
        struct outcome got = {.pieces = 0};

        check_note(check,
                   "case=%d %s isa=%s threads=%d n=%d d=%d k=%d f%d w=%d cut=%d tile=%d turn=%d",
                   number, data_names[layout.data], *isa, threads, (int)layout.shape.rows,
                   (int)layout.shape.columns, (int)layout.shape.clusters,
                   layout.shape.number == NUMBER_F32 ? 32 : 64, layout.shape.weighted,
                   (int)cuts_of[at[CUT]], (int)tiles_of[at[TILE]], at[TUNING]);
        if (check_true(check, device != NULL)) {
            tune(device, at[TUNING], tiles_in(at));
            trial(check, &backend_cpu, device, &sample, cuts_of[at[CUT]], tiles_of[at[TILE]], &got);
            outcomes_equal(check, &got, &want);
        }
        outcome_deinit(&got);
        backend_cpu.close(&device);
    }
    outcome_deinit(&want);
    sample_deinit(&sample);
    backend_ref.close(&ref);
}

void cpu_gives_the_bytes_of_ref_on_hostile_data(struct check *check)
{
    struct cover *cover = calloc(1, sizeof *cover);
    int at[FACTORS], most = CHECK_SANITIZED ? 30 : 1000;

    cover->state = 20;
    while (cover->cases < most && next_case(cover, at))
        run_case(check, at, cover->cases);
    free(cover);
}

/* The same with the tuning that users get: a region for what is large, one thread for what is not. */
void cpu_gives_the_bytes_of_ref_as_tuned_for_users(struct check *check)
{
    const struct layout layout = {
        .data = DATA_BLOBS,
        .seed = 7,
        .shape = {CHECK_SANITIZED ? 2000 : 20011, 24, 40, NUMBER_F32, false, 5, 8, RESIDENT}};
    struct device *ref = device_of_ref();
    struct outcome want = {.pieces = 0};
    struct sample sample;

    sample_init(&sample, &layout);
    trial(check, &backend_ref, ref, &sample, layout.shape.rows, 1 << 22, &want);
    for (int i = 0; i < COUNT(threads_of); i++) {
        struct device *device = device_of_cpu(NULL, threads_of[i]);
        struct outcome got = {.pieces = 0};
        check_note(check, "threads=%d", threads_of[i]);
        trial(check, &backend_cpu, device, &sample, 9000, 1 << 22, &got);
        outcomes_equal(check, &got, &want);
        outcome_deinit(&got);
        backend_cpu.close(&device);
    }
    outcome_deinit(&want);
    sample_deinit(&sample);
    backend_ref.close(&ref);
}
