/* check_rounds.c - what a round of assign promises, on cases small enough to work out by hand and by
 * laws that hold on any data. Both backends are asked. */
#include "kernels/cpu/cpu.h"
#include "kernels/philox.h"
#include "tests/kernels/claims.h"
#include "tests/kernels/sample.h"

/* Rows that the case gives itself instead of a sample's. */
static struct work *open_rows(const struct backend *backend, struct device *device,
                              const struct shape *shape, const struct rows *rows,
                              const struct grid *grid, struct block **block)
{
    struct work *work = NULL;

    backend->work_open(device, shape, &work);
    backend->load(work, rows, block);
    backend->grid_set(work, grid);
    return work;
}

void ties_go_to_the_lowest_index(struct check *check)
{
    enum { CENTERS = 37 };
    const float values[] = {0, 1, 2, 3};
    static double centers[CENTERS];
    const struct shape shape = {4, 1, CENTERS, NUMBER_F32, false, 0, 0, RESIDENT};
    const struct rows rows = {.values = values, .count = 4};
    const struct grid grid = {.column = (const int32_t[]){2}};

    for (int at = 1; at < CENTERS; at++) /* equal centers wherever lanes and panels end */
        for (int i = 0; i < sides(); i++) {
            struct device *device;
            struct block *block;
            const struct backend *backend = side(i, &device);
            struct work *work = open_rows(backend, device, &shape, &rows, &grid, &block);
            int32_t label[4];
            for (int j = 0; j < CENTERS; j++)
                centers[j] = j < at ? 9 : j % 2 ? 1 : 2; /* 0 is nearest to 1, 3 to 2 */
            backend->begin(work, centers);
            backend->assign(work, block, 0, 4, false);
            backend->labels_read(work, block, 0, 4, label);
            settle(check, backend, work);
            int32_t one = at + (at % 2 == 0), two = at + (at % 2);
            if (one < CENTERS && two < CENTERS) {
                check_note(check, "%s at=%d", backend->name, at);
                check_equal_i64(check, label[0], one);
                check_equal_i64(check, label[1], one);
                check_equal_i64(check, label[2], two);
                check_equal_i64(check, label[3], two);
            }
            backend->unload(work, &block);
            backend->work_close(&work);
            side_close(i, &device);
        }
}

void skipped_and_weightless_rows_do_not_count(struct check *check)
{
    const double values[] = {1, 5, (double)NAN, 3, -4}, weight[] = {2, 0, -1, 0.5, 0};
    const double centers[] = {0, 4};
    const struct shape shape = {5, 1, 2, NUMBER_F64, true, 1, 4, RESIDENT};
    const struct rows rows = {.values = values, .weight = weight, .first = 50, .count = 5};
    const struct grid grid = {.column = (const int32_t[]){2}, .weight = 1};

    for (int i = 0; i < sides(); i++) {
        struct device *device;
        struct block *block;
        const struct backend *backend = side(i, &device);
        struct work *work = open_rows(backend, device, &shape, &rows, &grid, &block);
        struct sums sums = sums_new(&shape);
        struct column_facts column;
        struct facts facts;
        struct assigned assigned;
        int32_t label[5];

        check_note(check, "%s", backend->name);
        facts_init(&facts, &column, 1);
        backend->facts(work, block, 0, 5, &facts);
        settle(check, backend, work);
        check_equal_bits(check, column.lo, -4.0);
        check_equal_bits(check, column.hi, 5.0);
        check_equal_bits(check, column.largest, 3.0);
        check_equal_i64(check, facts.taking_part, 2);
        check_equal_i64(check, facts.non_finite, 0);
        check_equal_bits(check, facts.weight_max, 2.0);
        backend->begin(work, centers);
        backend->assign(work, block, 0, 5, true);
        backend->labels_read(work, block, 0, 5, label);
        settle(check, backend, work);
        backend->assigned(work, &assigned);
        check_equal_bytes(check, label, ((const int32_t[]){0, 1, -1, 1, 0}), sizeof label);
        check_equal_i64(check, assigned.moved, 2);
        check_equal_bits(check, assigned.largest_term, 2.0); /* 2 * 1, against 0.5 * 1 */
        backend->sums_read(work, &sums);
        check_equal_i64(check, sums.count[0], 1);
        check_equal_i64(check, sums.count[1], 1);
        check_true(check, sums.weight[0] == (int128)1 << 80 && sums.weight[1] == (int128)1 << 78);
        check_true(check, sums.sum[0] == (int128)1 << 78);       /* 1 * 1/4 */
        check_true(check, sums.sum[1] == (int128)3 << (80 - 4)); /* 1/4 * 3/4 */
        check_true(check,
                   sums.fingerprint == philox_fingerprint(50, 0) + philox_fingerprint(53, 1));
        sums_free(&sums);
        backend->unload(work, &block);
        backend->work_close(&work);
        side_close(i, &device);
    }
}

