/* check_seeding.c - draws, trials and the farthest rows against brute force. */
#include "kernels/cpu/cpu.h"
#include "tests/kernels/claims.h"
#include "tests/kernels/sample.h"

static const struct layout layout = {
    .data = DATA_BLOBS, .seed = 17, .shape = {997, 4, 6, NUMBER_F32, true, 3, 40, RESIDENT}};

/* A side with the sample's rows, which `change` (NULL: not) may change first. */
static struct bench *open_changed(struct check *check, struct bench *bench, struct sample *sample,
                                  int i, void (*change)(float *x, bool spread), bool spread)
{
    struct device *device;
    const struct backend *backend = side(i, &device);

    if (device && i == 1) {
        ((struct cpu_device *)device)->tuning.parallel_pairs = 0;
        ((struct cpu_device *)device)->tuning.thread_pairs = 1e-9;
    }
    sample_init(sample, &layout);
    if (change)
        change(sample->values, spread);
    sample_grid(sample);
    check_note(check, "%s", backend->name);
    if (!bench_open(check, bench, backend, device, sample, 997, 997))
        abort();
    return bench;
}

static struct bench *open_side(struct check *check, struct bench *bench, struct sample *sample,
                               int i)
{
    return open_changed(check, bench, sample, i, NULL, false);
}

static void close_side(struct bench *bench, struct sample *sample, int i)
{
    struct device *device = bench->device;

    bench_close(bench);
    sample_deinit(sample);
    side_close(i, &device);
}

static double squared(const struct sample *sample, int64_t row, const double *center)
{
    double s = 0;

    for (int64_t d = 0; d < layout.shape.columns; d++) {
        double t = sample_value(sample, row, d) - center[d];
        s = fma(t, t, s);
    }
    return s;
}

/* P_i by its definition; 0 for rows that do not take part. */
static int128 term(const struct sample *sample, int64_t row, double m, int32_t L)
{
    double w = sample->weight[row];

    return w > 0 ? grid_fixed(w * m, L) : 0;
}

void draws_are_running_sums(struct check *check)
{
    uint64_t state = 41;

    for (int i = 0; i < sides(); i++) {
        struct sample sample;
        struct bench bench, *b = open_side(check, &bench, &sample, i);
        const double *one = sample.centers[0], *two = one + layout.shape.columns;
        double largest = 0, want = 0;
        int128 total = 0, all = 0;

        b->backend->seed_take(b->work, b->block[0], 0, 997, one, true, &largest);
        bench_settle(b);
        largest = 0;
        b->backend->seed_take(b->work, b->block[0], 0, 997, two, false, &largest);
        bench_settle(b);
        for (int64_t r = 0; r < 997; r++)
            if (sample.weight[r] > 0)
                want = fmax(want, sample.weight[r] *
                                      fmin(squared(&sample, r, one), squared(&sample, r, two)));
        check_equal_bits(check, largest, want);
        int32_t L = grid_exponent(largest);
        b->backend->seed_total(b->work, b->block[0], 0, 997, L, &total);
        bench_settle(b);
        for (int64_t r = 0; r < 997; r++)
            all += term(&sample, r, fmin(squared(&sample, r, one), squared(&sample, r, two)), L);
        check_true(check, total == all);
        int128 ends[100] = {0}; /* running sums at which a row ends and the next begins */
        for (int64_t r = 0; r < 99; r++)
            ends[r + 1] =
                ends[r] +
                term(&sample, r, fmin(squared(&sample, r, one), squared(&sample, r, two)), L);
        for (int draw = 0; draw < 200; draw++) {
            int128 rest = draw < 100    ? ends[draw]
                          : draw == 100 ? total - 1
                                        : (int128)(check_uniform(&state) * (double)total);
            int128 running = 0, left = rest;
            int64_t row, expected = -1;
            for (int64_t r = 0; r < 997 && expected < 0; r++) {
                running +=
                    term(&sample, r, fmin(squared(&sample, r, one), squared(&sample, r, two)), L);
                expected = running > rest ? r : -1;
            }
            b->backend->seed_find(b->work, b->block[0], 0, 997, L, &left, &row);
            bench_settle(b);
            check_equal_i64(check, row, expected);
        }
        int64_t row;
        int128 beyond = total + 5;
        b->backend->seed_find(b->work, b->block[0], 0, 997, L, &beyond, &row);
        bench_settle(b);
        check_equal_i64(check, row, -1);
        check_true(check, beyond == 5);
        close_side(b, &sample, i);
    }
}

/* What a trial foretells is what total says once the candidate was taken, on the same L. */
void trials_are_totals_after_taking(struct check *check)
{
    for (int i = 0; i < sides(); i++)
        for (int first_center = 0; first_center < 2; first_center++)
            for (int c = 0; c < 3; c++) {
                struct sample sample;
                struct bench bench, *b = open_side(check, &bench, &sample, i);
                int128 tried[3] = {0}, total = 0;
                double largest = 0, after = 0;
                const double *candidate = sample.centers[1] + c * layout.shape.columns;

                b->backend->seed_take(b->work, b->block[0], 0, 997, sample.centers[0], true,
                                      &largest);
                bench_settle(b);
                int32_t L = grid_exponent(largest) + 8;
                b->backend->seed_try(b->work, b->block[0], 0, 997, sample.centers[1], 3,
                                     first_center == 1, L, tried);
                b->backend->seed_take(b->work, b->block[0], 0, 997, candidate, first_center == 1,
                                      &after);
                b->backend->seed_total(b->work, b->block[0], 0, 997, L, &total);
                bench_settle(b);
                check_true(check, tried[c] == total);
                close_side(b, &sample, i);
            }
}

