/* law_sums.c - law 5: sums of moved rows are rebuilt sums, after every round and on every machine;
 * they are integers on the grid, and a mean of equal rows is the row. */
#include <math.h>

#include "host/base/memory.h"
#include "host/cluster/tiles.h"
#include "host/cluster/weights.h"
#include "kernels/grid.h"
#include "kernels/philox.h"
#include "tests/laws/law.h"

static const int threads[] = {1, 2, 3, 8, 0};

static struct sums sums_new(int64_t clusters, int64_t columns)
{
    return (struct sums){.sum = memory_zeroed((size_t)(clusters * columns), sizeof(int128)),
                         .weight = memory_zeroed((size_t)clusters, sizeof(int128)),
                         .count = memory_zeroed((size_t)clusters, sizeof(int64_t))};
}

static void sums_free(struct sums *sums)
{
    memory_free(sums->sum);
    memory_free(sums->weight);
    memory_free(sums->count);
}

/* A term of a coordinate, from part 1.3 of the contract. */
static int128 term_of(double x, int32_t L, const double *weight, int32_t L_weight)
{
    if (!weight)
        return law_fixed(x, L);
    double w = ldexp(*weight, -L_weight), y = ldexp(x, -L), p = w * y;
    return law_fixed(p, 0) + law_fixed(fma(w, y, -p), 0);
}

/* Sums of labels from nothing. */
static void sums_rebuild(const struct data *data, const struct grid *grid, const int32_t *labels,
                         struct sums *out)
{
    for (int64_t i = 0; i < data->rows; i++) {
        const double *weight = data->weight ? data->weight + i : NULL;
        if (labels[i] < 0 || (weight && *weight <= 0))
            continue;
        for (int64_t d = 0; d < data->columns; d++)
            out->sum[labels[i] * data->columns + d] +=
                term_of(data_at(data, i, d), grid->column[d], weight, grid->weight);
        out->weight[labels[i]] +=
            weight ? law_fixed(ldexp(*weight, -grid->weight), 0) : (int128)1 << GRID_BITS;
        out->count[labels[i]]++;
        out->fingerprint += philox_fingerprint(i, labels[i]);
    }
}

static void sums_equal(struct check *check, const struct sums *got, const struct sums *want,
                       int64_t clusters, int64_t columns)
{
    check_equal_bytes(check, got->sum, want->sum, (size_t)(clusters * columns) * sizeof(int128));
    check_equal_bytes(check, got->weight, want->weight, (size_t)clusters * sizeof(int128));
    check_equal_bytes(check, got->count, want->count, (size_t)clusters * sizeof(int64_t));
    check_true(check, got->fingerprint == want->fingerprint);
}

/* Data on a device, its grid fixed. */
struct bench {
    struct view view;
    struct tiles tiles;
    struct course course;
    struct facts facts;
    int32_t *L;
    struct grid grid;
};

static bool bench_open(struct check *check, const struct machine *machine, const struct data *data,
                       int64_t chunk_rows, int64_t clusters, struct bench *bench)
{
    struct shape shape = {.rows = data->rows,
                          .columns = data->columns,
                          .clusters = clusters,
                          .number = data->number,
                          .weighted = data->weight != NULL,
                          .residency = machine->residency};

    *bench = (struct bench){0};
    if (!view_open(check, data, chunk_rows, &bench->view))
        return false;
    bench->L = malloc((size_t)data->columns * sizeof *bench->L);
    bench->facts.column = malloc((size_t)data->columns * sizeof *bench->facts.column);
    if (!check_equal_i64(check,
                         tiles_open(&bench->tiles, machine->backend, machine->device, "X",
                                    &bench->view.matrix, data->weight, &shape, NULL),
                         STATUS_OK))
        return false;
    check_equal_i64(check, tiles_facts(&bench->tiles, &bench->facts, 1, &bench->course, NULL),
                    STATUS_OK);
    grid_of_facts(&bench->facts, data->columns, bench->L);
    bench->grid =
        (struct grid){.column = bench->L,
                      .weight = data->weight ? grid_weight_exponent(bench->facts.weight_max) : 0};
    return check_equal_i64(check, machine->backend->grid_set(bench->tiles.work, &bench->grid),
                           STATUS_OK);
}

static void bench_close(struct bench *bench)
{
    tiles_close(&bench->tiles);
    view_close(&bench->view);
    free(bench->L);
    free(bench->facts.column);
}

