/* law_seeding.c - law 9: draws are functions of seed, index and run; they are what a brute-force
 * reading of the contract says, row by row, and fall as often as their weights ask. */
#include <math.h>

#include "host/cluster/state.h"
#include "kernels/draw.h"
#include "kernels/grid.h"
#include "kernels/philox.h"
#include "tests/laws/law.h"

static const int threads[] = {1, 3, 0};

static void philox_gives_the_known_answers(struct check *check)
{
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t got[4];
        philox(known[i].counter, known[i].key, got);
        check_equal_bytes(check, got, known[i].want, sizeof got);
    }
}

static void a_draw_is_scaled_exactly(struct check *check)
{
    uint64_t seed = 2;

    check_true(check, seed_scaled(~(uint64_t)0, 1) == 0);
    check_true(check, seed_scaled((uint64_t)1 << 63, 7) == 3);
    check_true(check, seed_scaled(~(uint64_t)0, (int128)1 << 120) ==
                          ((int128)1 << 120) - ((int128)1 << 56));
    for (int i = 0; i < 1000; i++) { /* by bits: sum of T 2^(b-64), with the rest carried along */
        uint64_t U = check_random(&seed);
        int128 T = (int128)(check_random(&seed) >> 3) << 60 | (int128)(check_random(&seed) >> 4);
        uint128 whole = 0;
        uint64_t rest[3] = {0}; /* U T as three words, schoolbook */
        uint64_t low = (uint64_t)T, high = (uint64_t)(T >> 64);
        whole = (uint128)U * low;
        rest[0] = (uint64_t)whole;
        whole = (uint128)U * high + (uint64_t)(whole >> 64);
        rest[1] = (uint64_t)whole;
        rest[2] = (uint64_t)(whole >> 64);
        check_true(check, seed_scaled(U, T) == (int128)((uint128)rest[2] << 64 | rest[1]));
    }
}

static void candidates_are_two_and_the_logarithm(struct check *check)
{
    for (int64_t k = 1; k < 1 << 20; k = k < 5000 ? k + 1 : k + 997)
        if (!check_equal_i64(check, seed_candidates(k), 2 + (int64_t)floor(log((double)k))))
            return;
}

/* The contract read aloud: arrays, running sums, no blocks. */
struct brute {
    const struct data *data;
    double *x, *m;
    int128 *P;
    uint64_t seed;
    uint32_t run;
};

static double brute_weight(const struct brute *brute, int64_t row)
{
    return brute->data->weight ? brute->data->weight[row] : 1;
}

/* P on the L of the largest RN(w m); its total. */
static int128 brute_potential(struct brute *brute, int32_t *L)
{
    double largest = 0;
    int exponent = 0;
    int128 total = 0;

    for (int64_t i = 0; i < brute->data->rows; i++)
        largest = fmax(largest, brute_weight(brute, i) * brute->m[i]);
    if (largest > 0)
        frexp(largest, &exponent);
    *L = exponent;
    for (int64_t i = 0; i < brute->data->rows; i++) {
        brute->P[i] = law_fixed(brute_weight(brute, i) * brute->m[i], exponent);
        total += brute->P[i];
    }
    return total;
}

static int64_t brute_draw(const struct brute *brute, int64_t index, int128 total)
{
    int128 r =
        seed_scaled(philox_u64(brute->seed, (uint64_t)index, PHILOX_DRAW, brute->run), total);
    int128 running = 0;

    for (int64_t i = 0; i < brute->data->rows; i++)
        if ((running += brute->P[i]) > r)
            return i;
    return -1;
}

static double brute_distance(const struct brute *brute, int64_t a, int64_t b)
{
    int64_t columns = brute->data->columns;
    return law_canonical(brute->x + a * columns, brute->x + b * columns, columns);
}

static int128 brute_trial(const struct brute *brute, int64_t candidate, int32_t L)
{
    int128 total = 0;

    for (int64_t i = 0; i < brute->data->rows; i++)
        total += law_fixed(
            brute_weight(brute, i) * fmin(brute->m[i], brute_distance(brute, i, candidate)), L);
    return total;
}