static bool sums_equal(struct check *check, const struct sums *a, const struct sums *b,
                       const struct shape *shape)
{
    size_t k = (size_t)shape->clusters, d = (size_t)shape->columns;

    return check_equal_bytes(check, a->sum, b->sum, k * d * sizeof *a->sum) &&
           check_equal_bytes(check, a->weight, b->weight, k * sizeof *a->weight) &&
           check_equal_bytes(check, a->count, b->count, k * sizeof *a->count) &&
           check_true(check, a->fingerprint == b->fingerprint);
}

static void rebuild(const struct bench *bench, const double *centers, struct sums *out)
{
    const struct shape *shape = &bench->sample->layout.shape;
    struct sums zero = sums_new(shape);
    int32_t *none = guarded_new((size_t)shape->rows * sizeof *none);
    struct tile_cursor cursor = bench_tiles(bench);
    struct tile tile;

    for (int64_t i = 0; i < shape->rows; i++)
        none[i] = -1;
    bench->backend->sums_write(bench->work, &zero);
    while (tile_next(&cursor, &tile))
        bench->backend->labels_write(bench->work, tile.block, tile.first, tile.count, none);
    bench_assign(bench, centers, true);
    bench->backend->sums_read(bench->work, out);
    guarded_free(none);
    sums_free(&zero);
}

void moved_sums_equal_rebuilt_sums(struct check *check)
{
    for (int i = 0; i < sides() * 2 * 3; i++) {
        struct layout layout = {.data = i % 3 == 0   ? DATA_MIXED
                                        : i % 3 == 1 ? DATA_BLOBS
                                                     : DATA_LARGE,
                                .seed = (uint64_t)i,
                                .shape = {700, 9, 13, NUMBER_F32, i % 2 == 1, 0, 0, RESIDENT}};
        struct device *device;
        const struct backend *backend = side(i / 6, &device);
        struct sample sample;
        struct bench bench;

        sample_init(&sample, &layout);
        if (bench_open(check, &bench, backend, device, &sample, 300, 77)) {
            struct sums moved = sums_new(&layout.shape), built = sums_new(&layout.shape);
            for (int round = 0; round < 5; round++)
                bench_assign(&bench, sample.centers[round % 2], true);
            backend->sums_read(bench.work, &moved);
            rebuild(&bench, sample.centers[0], &built);
            check_note(check, "%s %s w=%d", backend->name, data_names[layout.data], i % 2);
            sums_equal(check, &moved, &built, &layout.shape);
            sums_free(&moved);
            sums_free(&built);
            bench_close(&bench);
        }
        sample_deinit(&sample);
        side_close(i / 6, &device);
    }
}