static void round_compare(struct check *check, const struct data *data, struct bench *bench,
                          const double *centers, int64_t clusters)
{
    struct sums got = sums_new(clusters, data->columns), want = sums_new(clusters, data->columns);
    int32_t *labels = malloc((size_t)data->rows * sizeof *labels);
    struct assigned assigned;

    check_equal_i64(check,
                    tiles_assign(&bench->tiles, centers, true, &assigned, 1, &bench->course, NULL),
                    STATUS_OK);
    check_equal_i64(check, bench->tiles.backend->sums_read(bench->tiles.work, &got), STATUS_OK);
    check_equal_i64(check, tiles_labels(&bench->tiles, labels, &bench->course, NULL), STATUS_OK);
    sums_rebuild(data, &bench->grid, labels, &want);
    sums_equal(check, &got, &want, clusters, data->columns);
    free(labels);
    sums_free(&got);
    sums_free(&want);
}

/* Rounds with centers that wander, so that rows keep moving. */
static void rounds_compare(struct check *check, const char *what, const struct data *data,
                           int64_t clusters, int64_t chunk_rows)
{
    const int64_t rounds = law_size(5, 2);
    struct machines machines = machines_open(check, threads);

    for (int m = 0; m < machines.count; m++) {
        struct bench bench;
        double *centers = data_rows(data, NULL, clusters);
        uint64_t seed = 3;
        check_note(check, "%s, %s", what, machines.machine[m].name);
        if (bench_open(check, &machines.machine[m], data, chunk_rows, clusters, &bench))
            for (int64_t round = 0; round < rounds; round++) {
                round_compare(check, data, &bench, centers, clusters);
                for (int64_t i = 0; i < clusters * data->columns; i++)
                    centers[i] += 0.3 * fabs(centers[i]) * check_normal(&seed);
            }
        bench_close(&bench);
        free(centers);
    }
    machines_close(&machines);
}

static void moved_sums_are_rebuilt_sums(struct check *check)
{
    const int64_t rows = law_size(999, 300);
    struct data f32 = data_blobs(NUMBER_F32, rows, 13, 9, 4, 1);
    struct data f64 = data_blobs(NUMBER_F64, rows, 6, 9, 4, 2);
    struct data weighted = data_blobs(NUMBER_F64, rows, 6, 9, 4, 3);
    struct data weighted_f32 = data_blobs(NUMBER_F32, law_size(777, 200), 9, 9, 4, 4);

    data_weigh(&weighted, 1);
    data_weigh(&weighted_f32, 2);
    for (int64_t i = 0; i < f64.rows; i++) /* more bits than the grid has */
        data_set(&f64, i, 0, ldexp(data_at(&f64, i, 0), -(int)(i % 90)));
    rounds_compare(check, "f32", &f32, 12, 0);
    rounds_compare(check, "f64", &f64, 12, 100);
    rounds_compare(check, "weighted f64", &weighted, 12, 0);
    rounds_compare(check, "weighted f32", &weighted_f32, 12, 64);
    data_free(&f32);
    data_free(&f64);
    data_free(&weighted);
    data_free(&weighted_f32);
}

/* More sums than a block of threads may keep for itself, and then more clusters too. */
static void moved_sums_of_many_clusters_are_rebuilt_sums(struct check *check)
{
    struct data wide = data_blobs(NUMBER_F64, 170, 64, 9, 4, 5);
    struct data many = data_blobs(NUMBER_F32, 2060, 2, 9, 4, 6);

    data_weigh(&wide, 3);
    rounds_compare(check, "weighted f64, 101 x 65 sums", &wide, 101, 100);
    rounds_compare(check, "f32, 2049 x 3 sums", &many, 2049, 0);
    data_free(&wide);
    data_free(&many);
}

/* Halves that go to even, both signs, just under 2^L, ones that vanish. */
static void terms_round_to_the_nearest_grid_point(struct check *check)
{
    static const double odd[] = {1,
                                 -1,
                                 0x1.fffffffffffffp0,
                                 -0x1.fffffffffffffp0,
                                 0x1p-79,
                                 0x1p-80,
                                 0x1p-81,
                                 0x1.8p-79,
                                 0x1.8p-80,
                                 -0x1.8p-80,
                                 0x1.4p-79,
                                 0x1.cp-79,
                                 -0x1p-81,
                                 0x1.0000000000001p-81,
                                 0x1p-200,
                                 0x1.8p-40,
                                 0x1.0000000001p-40,
                                 0x1.00000000018p-40,
                                 0x1.0000000001p-41,
                                 0};
    const int64_t rows = sizeof odd / sizeof *odd;
    struct data data = data_new(NUMBER_F64, rows, 3);

    for (int64_t i = 0; i < rows; i++) {
        data_set(&data, i, 0, odd[i]);
        data_set(&data, i, 1, ldexp(odd[i], -700));
        data_set(&data, i, 2, ldexp(odd[i], 400));
    }
    rounds_compare(check, "odd values", &data, 4, 0);
    for (int64_t i = 0; i < rows; i++) {
        check_note(check, "%a", odd[i]);
        check_true(check, grid_fixed(odd[i], 1) == law_fixed(odd[i], 1));
        check_true(check, grid_fixed(ldexp(odd[i], -700), -699) == law_fixed(odd[i], 1));
        struct digits digits = grid_digits(odd[i], 0x1p39, 0x1p-39, 0x1p79);
        check_true(check, (int128)digits.hi * ((int128)1 << 40) + (int128)digits.lo ==
                              law_fixed(odd[i], 1));
    }
    data_free(&data);
}