static void brute_plus_plus(struct brute *brute, int64_t clusters, int64_t *row)
{
    int64_t t = 2 + (int64_t)floor(log((double)clusters)), index = 0;
    int32_t L;

    for (int64_t i = 0; i < brute->data->rows; i++)
        brute->m[i] = 1;
    row[0] = brute_draw(brute, index++, brute_potential(brute, &L));
    for (int64_t i = 0; i < brute->data->rows; i++)
        brute->m[i] = brute_distance(brute, i, row[0]);
    for (int64_t j = 1; j < clusters; j++) {
        int128 total = brute_potential(brute, &L), least = 0;
        row[j] = -1; /* no row is left */
        for (int64_t c = 0; total > 0 && c < t; c++) {
            int64_t candidate = brute_draw(brute, index++, total);
            int128 left = brute_trial(brute, candidate, L);
            if (c == 0 || left < least) {
                least = left;
                row[j] = candidate;
            }
        }
        for (int64_t i = 0; row[j] >= 0 && i < brute->data->rows; i++)
            brute->m[i] = fmin(brute->m[i], brute_distance(brute, i, row[j]));
    }
}

static void brute_random_weighted(struct brute *brute, int64_t clusters, int64_t *row)
{
    int32_t L;

    for (int64_t i = 0; i < brute->data->rows; i++)
        brute->m[i] = 1;
    for (int64_t j = 0; j < clusters; j++) {
        row[j] = brute_draw(brute, j, brute_potential(brute, &L));
        brute->m[row[j]] = 0;
    }
}

static void brute_random(struct brute *brute, int64_t clusters, int64_t *row)
{
    for (int64_t j = 0; j < clusters; j++) {
        row[j] = -1;
        for (int64_t i = 0; i < brute->data->rows; i++) {
            uint64_t key = philox_u64(brute->seed, (uint64_t)i, PHILOX_ROW_KEY, brute->run);
            bool used = brute_weight(brute, i) == 0;
            for (int64_t before = 0; before < j; before++)
                used |= row[before] == i;
            if (!used && (row[j] < 0 || key < philox_u64(brute->seed, (uint64_t)row[j],
                                                         PHILOX_ROW_KEY, brute->run)))
                row[j] = i;
        }
    }
}

static struct brute brute_new(const struct data *data, uint64_t seed)
{
    return (struct brute){.data = data,
                          .x = data_rows(data, NULL, data->rows),
                          .m = malloc((size_t)data->rows * sizeof(double)),
                          .P = malloc((size_t)data->rows * sizeof(int128)),
                          .seed = seed};
}

static void brute_free(struct brute *brute)
{
    free(brute->x);
    free(brute->m);
    free(brute->P);
}

/* The seeded rows of the last run of a fit with n_init runs. */
static bool seeded_rows(struct check *check, const struct machine *machine,
                        const struct matrix *matrix, const double *weight,
                        const struct kmeans_params *params, int64_t *row, double *centers)
{
    struct fit_input input = {
        .name = "X", .matrix = matrix, .sample_weight = weight, .residency = machine->residency};
    struct fit *fit = NULL;
    bool ended;

    if (!check_equal_i64(check,
                         fit_open(machine->backend, machine->device, &input, params, &fit, NULL),
                         STATUS_OK))
        return false;
    while (fit->state.stage != FIT_ROUNDS || fit->state.run < params->n_init - 1) {
        if (!check_equal_i64(check, fit_step(fit, NULL), STATUS_OK))
            break;
    }
    memcpy(row, fit->state.seed_row, (size_t)params->n_clusters * sizeof *row);
    if (centers)
        memcpy(centers, fit->state.centers,
               (size_t)(params->n_clusters * matrix->columns) * sizeof *centers);
    ended = fit->state.stage == FIT_ROUNDS;
    fit_close(&fit);
    return ended;
}

