/* check_plugin_seeding.c - draws and far rows where a GPU cuts its work: chunks of a running sum, groups
 * of candidates, selections of a bounded number of rows. Against ref, by bytes. */
#include "kernels/ref/work.h"
#include "tests/kernels/claims.h"
#include "tests/kernels/sample.h"

/* One block of rows on both sides. */
struct pair {
    struct shape shape;
    struct rows rows;
    const struct backend *backend[2];
    struct device *device[2];
    struct work *work[2];
    struct block *block[2];
};

static bool pair_open(struct check *check, struct pair *pair, const struct shape *shape,
                      const void *values, const double *weight)
{
    pair->shape = *shape;
    pair->rows = (struct rows){values, weight, FIRST_ROW, shape->rows};
    pair->backend[0] = &backend_ref;
    pair->device[0] = device_of_ref();
    pair->backend[1] = tested_side(0, &pair->device[1]);
    for (int i = 0; i < 2; i++) {
        struct shape here = *shape;
        here.residency = i == 0 ? RESIDENT : shape->residency;
        if (!check_equal_i64(check,
                             pair->backend[i]->work_open(pair->device[i], &here, &pair->work[i]),
                             STATUS_OK) ||
            !check_equal_i64(check,
                             pair->backend[i]->load(pair->work[i], &pair->rows, &pair->block[i]),
                             STATUS_OK))
            return false;
    }
    return true;
}

static void pair_close(struct pair *pair)
{
    for (int i = 0; i < 2; i++) {
        pair->backend[i]->unload(pair->work[i], &pair->block[i]);
        pair->backend[i]->work_close(&pair->work[i]);
    }
    backend_ref.close(&pair->device[0]);
}

static bool none_named(struct check *check)
{
    struct device *device;

    if (!tested_side(0, &device))
        check_skip(check, "BARY_TESTED_PLUGIN names no plug-in");
    return check->skipped != NULL;
}

/* Two calls, the second with what the first left, and nobody waits between them. */
static void same_find(struct check *check, struct pair *pair, int64_t first, int64_t count,
                      int32_t L, int128 rest)
{
    int128 left[2] = {rest, rest};
    int64_t row[2][2], half = count / 3;

    for (int i = 0; i < 2; i++) {
        const struct backend *backend = pair->backend[i];
        backend->seed_find(pair->work[i], pair->block[i], first, half, L, &left[i], &row[i][0]);
        backend->seed_find(pair->work[i], pair->block[i], first + half, count - half, L, &left[i],
                           &row[i][1]);
        settle(check, backend, pair->work[i]);
    }
    check_note(check, "first=%d count=%d found=%d, %d", (int)first, (int)count, (int)row[0][0],
               (int)row[0][1]);
    check_equal_i64(check, row[1][0], row[0][0]);
    check_equal_i64(check, row[1][1], row[0][1]);
    check_true(check, left[1] == left[0]);
}

/* The sums before some rows, and one less: where a row ends and the next begins. */
static void find_at_borders(struct check *check, struct pair *pair, int64_t first, int64_t count,
                            int32_t L)
{
    int64_t border = 0;
    int128 sum = 0, all = 0;

    backend_ref.seed_total(pair->work[0], pair->block[0], first, count, L, &all);
    same_find(check, pair, first, count, L, 0);
    same_find(check, pair, first, count, L, all - 1);
    same_find(check, pair, first, count, L, all);
    same_find(check, pair, first, count, L, all + ((int128)1 << 100));
    for (int64_t step = 0; step < 12; step++) {
        int64_t next = step < 6 ? border + (count > 3000 ? 1024 : 1) : border + count / 9;
        if (next > count)
            break;
        backend_ref.seed_total(pair->work[0], pair->block[0], first + border, next - border, L,
                               &sum);
        border = next;
        same_find(check, pair, first, count, L, sum);
        if (sum > 0)
            same_find(check, pair, first, count, L, sum - 1);
    }
}

/* Rows enough that a thread of the search has two chunks. */
void a_draw_finds_its_row_in_any_chunk(struct check *check)
{
    enum { ROWS = 300001 };
    const double center = 0.25;
    double *values, *weight, largest[2] = {0};
    uint64_t state = 8;
    struct pair pair;

    if (none_named(check))
        return;
    values = calloc(ROWS, sizeof *values);
    weight = calloc(ROWS, sizeof *weight);
    for (int64_t i = 0; i < ROWS; i++) {
        values[i] = check_uniform(&state) - (i % 5 == 0 ? 1e-7 : 0);
        weight[i] = i % 11 == 3 ? 0 : i % 13 == 5 ? -1 : check_uniform(&state);
    }
    const struct shape shape = {ROWS, 1, 1, NUMBER_F64, true, 1, 0, RESIDENT};
    if (pair_open(check, &pair, &shape, values, weight)) {
        for (int i = 0; i < 2; i++) {
            pair.backend[i]->seed_take(pair.work[i], pair.block[i], 0, ROWS, &center, true,
                                       &largest[i]);
            settle(check, pair.backend[i], pair.work[i]);
        }
        check_equal_bits(check, largest[1], largest[0]);
        int32_t L = grid_exponent(largest[0]);
        find_at_borders(check, &pair, 0, ROWS, L);
        find_at_borders(check, &pair, 7, 9000, L);
        find_at_borders(check, &pair, 1024, 1024, L);
        find_at_borders(check, &pair, ROWS - 30, 30, L);
    }
    pair_close(&pair);
    free(values);
    free(weight);
}