static void two_digits_are_one_integer(struct check *check)
{
    uint64_t seed = 17;

    for (int i = 0; i < 400000; i++) {
        int down = (int)(check_random(&seed) % 60);
        double x = ldexp(2 * check_uniform(&seed) - 1, -down);
        if (i % 2)
            x = (double)(float)x;
        if (i % 5 == 0) /* few bits behind a half */
            x = ldexp((double)(int64_t)(check_random(&seed) % 4096) - 2048, -92);
        struct digits digits = grid_digits(x, 0x1p40, 0x1p-40, 0x1p80);
        int128 sum = (int128)digits.hi * ((int128)1 << 40) + (int128)digits.lo;
        if (!check_true(check, sum == law_fixed(x, 0)) ||
            !check_true(check, grid_fixed(x, 0) == law_fixed(x, 0)))
            return;
    }
}

/* 2^22 rows at the maximum fill a digit to its last carry; 5 more go over it. The emulator's
 * 2^12 fill 12 of those 22 bits, and the 5 are a tile of their own; with sanitizers it is 2^19. */
static void four_million_terms_at_the_maximum_carry(struct check *check)
{
    static const int most[] = {1, 2, 0};
    const int64_t rows = ((int64_t)1 << law_size(CHECK_SANITIZED ? 19 : 22, 12)) + 5;
    struct machines machines = machines_open(check, most);
    struct data data = data_new(NUMBER_F32, rows, 1);

    for (int64_t i = 0; i < rows; i++)
        data_set(&data, i, 0, i % 2 ? -0x1.fffffep0 : 0x1.fffffep0);
    for (int m = 0; m < machines.count; m++) {
        struct bench bench;
        double centers[2] = {1, -1}; /* then all rows move back and forth */
        struct sums got = sums_new(2, 1);
        struct assigned assigned;
        int128 all = law_fixed(0x1.fffffep0, 1), more = (rows + 1) / 2, less = rows / 2;
        check_note(check, "%s", machines.machine[m].name);
        if (bench_open(check, &machines.machine[m], &data, 0, 2, &bench))
            for (int round = 0; round < 3; round++) {
                tiles_assign(&bench.tiles, centers, true, &assigned, 1, &bench.course, NULL);
                check_equal_i64(check, assigned.moved, rows);
                bench.tiles.backend->sums_read(bench.tiles.work, &got);
                check_true(check, got.sum[round % 2] == more * all);
                check_true(check, got.sum[1 - round % 2] == -less * all);
                check_equal_i64(check, got.count[round % 2], more);
                centers[0] = -centers[0];
                centers[1] = -centers[1];
            }
        bench_close(&bench);
        sums_free(&got);
    }
    data_free(&data);
    machines_close(&machines);
}

static void sums_that_were_read_can_be_written_back(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    struct data data = data_blobs(NUMBER_F32, 500, 4, 5, 3, 9);

    for (int m = 0; m < machines.count; m++) {
        struct bench from, to;
        int64_t k = 6;
        double *centers = data_rows(&data, NULL, k);
        struct sums sums = sums_new(k, 4), again = sums_new(k, 4);
        int32_t labels[500];
        struct assigned assigned;
        const struct machine *other = &machines.machine[(m + 1) % machines.count];
        check_note(check, "%s to %s", machines.machine[m].name, other->name);
        if (bench_open(check, &machines.machine[m], &data, 0, k, &from) &&
            bench_open(check, other, &data, 0, k, &to)) {
            tiles_assign(&from.tiles, centers, true, &assigned, 1, &from.course, NULL);
            from.tiles.backend->sums_read(from.tiles.work, &sums);
            tiles_labels(&from.tiles, labels, &from.course, NULL);
            to.tiles.backend->sums_write(to.tiles.work, &sums);
            to.tiles.backend->labels_write(to.tiles.work, to.tiles.block[0], 0, 500, labels);
            centers[0] += 5;
            tiles_assign(&from.tiles, centers, true, &assigned, 1, &from.course, NULL);
            from.tiles.backend->sums_read(from.tiles.work, &sums);
            tiles_assign(&to.tiles, centers, true, &assigned, 1, &to.course, NULL);
            to.tiles.backend->sums_read(to.tiles.work, &again);
            sums_equal(check, &again, &sums, k, 4);
        }
        bench_close(&from);
        bench_close(&to);
        sums_free(&sums);
        sums_free(&again);
        free(centers);
    }
    data_free(&data);
    machines_close(&machines);
}