/* Every machine, chunks, and a few runs against the brute force. */
static void picks_compare(struct check *check, const char *what, const struct data *data,
                          int64_t clusters, enum init init,
                          void (*brute_pick)(struct brute *, int64_t, int64_t *))
{
    const int64_t chunks[] = {0, law_size(1, 19), 50};
    struct machines machines = machines_open(check, threads);
    int64_t *want = malloc((size_t)clusters * sizeof *want);
    int64_t *got = malloc((size_t)clusters * sizeof *got);

    for (int64_t trial = 0; trial < law_size(6, 2); trial++) {
        struct brute brute = brute_new(data, (uint64_t)trial * 0x100000001u);
        brute.run = (uint32_t)trial % 3;
        brute_pick(&brute, clusters, want);
        for (int m = 0; m < machines.count; m++) {
            struct view view;
            struct kmeans_params params = {.n_clusters = clusters,
                                           .max_iter = 1,
                                           .init = init,
                                           .n_init = 1 + (int64_t)brute.run,
                                           .random_state = brute.seed};
            check_note(check, "%s, trial %" PRId64 ", %s", what, trial, machines.machine[m].name);
            view_open(check, data, chunks[(trial + m) % 3], &view);
            if (seeded_rows(check, &machines.machine[m], &view.matrix, data->weight, &params, got,
                            NULL))
                for (int64_t j = 0; j < clusters; j++)
                    check_equal_i64(check, got[j], want[j]);
            view_close(&view);
        }
        brute_free(&brute);
    }
    free(want);
    free(got);
    machines_close(&machines);
}

static void plus_plus_is_brute_force_pick_by_pick(struct check *check)
{
    struct data f64 = data_blobs(NUMBER_F64, law_size(211, 50), 3, 8, 1, 1);
    struct data f32 = data_blobs(NUMBER_F32, law_size(180, 60), 9, 8, 1, 2);
    struct data weighted = data_blobs(NUMBER_F64, law_size(190, 45), 4, 8, 1, 3);
    struct data integers = data_new(NUMBER_F32, law_size(150, 40), 2); /* ties, few distinct rows */

    data_weigh(&weighted, 8);
    for (int64_t i = 0; i < 2 * integers.rows; i++)
        data_set(&integers, i / 2, i % 2, (double)(i * i % 3));
    picks_compare(check, "f64", &f64, law_size(10, 6), INIT_KMEANS_PLUS_PLUS, brute_plus_plus);
    picks_compare(check, "f32", &f32, law_size(25, 8), INIT_KMEANS_PLUS_PLUS, brute_plus_plus);
    picks_compare(check, "weighted", &weighted, law_size(9, 5), INIT_KMEANS_PLUS_PLUS,
                  brute_plus_plus);
    picks_compare(check, "one", &weighted, 1, INIT_KMEANS_PLUS_PLUS, brute_plus_plus);
    picks_compare(check, "integers", &integers, 7, INIT_KMEANS_PLUS_PLUS, brute_plus_plus);
    data_free(&f64);
    data_free(&f32);
    data_free(&weighted);
    data_free(&integers);
}

static void random_rows_are_brute_force_pick_by_pick(struct check *check)
{
    struct data plain = data_blobs(NUMBER_F32, law_size(211, 50), 3, 8, 1, 1);
    struct data ones = data_copy(&plain), weighted = data_copy(&plain);

    data_weigh(&weighted, 8);
    ones.weight = malloc((size_t)ones.rows * sizeof *ones.weight);
    for (int64_t i = 0; i < ones.rows; i++)
        ones.weight[i] = i % 5 ? 0.25 : 0;
    picks_compare(check, "plain", &plain, 10, INIT_RANDOM, brute_random);
    picks_compare(check, "all", &plain, plain.rows, INIT_RANDOM, brute_random);
    picks_compare(check, "equal weights", &ones, 10, INIT_RANDOM, brute_random);
    picks_compare(check, "weighted", &weighted, 10, INIT_RANDOM, brute_random_weighted);
    data_free(&plain);
    data_free(&ones);
    data_free(&weighted);
}