/* Weights 1..4 against each row so many times: sums, weights and inertia, bit for bit. */
void whole_weights_are_repeated_rows(struct check *check)
{
    enum { ROWS = 50, COLUMNS = 3, CLUSTERS = 4, MOST = ROWS * 4 };
    static float once[ROWS * COLUMNS], often[MOST * COLUMNS];
    static double weight[ROWS], centers[CLUSTERS * COLUMNS];
    uint64_t state = 31;
    int64_t count = 0;

    for (int64_t i = 0; i < ROWS; i++) {
        weight[i] = (double)(1 + i % 4);
        for (int64_t d = 0; d < COLUMNS; d++)
            once[i * COLUMNS + d] = (float)check_normal(&state);
        for (int64_t times = 0; times <= i % 4; times++, count++)
            memcpy(often + count * COLUMNS, once + i * COLUMNS, COLUMNS * sizeof *once);
    }
    for (int i = 0; i < CLUSTERS * COLUMNS; i++)
        centers[i] = check_normal(&state);
    for (int i = 0; i < sides(); i++) {
        struct device *device;
        struct block *block;
        const struct backend *backend = side(i, &device);
        const struct grid grid = {.column = (const int32_t[]){3, 3, 3}, .weight = 2};
        struct shape shape = {ROWS, COLUMNS, CLUSTERS, NUMBER_F32, true, 0, 0, RESIDENT};
        struct rows rows = {.values = once, .weight = weight, .count = ROWS};
        struct sums weighted = sums_new(&shape), repeated = sums_new(&shape);
        struct work *work = open_rows(backend, device, &shape, &rows, &grid, &block);
        backend->begin(work, centers);
        backend->assign(work, block, 0, ROWS, true);
        settle(check, backend, work);
        backend->sums_read(work, &weighted);
        backend->unload(work, &block);
        backend->work_close(&work);

        const struct grid ones = {.column = grid.column, .weight = 0};
        shape.weighted = false;
        shape.rows = count;
        rows = (struct rows){.values = often, .count = count};
        work = open_rows(backend, device, &shape, &rows, &ones, &block);
        backend->begin(work, centers);
        backend->assign(work, block, 0, count, true);
        settle(check, backend, work);
        backend->sums_read(work, &repeated);
        for (int j = 0; j < CLUSTERS * COLUMNS; j++) /* the weighted ones are 2^L_w smaller */
            check_true(check, weighted.sum[j] * 4 == repeated.sum[j]);
        for (int j = 0; j < CLUSTERS; j++)
            check_true(check, weighted.weight[j] * 4 == repeated.weight[j]);
        backend->unload(work, &block);
        backend->work_close(&work);
        sums_free(&weighted);
        sums_free(&repeated);
        side_close(i, &device);
    }
}

/* What a saved state is made of, and room to compare. */
struct saved {
    struct sums sums, a, b;
    int32_t *labels;
};

static void carry_over(const struct bench *from, const struct bench *to, struct saved *saved)
{
    struct tile_cursor cursor = bench_tiles(to);
    struct tile tile;

    bench_labels(from, saved->labels);
    from->backend->sums_read(from->work, &saved->sums);
    while (tile_next(&cursor, &tile))
        to->backend->labels_write(to->work, tile.block, tile.first, tile.count,
                                  saved->labels + (tile.row - FIRST_ROW));
    to->backend->sums_write(to->work, &saved->sums);
}

static void both_go_on(struct check *check, const struct bench *from, const struct bench *to,
                       struct saved *saved)
{
    const struct sample *sample = from->sample;
    const struct shape *shape = &sample->layout.shape;

    bench_assign(from, sample->centers[0], true);
    carry_over(from, to, saved);
    bench_assign(from, sample->centers[1], true);
    bench_assign(to, sample->centers[1], true);
    from->backend->sums_read(from->work, &saved->a);
    to->backend->sums_read(to->work, &saved->b);
    sums_equal(check, &saved->a, &saved->b, shape);
    /* what was on its way when sums were written is gone with them */
    bench_assign(from, sample->centers[0], true);
    from->backend->sums_write(from->work, &saved->sums);
    from->backend->sums_read(from->work, &saved->a);
    sums_equal(check, &saved->a, &saved->sums, shape);
}

/* Labels and sums of one backend go into another after a round; both go on alike. */
void a_saved_state_goes_on_with_the_same_bits(struct check *check)
{
    const struct layout layout = {
        .data = DATA_NORMAL, .seed = 3, .shape = {500, 6, 11, NUMBER_F64, true, 0, 0, RESIDENT}};
    const struct shape *shape = &layout.shape;
    struct saved saved = {sums_new(shape), sums_new(shape), sums_new(shape), NULL};
    struct sample sample;

    saved.labels = guarded_new((size_t)shape->rows * sizeof *saved.labels);
    sample_init(&sample, &layout);
    for (int i = 0; i < sides() * sides(); i++) {
        struct device *from, *to;
        struct bench first, second;
        int a = i / sides(), b = i % sides();
        const struct backend *one = side(a, &from), *other = side(b, &to);
        check_note(check, "from %s to %s", one->name, other->name);
        if (bench_open(check, &first, one, from, &sample, 500, 100) &&
            bench_open(check, &second, other, to, &sample, 64, 9)) {
            both_go_on(check, &first, &second, &saved);
            bench_close(&first);
            bench_close(&second);
        }
        side_close(a, &from);
        side_close(b, &to);
    }
    guarded_free(saved.labels);
    sums_free(&saved.sums);
    sums_free(&saved.a);
    sums_free(&saved.b);
    sample_deinit(&sample);
}