static void check_list(struct check *check, const struct sample *sample, const int32_t *label,
                       const struct far_row *list, const double *values, int held)
{
    int64_t columns = layout.shape.columns;

    for (int i = 0; i < held; i++) {
        int64_t row = list[i].row - FIRST_ROW;
        const double *own = sample->centers[0] + label[row] * columns;
        check_true(check, sample->weight[row] > 0 && list[i].weight == sample->weight[row]);
        check_equal_i64(check, list[i].label, label[row]);
        check_equal_bits(check, list[i].distance, squared(sample, row, own));
        for (int64_t d = 0; d < columns; d++)
            check_true(check, values[i * columns + d] == sample_value(sample, row, d));
        if (i > 0)
            check_true(check, list[i - 1].distance > list[i].distance ||
                                  (list[i - 1].distance == list[i].distance &&
                                   list[i - 1].row < list[i].row));
        for (int j = 0; j < i; j++)
            check_true(check, memcmp(values + i * columns, values + j * columns,
                                     (size_t)columns * sizeof *values) != 0);
    }
}

/* Twins, some of them the farthest of all; skipped rows hold no NaN. */
static void make_twins(float *x, bool spread)
{
    for (int64_t at = 0; at < 7 * 4; at++)
        x[at] = (float)(at * 5 % 19) + (spread ? 100.0f * (float)(at >> 2) : 0);
    for (int64_t r = 100; r < 300; r++)
        memcpy(x + r * 4, x + r % 7 * 4, 4 * sizeof *x);
}

/* Nobody outside the list lies farther than its last, save twins of those within. */
void farthest_rows_are_sorted_and_unlike(struct check *check)
{
    for (int i = 0; i < 2 * sides(); i++) {
        struct sample sample;
        struct bench bench,
            *b = open_changed(check, &bench, &sample, i / 2, make_twins, i % 2 == 1);
        static int32_t label[997];
        static struct far_row list[40];
        static double values[40 * 4];
        int held = 0;
        const float *x = sample.values;

        bench_assign(b, sample.centers[0], false);
        /* twins of which one has a stale label: another distance, still one row of the list */
        bench_labels(b, label);
        label[103] = (label[103] + 1) % 6;
        b->backend->labels_write(b->work, b->block[0], 0, 997, label);
        for (int64_t at = 0; at < 997; at += 250)
            b->backend->farthest(b->work, b->block[0], 750 - at, at == 0 ? 247 : 250, 40, list,
                                 values, &held);
        bench_settle(b);
        check_equal_i64(check, held, 40);
        check_list(check, &sample, label, list, values, held);
        for (int64_t r = 0; r < 997; r++) {
            bool within =
                sample.weight[r] <= 0 ||
                squared(&sample, r, sample.centers[0] + label[r] * 4) <= list[held - 1].distance;
            for (int j = 0; j < held && !within; j++) {
                within = true;
                for (int d = 0; d < 4; d++)
                    within &= values[j * 4 + d] == (double)x[r * 4 + d];
            }
            check_true(check, within);
        }
        close_side(b, &sample, i / 2);
    }
}

/* Distances 9, 9, 4, 4, 1 by hand; a weight does not count; of equals the lower row comes first, in
 * whatever order the tiles come, also where the list is too short for both. */
void equally_far_rows_come_by_number(struct check *check)
{
    const double values[] = {2, -3, 0, 3, -2, 1, -3}, weight[] = {1, 9, 1, 1, 1, 1, 1};
    const double center = 0;
    static const int64_t order[4] = {1, 3, 0, 4};
    const struct rows rows = {.values = values, .weight = weight, .first = 70, .count = 7};
    const int32_t L = 2;
    const struct grid grid = {.column = &L, .weight = 4};

    for (int i = 0; i < sides() * 4 * 2; i++) {
        const struct shape shape = {7, 1, 1, NUMBER_F64, true, 0, 4, RESIDENT};
        const int most = 1 + i / 2 % 4;
        struct device *device;
        const struct backend *backend = side(i / 8, &device);
        struct far_row list[4];
        double kept[4];
        struct work *work;
        struct block *block;
        int held = 0;

        backend->work_open(device, &shape, &work);
        backend->load(work, &rows, &block);
        backend->grid_set(work, &grid);
        backend->begin(work, &center);
        backend->assign(work, block, 0, 7, false);
        for (int64_t at = 0; at < 7; at++)
            backend->farthest(work, block, i % 2 ? 6 - at : at, 1, most, list, kept, &held);
        settle(check, backend, work);
        check_note(check, "%s most=%d %s", backend->name, most, i % 2 ? "backwards" : "");
        check_equal_i64(check, held, most);
        for (int at = 0; at < held; at++) {
            check_equal_i64(check, list[at].row, 70 + order[at]);
            check_equal_bits(check, kept[at], values[order[at]]);
            check_equal_bits(check, list[at].weight, weight[order[at]]);
        }
        backend->unload(work, &block);
        backend->work_close(&work);
        side_close(i / 8, &device);
    }
}