static void weights_of_one_draw_like_none(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    struct data plain = data_blobs(NUMBER_F64, 97, 2, 5, 1, 6), ones = data_copy(&plain);
    struct kmeans_result a, b;

    ones.weight = malloc((size_t)ones.rows * sizeof *ones.weight);
    for (int64_t i = 0; i < ones.rows; i++)
        ones.weight[i] = 1;
    for (int init = INIT_KMEANS_PLUS_PLUS; init <= INIT_RANDOM; init++)
        for (uint64_t seed = 0; seed < (uint64_t)law_size(5, 2); seed++) {
            struct kmeans_params params = {
                .n_clusters = 6, .max_iter = 9, .init = (enum init)init, .random_state = seed};
            check_note(check, "init %d, seed %d", init, (int)seed);
            law_fit(check, machine_tested(&machines), &plain, 0, &params, &a);
            law_fit(check, machine_tested(&machines), &ones, 0, &params, &b);
            results_equal(check, &b, &a);
            kmeans_result_free(&a);
            kmeans_result_free(&b);
        }
    data_free(&plain);
    data_free(&ones);
    machines_close(&machines);
}

static void fewer_distinct_rows_than_clusters_repeat_the_first_center(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    struct data data = data_new(NUMBER_F64, 40, 2);

    for (int64_t i = 0; i < 80; i++)
        data_set(&data, i / 2, i % 2, (double)(i / 2 % 3));
    for (int m = 0; m < machines.count; m++) {
        struct kmeans_params params = {.n_clusters = 6, .max_iter = 20};
        struct kmeans_result got;
        check_note(check, "%s", machines.machine[m].name);
        if (law_fit(check, &machines.machine[m], &data, 0, &params, &got)) {
            check_equal_i64(check, got.distinct_below, 1);
            check_equal_i64(check, got.empty, 3);
            check_equal_bits(check, got.inertia, 0);
            for (int64_t j = 3; j < 6; j++) {
                check_equal_i64(check, got.sizes[j], 0);
                check_equal_bytes(check, got.centers + 2 * j, got.centers, 2 * sizeof(double));
            }
        }
        kmeans_result_free(&got);
    }
    data_free(&data);
    machines_close(&machines);
}

/* Pearson's statistic; the bound is the 1 - 1e-6 quantile by Wilson and Hilferty. Seeds are fixed,
 * so it either always holds or never. */
static void frequencies_fit(struct check *check, const int64_t *seen, const double *probability,
                            int cells)
{
    double total = 0, statistic = 0, used = 0;

    for (int i = 0; i < cells; i++)
        total += (double)seen[i];
    for (int i = 0; i < cells; i++) {
        double expected = total * probability[i];
        if (probability[i] == 0) {
            check_equal_i64(check, seen[i], 0);
            continue;
        }
        used++;
        statistic += ((double)seen[i] - expected) * ((double)seen[i] - expected) / expected;
    }
    double f = used - 1, z = 4.753, cube = 1 - 2 / (9 * f) + z * sqrt(2 / (9 * f));
    if (!(statistic < f * cube * cube * cube))
        check_failed(check, __FILE__, __LINE__, "chi-square is %g with %g degrees of freedom",
                     statistic, f);
}

enum { CELL_ROWS = 6, CELLS = CELL_ROWS * CELL_ROWS, DRAWS = CHECK_SANITIZED ? 1500 : 9000 };

static struct data few_rows(bool weighted)
{
    static const double at[CELL_ROWS] = {0, 1, 1.5, 4, 4.25, 9};
    static const double weight[CELL_ROWS] = {1, 3, 0.5, 2, 2, 0.75};
    struct data data = data_new(NUMBER_F64, CELL_ROWS, 1);

    for (int64_t i = 0; i < CELL_ROWS; i++)
        data_set(&data, i, 0, at[i]);
    if (weighted) {
        data.weight = malloc(sizeof weight);
        memcpy(data.weight, weight, sizeof weight);
    }
    return data;
}