/* n equal rows give S = n Q, so their mean is the row: every bit where the row is on the grid. */
static void equal_rows_stay_put(struct check *check)
{
    static const int one[] = {2, 0};
    struct machines machines = machines_open(check, one);
    uint64_t seed = 5;

    for (int64_t trial = 0; trial < law_size(60, 18); trial++) {
        struct data data = data_new(trial % 2 ? NUMBER_F32 : NUMBER_F64, 20 + trial, 3);
        for (int64_t i = 0; i < data.rows; i++)
            for (int64_t d = 0; d < 3; d++)
                data_set(&data, i, d, i > 0 ? data_at(&data, 0, d) : check_normal(&seed));
        if (trial % 3 == 0) {
            data_weigh(&data, seed);
            data.weight[1] = 1;
        }
        struct kmeans_params params = {.n_clusters = 1, .max_iter = 3};
        struct kmeans_result got;
        for (int m = 0; m < machines.count; m++) {
            check_note(check, "trial %" PRId64 ", %s", trial, machines.machine[m].name);
            if (law_fit(check, &machines.machine[m], &data, 0, &params, &got))
                for (int64_t d = 0; d < 3; d++)
                    check_equal_bits(check, got.centers[d], data_at(&data, 0, d));
            check_equal_bits(check, got.inertia, 0);
            kmeans_result_free(&got);
        }
        data_free(&data);
    }
    machines_close(&machines);
}

/* The grid is as fine as the largest value allows: 0.1f keeps its bits beside 1e12. */
static void a_sentinel_does_not_blur_the_other_rows(struct check *check)
{
    static const int one[] = {2, 0};
    struct machines machines = machines_open(check, one);
    struct data data = data_new(NUMBER_F32, 1000, 2);
    double centers[4] = {0, 0, 1e12, 1e12};
    struct kmeans_params params = {
        .n_clusters = 2, .max_iter = 10, .init = INIT_CENTERS, .init_centers = centers};

    for (int64_t i = 0; i < data.rows; i++)
        for (int64_t d = 0; d < 2; d++)
            data_set(&data, i, d, i == 700 ? 1e12 : 0.1);
    for (int m = 0; m < machines.count; m++) {
        struct kmeans_result got;
        check_note(check, "%s", machines.machine[m].name);
        if (law_fit(check, &machines.machine[m], &data, 0, &params, &got)) {
            check_equal_bits(check, got.centers[0], (double)0.1f);
            check_equal_bits(check, got.centers[3], (double)1e12f);
            check_equal_i64(check, got.sizes[1], 1);
        }
        kmeans_result_free(&got);
    }
    data_free(&data);
    machines_close(&machines);
}

/* The inertia's grid comes from its largest term, not from the columns: one row at 1e13, alone in
 * its cluster, leaves the other rows' inertia right. */
static void a_far_row_of_its_own_does_not_blur_the_inertia(struct check *check)
{
    static const int one[] = {2, 0};
    struct machines machines = machines_open(check, one);
    struct data data = data_new(NUMBER_F64, 1000, 1);
    double centers[2] = {0, 1e13};
    uint64_t seed = 8;
    long double sum = 0, mean = 0;
    struct kmeans_params params = {
        .n_clusters = 2, .max_iter = 10, .init = INIT_CENTERS, .init_centers = centers};

    for (int64_t i = 0; i < data.rows; i++)
        data_set(&data, i, 0, i == 300 ? 1e13 : check_normal(&seed));
    for (int64_t i = 0; i < data.rows; i++)
        mean += i == 300 ? 0 : (long double)data_at(&data, i, 0) / 999;
    for (int64_t i = 0; i < data.rows; i++)
        if (i != 300)
            sum += (data_at(&data, i, 0) - mean) * (data_at(&data, i, 0) - mean);
    for (int m = 0; m < machines.count; m++) {
        struct kmeans_result got;
        check_note(check, "%s", machines.machine[m].name);
        if (law_fit(check, &machines.machine[m], &data, 0, &params, &got))
            check_near(check, got.inertia, (double)sum, 1e-6); /* columns blur below 1e13 2^-80 */
        kmeans_result_free(&got);
    }
    data_free(&data);
    machines_close(&machines);
}

CHECKS(CLAIM(moved_sums_are_rebuilt_sums), CLAIM(moved_sums_of_many_clusters_are_rebuilt_sums),
       CLAIM(terms_round_to_the_nearest_grid_point), CLAIM(two_digits_are_one_integer),
       CLAIM(four_million_terms_at_the_maximum_carry),
       CLAIM(sums_that_were_read_can_be_written_back), CLAIM(equal_rows_stay_put),
       CLAIM(a_sentinel_does_not_blur_the_other_rows),
       CLAIM(a_far_row_of_its_own_does_not_blur_the_inertia))