/* More than one launch takes, and numbers on both sides of what each takes. */
void candidates_of_any_number_are_tried(struct check *check)
{
    enum { ROWS = 150, COLUMNS = 3, MOST = 37 };
    static const int count[] = {0, 1, 4, 5, 8, 9, 16, 17, MOST};
    float values[ROWS * COLUMNS];
    double candidates[MOST * COLUMNS];
    uint64_t state = 2;
    struct pair pair;

    if (none_named(check))
        return;
    for (int i = 0; i < ROWS * COLUMNS; i++)
        values[i] = (float)check_uniform(&state);
    for (int i = 0; i < MOST * COLUMNS; i++)
        candidates[i] = check_uniform(&state);
    const struct shape shape = {ROWS, COLUMNS, 1, NUMBER_F32, false, MOST, 0, RESIDENT};
    if (pair_open(check, &pair, &shape, values, NULL))
        for (size_t at = 0; at < sizeof count / sizeof *count; at++) {
            int128 totals[2][MOST + 1];
            for (int i = 0; i < 2; i++) {
                for (int c = 0; c <= MOST; c++)
                    totals[i][c] = c;
                pair.backend[i]->seed_try(pair.work[i], pair.block[i], 0, ROWS, candidates,
                                          count[at], at % 2 == 1, 2, totals[i]);
                settle(check, pair.backend[i], pair.work[i]);
            }
            check_note(check, "%d candidates", count[at]);
            for (int c = 0; c <= MOST; c++)
                check_true(check, totals[1][c] == totals[0][c]);
        }
    pair_close(&pair);
}

/* Values of few kinds: twins everywhere, ties of unlike rows, distance 0. */
static void far_values_make(float *values, double *weight, int64_t rows, int kinds)
{
    uint64_t state = (uint64_t)kinds;

    for (int64_t i = 0; i < rows; i++) {
        int kind = (int)(check_random(&state) % (uint64_t)kinds);
        int half = kind / 2;
        values[2 * i] = kind % 2 ? -(float)half : (float)half;
        values[2 * i + 1] = kind % 7 == 0 ? -0.0f : 0.0f;
        weight[i] = i % 17 == 4 ? 0 : i % 19 == 3 ? -1 : 1 + (double)(i % 3);
    }
}

static void same_lists(struct check *check, struct pair *pair, int most, int64_t cut)
{
    struct far_row *list[2];
    double *values[2];
    int held[2] = {0, 0};

    for (int i = 0; i < 2; i++) {
        list[i] = calloc((size_t)most + 1, sizeof *list[i]);
        values[i] = calloc((size_t)most + 1, 2 * sizeof *values[i]);
        /* the tiles from the last to the first: a list need not be filled in row order */
        for (int64_t tile = (pair->shape.rows - 1) / cut; tile >= 0; tile--) {
            int64_t left = pair->shape.rows - tile * cut;
            pair->backend[i]->farthest(pair->work[i], pair->block[i], tile * cut,
                                       left < cut ? left : cut, most, list[i], values[i], &held[i]);
        }
        settle(check, pair->backend[i], pair->work[i]);
    }
    check_equal_i64(check, held[1], held[0]);
    for (int j = 0; j < held[0]; j++) {
        check_equal_bits(check, list[1][j].distance, list[0][j].distance);
        check_equal_i64(check, list[1][j].row, list[0][j].row);
        check_equal_i64(check, list[1][j].label, list[0][j].label);
        check_equal_bits(check, list[1][j].weight, list[0][j].weight);
    }
    check_true(check, memcmp(values[0], values[1], (size_t)held[0] * 2 * sizeof(double)) == 0);
    for (int i = 0; i < 2; i++) {
        free(list[i]);
        free(values[i]);
    }
}

/* Labels of the nearest center, or by row number: then twins differ in their distance. */
static void labels_set(struct check *check, struct pair *pair, const double *centers, bool strange)
{
    const struct grid grid = {.column = (const int32_t[]){9, 9}, .weight = 2};
    int32_t *label = calloc((size_t)pair->shape.rows, sizeof *label);

    for (int64_t r = 0; r < pair->shape.rows; r++)
        label[r] = pair->rows.weight[r] < 0 ? -1 : (int32_t)(r % 3 == 1);
    for (int i = 0; i < 2; i++) {
        pair->backend[i]->grid_set(pair->work[i], &grid);
        pair->backend[i]->begin(pair->work[i], centers);
        if (strange)
            pair->backend[i]->labels_write(pair->work[i], pair->block[i], 0, pair->shape.rows,
                                           label);
        else
            pair->backend[i]->assign(pair->work[i], pair->block[i], 0, pair->shape.rows, false);
        settle(check, pair->backend[i], pair->work[i]);
    }
    free(label);
}

void far_twins_make_way_in_selections_of_any_size(struct check *check)
{
    enum { ROWS = 1700, MOST = 400 };
    static const int kinds[] = {1, 2, 40, 900};
    static const double centers[4] = {0, 0, 3, 0};
    float values[2 * ROWS];
    double weight[ROWS];

    if (none_named(check))
        return;
    for (int at = 0; at < 4 * 2 * 2; at++) {
        const struct shape shape = {ROWS, 2, 2,    NUMBER_F32,
                                    true, 0, MOST, at % 2 ? STREAMED : RESIDENT};
        struct pair pair;
        far_values_make(values, weight, ROWS, kinds[at / 4]);
        if (pair_open(check, &pair, &shape, values, weight)) {
            check_note(check, "kinds=%d strange=%d residency=%d", kinds[at / 4], at / 2 % 2,
                       (int)shape.residency);
            labels_set(check, &pair, centers, at / 2 % 2);
            same_lists(check, &pair, MOST, ROWS);
            same_lists(check, &pair, 257, 600);
            same_lists(check, &pair, 1, ROWS);
            same_lists(check, &pair, 0, ROWS);
        }
        pair_close(&pair);
    }
}