/* How often each ordered pair of rows is picked, over many seeds; by a cpu, whose picks for the first
 * seeds are those of a plug-in that is tested. */
static void pairs_count(struct check *check, const struct data *data, enum init init, int64_t *seen)
{
    static const int one[] = {1, 0};
    struct machines machines = machines_open(check, one);
    struct view view;

    view_open(check, data, 4, &view);
    memset(seen, 0, CELLS * sizeof *seen);
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        struct kmeans_params params = {
            .n_clusters = 2, .max_iter = 1, .n_init = 1, .init = init, .random_state = seed};
        int64_t row[2], there[2];
        if (!seeded_rows(check, &machines.machine[1], &view.matrix, data->weight, &params, row,
                         NULL))
            break;
        if (seed < 20 && seeded_rows(check, machine_tested(&machines), &view.matrix, data->weight,
                                     &params, there, NULL))
            check_equal_bytes(check, there, row, sizeof row);
        seen[row[0] * CELL_ROWS + row[1]]++;
    }
    view_close(&view);
    machines_close(&machines);
}

static double weight_at(const struct data *data, int64_t row)
{
    return data->weight ? data->weight[row] : 1;
}

/* Greedy k-means++ with two candidates after the first row `i`, enumerated. */
static void plus_plus_expect(const struct data *data, int64_t i, double first, double *probability)
{
    double p[CELL_ROWS], left[CELL_ROWS] = {0}, total = 0;

    for (int64_t a = 0; a < CELL_ROWS; a++)
        total += p[a] = weight_at(data, a) * pow(data_at(data, a, 0) - data_at(data, i, 0), 2);
    for (int64_t a = 0; a < CELL_ROWS; a++)
        for (int64_t b = 0; b < CELL_ROWS; b++)
            left[a] +=
                fmin(p[b], weight_at(data, b) * pow(data_at(data, b, 0) - data_at(data, a, 0), 2));
    for (int64_t a = 0; a < CELL_ROWS; a++)
        for (int64_t b = 0; b < CELL_ROWS; b++)
            probability[i * CELL_ROWS + (left[b] < left[a] ? b : a)] +=
                first * p[a] / total * p[b] / total;
}

static void picks_fall_as_often_as_they_should(struct check *check)
{
    for (int weighted = 0; weighted < 2; weighted++) {
        struct data data = few_rows(weighted);
        double plus_plus[CELLS] = {0}, random[CELLS] = {0}, total = 0;
        int64_t seen[CELLS];
        for (int64_t i = 0; i < CELL_ROWS; i++)
            total += weight_at(&data, i);
        for (int64_t i = 0; i < CELL_ROWS; i++) {
            double w = weight_at(&data, i);
            plus_plus_expect(&data, i, w / total, plus_plus);
            for (int64_t j = 0; j < CELL_ROWS; j++)
                if (j != i)
                    random[i * CELL_ROWS + j] = w / total * weight_at(&data, j) / (total - w);
        }
        check_note(check, "k-means++, weighted %d", weighted);
        pairs_count(check, &data, INIT_KMEANS_PLUS_PLUS, seen);
        frequencies_fit(check, seen, plus_plus, CELLS);
        check_note(check, "random, weighted %d", weighted);
        pairs_count(check, &data, INIT_RANDOM, seen);
        frequencies_fit(check, seen, random, CELLS);
        data_free(&data);
    }
}

CHECKS(CLAIM(philox_gives_the_known_answers), CLAIM(a_draw_is_scaled_exactly),
       CLAIM(candidates_are_two_and_the_logarithm), CLAIM(plus_plus_is_brute_force_pick_by_pick),
       CLAIM(random_rows_are_brute_force_pick_by_pick), CLAIM(weights_of_one_draw_like_none),
       CLAIM(fewer_distinct_rows_than_clusters_repeat_the_first_center),
       CLAIM(picks_fall_as_often_as_they_should))