void facts_name_the_first_bad_value(struct check *check)
{
    enum { ROWS = 900, COLUMNS = 3 };
    static double values[ROWS * COLUMNS], weight[ROWS];
    const struct shape shape = {ROWS, COLUMNS, 1, NUMBER_F64, true, 0, 0, RESIDENT};
    const struct grid grid = {.column = (const int32_t[]){1, 1, 1}};

    for (int i = 0; i < ROWS; i++)
        weight[i] = 1;
    values[10 * COLUMNS] = (double)NAN; /* skipped: nobody looks */
    weight[10] = -1;
    values[700 * COLUMNS + 2] = -INFINITY;
    values[701 * COLUMNS] = (double)NAN;
    values[100 * COLUMNS + 1] = -0x1.0000000000001p500;
    values[599 * COLUMNS + 1] = 0x1p500; /* the limit itself is within */
    for (int i = 101; i < 599; i++)      /* later ones, whoever looks at them */
        values[i * COLUMNS + i % COLUMNS] = values[i * COLUMNS + 1] = 0x1p501;
    weight[100] = 0;
    for (int i = 0; i < sides(); i++)
        for (int order = 0; order < 2; order++) {
            struct device *device;
            struct block *block;
            const struct backend *backend = side(i, &device);
            const struct rows rows = {values, weight, 1LL << 40, ROWS};
            struct work *work = open_rows(backend, device, &shape, &rows, &grid, &block);
            struct column_facts column[COLUMNS];
            struct facts facts;
            facts_init(&facts, column, COLUMNS);
            for (int t = 0; t < 2; t++) /* tiles in either order */
                backend->facts(work, block, t == order ? 0 : 650, t == order ? 650 : ROWS - 650,
                               &facts);
            settle(check, backend, work);
            check_note(check, "%s order=%d", backend->name, order);
            check_equal_i64(check, facts.non_finite, 2);
            check_equal_i64(check, facts.non_finite_row, (1LL << 40) + 700);
            check_equal_i64(check, facts.non_finite_column, 2);
            check_equal_bits(check, facts.non_finite_value, -(double)INFINITY);
            check_equal_i64(check, facts.beyond_row, (1LL << 40) + 100);
            check_equal_i64(check, facts.beyond_column, 1);
            check_equal_bits(check, facts.beyond_value, -0x1.0000000000001p500);
            check_equal_bits(check, column[1].largest, 0x1p500);
            check_equal_bits(check, column[1].lo, 0.0);
            check_equal_i64(check, facts.taking_part, ROWS - 2);
            backend->unload(work, &block);
            backend->work_close(&work);
            side_close(i, &device);
        }
}

void skipped_rows_have_no_distance(struct check *check)
{
    const double values[] = {3, 4, (double)NAN, 0, 0, 0}, weight[] = {1, -1, 0};
    const double centers[] = {0, 0, 3, 4, 6, 8};
    const struct shape shape = {3, 2, 3, NUMBER_F64, true, 0, 0, RESIDENT};
    const struct rows rows = {.values = values, .weight = weight, .count = 3};
    const struct grid grid = {.column = (const int32_t[]){3, 3}};

    for (int i = 0; i < sides(); i++) {
        struct device *device;
        struct block *block;
        const struct backend *backend = side(i, &device);
        struct work *work = open_rows(backend, device, &shape, &rows, &grid, &block);
        double out[9];
        backend->begin(work, centers);
        backend->distances(work, block, 0, 3, out);
        settle(check, backend, work);
        check_equal_bytes(check, out, ((const double[]){5, 0, 5}), 3 * sizeof *out);
        check_true(check, isnan(out[3]) && isnan(out[4]) && isnan(out[5]));
        check_equal_bytes(check, out + 6, ((const double[]){0, 5, 10}), 3 * sizeof *out);
        backend->unload(work, &block);
        backend->work_close(&work);
        side_close(i, &device);
    }
}
