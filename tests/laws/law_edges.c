/* law_edges.c - law 7: the smallest, emptiest, heaviest and most equal data. */
#include <math.h>

#include "tests/laws/law.h"

static const int threads[] = {1, 3, 0};

/* Neither is left out when the other fails: what they leave is freed in any case. */
static bool both(bool one, bool other)
{
    return one && other;
}

static void one_cluster_is_the_mean(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    struct data data = data_blobs(NUMBER_F64, 333, 4, 3, 2, 1);

    for (int m = 0; m < machines.count; m++) {
        struct kmeans_params params = {.n_clusters = 1, .max_iter = 300};
        struct kmeans_result got;
        check_note(check, "%s", machines.machine[m].name);
        if (law_fit(check, &machines.machine[m], &data, 0, &params, &got))
            for (int64_t d = 0; d < 4; d++) {
                long double sum = 0;
                for (int64_t i = 0; i < data.rows; i++)
                    sum += data_at(&data, i, d);
                check_near(check, got.centers[d], (double)(sum / 333), 1e-15);
            }
        check_equal_i64(check, got.n_iter, 2);
        kmeans_result_free(&got);
    }
    data_free(&data);
    machines_close(&machines);
}

static void as_many_clusters_as_rows_leave_nothing(struct check *check)
{
    const int64_t k = law_size(37, 15);
    struct machines machines = machines_open(check, threads);
    struct data data = data_blobs(NUMBER_F32, k, 3, 5, 2, 1);

    for (int m = 0; m < machines.count; m++)
        for (int init = INIT_KMEANS_PLUS_PLUS; init <= INIT_RANDOM; init++) {
            struct kmeans_params params = {
                .n_clusters = k, .max_iter = 300, .init = (enum init)init};
            struct kmeans_result got;
            check_note(check, "%s, init %d", machines.machine[m].name, init);
            if (law_fit(check, &machines.machine[m], &data, 0, &params, &got)) {
                check_equal_bits(check, got.inertia, 0);
                check_equal_i64(check, got.empty, 0);
            }
            kmeans_result_free(&got);
        }
    data_free(&data);
    machines_close(&machines);
}

static void too_few_rows_are_refused(struct check *check)
{
    static const int one[] = {1, 0};
    struct machines machines = machines_open(check, one);
    struct data data = data_blobs(NUMBER_F64, 9, 2, 3, 1, 1);
    struct data none = data_new(NUMBER_F32, 0, 3);
    struct kmeans_params params = {.n_clusters = 10, .max_iter = 5};
    struct error error;

    check_equal_i64(check, law_fit_status(machine_tested(&machines), &data, &params, &error),
                    STATUS_TOO_FEW_ROWS);
    check_equal_text(check, error_value(&error, "rows"), "9");
    params.n_clusters = 1;
    check_equal_i64(check, law_fit_status(machine_tested(&machines), &none, &params, &error),
                    STATUS_TOO_FEW_ROWS);
    params.n_clusters = 8;
    data_weigh(&data, 1);
    data.weight[5] = 0;
    check_equal_i64(check, law_fit_status(machine_tested(&machines), &data, &params, &error),
                    STATUS_TOO_FEW_ROWS);
    check_equal_text(check, error_value(&error, "rows"), "7");
    data_set(&data, 0, 0, NAN);
    params.n_clusters = 7;
    params.non_finite = NON_FINITE_SKIP;
    check_equal_i64(check, law_fit_status(machine_tested(&machines), &data, &params, &error),
                    STATUS_TOO_FEW_ROWS);
    check_equal_text(check, error_value(&error, "rows"), "6");
    data_free(&data);
    data_free(&none);
    machines_close(&machines);
}

/* Rows that a fit must not see: NaN and Inf under SKIP, weight 0. */
static struct data with_strangers(const struct data *data, double value, double weight,
                                  int64_t *row_of)
{
    struct data out = data_new(data->number, data->rows + data->rows / 4, data->columns);
    int64_t from = 0;

    out.weight = malloc((size_t)out.rows * sizeof *out.weight);
    for (int64_t i = 0; i < out.rows; i++) {
        bool stranger = i % 5 == 1;
        row_of[i] = stranger ? -1 : from;
        out.weight[i] = stranger ? weight : data->weight ? data->weight[from] : 1;
        for (int64_t d = 0; d < data->columns; d++)
            data_set(&out, i, d,
                     stranger ? (d == i % data->columns ? value : 1) : data_at(data, from, d));
        from += !stranger;
    }
    return out;
}

static void strangers_change_nothing(struct check *check, const struct machine *machine,
                                     const struct data *data, const struct data *mixed,
                                     const int64_t *row_of, enum non_finite non_finite)
{
    double *centers = data_rows(data, NULL, 6);
    struct kmeans_params params = {.n_clusters = 6,
                                   .max_iter = law_size(50, 4),
                                   .tol = 1e-4,
                                   .history = true,
                                   .init = INIT_CENTERS,
                                   .init_centers = centers,
                                   .non_finite = non_finite};
    struct kmeans_result want, got;
    bool ended = both(law_fit(check, machine, data, 0, &params, &want),
                      law_fit(check, machine, mixed, law_size(9, 30), &params, &got));

    if (ended) {
        check_equal_bits(check, got.inertia, want.inertia);
        check_equal_i64(check, got.n_iter, want.n_iter);
        check_equal_bytes(check, got.centers, want.centers,
                          6 * (size_t)data->columns * sizeof(double));
        check_equal_bytes(check, got.sizes, want.sizes, 6 * sizeof(int64_t));
        for (int64_t i = 0; i < mixed->rows; i++)
            if (row_of[i] >= 0)
                check_equal_i64(check, got.labels[i], want.labels[row_of[i]]);
            else if (non_finite == NON_FINITE_SKIP)
                check_equal_i64(check, got.labels[i], -1);
            else
                check_true(check, got.labels[i] >= 0);
        check_equal_i64(check, got.skipped,
                        non_finite == NON_FINITE_SKIP ? mixed->rows - data->rows : 0);
    }
    kmeans_result_free(&want);
    kmeans_result_free(&got);
    free(centers);
}

static void skipped_rows_and_rows_of_weight_0_change_nothing(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    int64_t row_of[500];

    for (int number = NUMBER_F32; number <= NUMBER_F64; number++)
        for (int weighted = 0; weighted < 2; weighted++) {
            if (law_emulated() && weighted != (number == NUMBER_F32))
                continue;
            struct data data = data_blobs((enum number)number, law_size(400, 56), 5, 6, 3, 5);
            if (weighted)
                data_weigh(&data, 2);
            struct data nans = with_strangers(&data, NAN, 1, row_of);
            struct data infinite = with_strangers(&data, -INFINITY, 7, row_of);
            struct data weightless = with_strangers(&data, 3, 0, row_of);
            for (int m = 0; m < machines.count; m++) {
                const struct machine *machine = &machines.machine[m];
                check_note(check, "%s, f%d, weighted %d", machine->name, 32 * number, weighted);
                strangers_change_nothing(check, machine, &data, &nans, row_of, NON_FINITE_SKIP);
                strangers_change_nothing(check, machine, &data, &infinite, row_of, NON_FINITE_SKIP);
                strangers_change_nothing(check, machine, &data, &weightless, row_of,
                                         NON_FINITE_REJECT);
            }
            data_free(&data);
            data_free(&nans);
            data_free(&infinite);
            data_free(&weightless);
        }
    machines_close(&machines);
}

static void the_first_value_that_is_not_finite_is_named(struct check *check)
{
    static const int one[] = {2, 0};
    struct machines machines = machines_open(check, one);
    struct kmeans_params params = {.n_clusters = 3, .max_iter = 5};
    struct error error;

    for (int m = 0; m < machines.count; m++) {
        struct data data = data_blobs(NUMBER_F32, 5000, 6, 3, 1, 1);
        check_note(check, "%s", machines.machine[m].name);
        data_set(&data, 4500, 0, NAN);
        data_set(&data, 4200, 5, NAN);
        data_set(&data, 4200, 2, INFINITY);
        check_equal_i64(check, law_fit_status(&machines.machine[m], &data, &params, &error),
                        STATUS_NON_FINITE);
        check_equal_text(check, error_value(&error, "what"), "X");
        check_equal_text(check, error_value(&error, "count"), "3");
        check_equal_text(check, error_value(&error, "row"), "4200");
        check_equal_text(check, error_value(&error, "column"), "2");
        check_equal_text(check, error_value(&error, "value"), "inf");
        data_free(&data);
    }
    machines_close(&machines);
}

static void values_and_weights_out_of_range_are_named(struct check *check)
{
    static const int one[] = {2, 0};
    static const double bad[] = {-1, NAN, INFINITY, 0x1.1p500, -1e-300};
    struct machines machines = machines_open(check, one);
    const struct machine *machine = machine_tested(&machines);
    struct kmeans_params params = {.n_clusters = 3, .max_iter = 5};
    struct data data = data_blobs(NUMBER_F64, 50, 2, 3, 1, 1);
    struct error error;

    data_set(&data, 17, 1, -0x1.0000000000001p500);
    check_equal_i64(check, law_fit_status(machine, &data, &params, &error),
                    STATUS_ROW_OUT_OF_RANGE);
    check_equal_text(check, error_value(&error, "row"), "17");
    check_equal_text(check, error_value(&error, "column"), "1");
    data_set(&data, 17, 1, -0x1p500); /* the last one that is allowed */
    check_equal_i64(check, law_fit_status(machine, &data, &params, &error), STATUS_OK);
    data_weigh(&data, 3);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        data.weight[30] = bad[i];
        check_note(check, "weight %g", bad[i]);
        check_equal_i64(check, law_fit_status(machine, &data, &params, &error),
                        STATUS_OUT_OF_RANGE);
        check_equal_text(check, error_value(&error, "what"), "sample_weight of row 30");
    }
    data.weight[30] = 0x1p30; /* times (2^500)^2 */
    check_equal_i64(check, law_fit_status(machine, &data, &params, &error), STATUS_OUT_OF_RANGE);
    check_equal_text(check, error_value(&error, "what"), "sample_weight of row 30");
    data_free(&data);
    machines_close(&machines);
}

static void weights_of_one_are_no_weights(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    struct data plain = data_blobs(NUMBER_F32, law_size(300, 70), 5, 6, 3, 5),
                ones = data_copy(&plain);
    struct kmeans_params params = {.n_clusters = 7, .max_iter = law_size(60, 5), .history = true};
    struct kmeans_result want, got;

    ones.weight = malloc((size_t)ones.rows * sizeof *ones.weight);
    for (int64_t i = 0; i < ones.rows; i++)
        ones.weight[i] = 1;
    for (int m = 0; m < machines.count; m++) {
        check_note(check, "%s", machines.machine[m].name);
        if (both(law_fit(check, &machines.machine[m], &plain, 0, &params, &want),
                 law_fit(check, &machines.machine[m], &ones, 0, &params, &got)))
            results_equal(check, &got, &want);
        kmeans_result_free(&want);
        kmeans_result_free(&got);
    }
    data_free(&plain);
    data_free(&ones);
    machines_close(&machines);
}

static void a_power_of_two_in_all_weights_scales_inertia_alone(struct check *check)
{
    static const int powers[] = {1, -1, 60, -60, 400, -400};
    struct machines machines = machines_open(check, threads);
    struct data base = data_blobs(NUMBER_F64, law_size(200, 80), 3, 5, 3, 5), scaled = {0};
    struct kmeans_params params = {.n_clusters = 6, .max_iter = 40};
    struct kmeans_result want, got;

    data_weigh(&base, 6);
    for (int m = 0; m < machines.count; m++) {
        check_note(check, "%s", machines.machine[m].name);
        bool fitted = law_fit(check, &machines.machine[m], &base, 0, &params, &want);
        for (size_t p = 0; fitted && p < sizeof powers / sizeof *powers; p++) {
            struct kmeans_result wanted = want;
            check_note(check, "%s, 2^%d", machines.machine[m].name, powers[p]);
            scaled = data_copy(&base);
            for (int64_t i = 0; i < scaled.rows; i++)
                scaled.weight[i] = ldexp(scaled.weight[i], powers[p]);
            wanted.inertia = ldexp(want.inertia, powers[p]);
            if (law_fit(check, &machines.machine[m], &scaled, 0, &params, &got))
                results_equal(check, &got, &wanted);
            kmeans_result_free(&got);
            data_free(&scaled);
        }
        kmeans_result_free(&want);
    }
    data_free(&base);
    machines_close(&machines);
}

/* fp32 with a largest value near 8: bits down to 2^-20 of it are exact beside weights up to 15. */
static void whole_weights_are_repeated_rows(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    struct data heavy = data_blobs(NUMBER_F32, 150, 3, 5, 2, 15);
    int64_t rows = 0, at = 0;

    heavy.weight = malloc((size_t)heavy.rows * sizeof *heavy.weight);
    for (int64_t i = 0; i < heavy.rows; i++)
        rows += (int64_t)(heavy.weight[i] = (double)(i * i % 16));
    struct data repeated = data_new(NUMBER_F32, rows, 3);
    for (int64_t i = 0; i < heavy.rows; i++)
        for (int64_t r = 0; r < (int64_t)heavy.weight[i]; r++, at++)
            for (int64_t d = 0; d < 3; d++)
                data_set(&repeated, at, d, data_at(&heavy, i, d));
    double *centers = data_rows(&heavy, NULL, 7);
    struct kmeans_params params = {
        .n_clusters = 7, .max_iter = 90, .init = INIT_CENTERS, .init_centers = centers};
    for (int m = 0; m < machines.count; m++) {
        struct kmeans_result one, many;
        check_note(check, "%s", machines.machine[m].name);
        if (both(law_fit(check, &machines.machine[m], &heavy, 0, &params, &one),
                 law_fit(check, &machines.machine[m], &repeated, 0, &params, &many))) {
            check_equal_bytes(check, one.centers, many.centers, 7 * 3 * sizeof(double));
            check_equal_i64(check, one.n_iter, many.n_iter);
            check_near(check, one.inertia, many.inertia, 1e-15);
        }
        kmeans_result_free(&one);
        kmeans_result_free(&many);
    }
    free(centers);
    data_free(&heavy);
    data_free(&repeated);
    machines_close(&machines);
}

/* Beside a weight of 1e16, ones still have 27 bits; at 2^-79 of the largest a row counts, but its
 * place is known to a bit; below 2^-80 it does not count. */
static void light_rows_count_down_to_2_to_the_minus_80(struct check *check)
{
    static const double x[] = {0, 1, 3, 1000, 1001}, heavy[] = {1e16, 0x1p79, 0x1.8p80};
    struct machines machines = machines_open(check, threads);

    for (int m = 0; m < machines.count; m++)
        for (int trial = 0; trial < 3; trial++) {
            struct data data = data_new(NUMBER_F64, 5, 1);
            double centers[] = {0, 1000};
            data.weight = malloc(5 * sizeof *data.weight);
            for (int64_t i = 0; i < 5; i++) {
                data_set(&data, i, 0, x[i]);
                data.weight[i] = i % 3 == 0 ? heavy[trial] : 1;
            }
            struct kmeans_params params = {.n_clusters = 2,
                                           .max_iter = 1,
                                           .init = INIT_CENTERS,
                                           .init_centers = centers,
                                           .empty_clusters = EMPTY_KEEP};
            struct kmeans_result got;
            check_note(check, "%s, heavy %g", machines.machine[m].name, heavy[trial]);
            if (law_fit(check, &machines.machine[m], &data, 0, &params, &got)) {
                check_equal_i64(check, got.sizes[0], trial == 2 ? 1 : 3);
                check_equal_i64(check, got.sizes[1], trial == 2 ? 1 : 2);
                if (trial == 0) {
                    check_near(check, got.centers[0], 4 / (1e16 + 2), 1e-8);
                    check_near(check, got.centers[1], 1000, 1e-15);
                }
            }
            kmeans_result_free(&got);
            data_free(&data);
        }
    machines_close(&machines);
}

static void negative_zero_counts_as_zero(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    struct data plus = data_new(NUMBER_F32, 90, 2), minus = data_new(NUMBER_F32, 90, 2);
    struct kmeans_params params = {.n_clusters = 4, .max_iter = 9};
    struct kmeans_result want, got;

    for (int64_t i = 0; i < 180; i++) {
        data_set(&plus, i / 2, i % 2, i % 3 ? (double)(i % 4) : 0.0);
        data_set(&minus, i / 2, i % 2, i % 3 && i % 4 ? (double)(i % 4) : -0.0);
    }
    for (int m = 0; m < machines.count; m++) {
        check_note(check, "%s", machines.machine[m].name);
        if (both(law_fit(check, &machines.machine[m], &plus, 0, &params, &want),
                 law_fit(check, &machines.machine[m], &minus, 0, &params, &got)))
            results_equal(check, &got, &want);
        kmeans_result_free(&want);
        kmeans_result_free(&got);
    }
    data_free(&plus);
    data_free(&minus);
    machines_close(&machines);
}

static void predict_skips_or_refuses_as_a_fit_does(struct check *check)
{
    static const int one[] = {2, 0};
    struct machines machines = machines_open(check, one);
    struct data data = data_blobs(NUMBER_F64, 30, 2, 3, 1, 1);
    double centers[] = {0, 0, 5, 5}, distances[60];
    int32_t labels[30];

    data_set(&data, 11, 1, INFINITY);
    for (int m = 0; m < machines.count; m++) {
        const struct machine *machine = &machines.machine[m];
        struct model *model = NULL;
        struct view view;
        struct error error;
        check_note(check, "%s", machine->name);
        view_open(check, &data, 7, &view);
        const struct fit_input input = {
            .name = "rows", .matrix = &view.matrix, .residency = machine->residency};
        model_of_centers(centers, 2, 2, NUMBER_F64, &model, NULL);
        check_equal_i64(check,
                        score_predict(machine->backend, machine->device, &input, model,
                                      NON_FINITE_REJECT, NULL, labels, NULL, &error),
                        STATUS_NON_FINITE);
        check_equal_text(check, error_value(&error, "row"), "11");
        check_equal_i64(check,
                        score_predict(machine->backend, machine->device, &input, model,
                                      NON_FINITE_SKIP, NULL, labels, distances, &error),
                        STATUS_OK);
        for (int i = 0; i < 30; i++) {
            check_true(check, i == 11 ? labels[i] == -1 : labels[i] == 0 || labels[i] == 1);
            check_true(check, isnan(distances[2 * i]) == (i == 11));
        }
        model_unpin(&model);
        model_of_centers(centers, 1, 4, NUMBER_F64, &model, NULL);
        check_equal_i64(check,
                        score_predict(machine->backend, machine->device, &input, model,
                                      NON_FINITE_SKIP, NULL, labels, NULL, &error),
                        STATUS_SHAPE_MISMATCH);
        model_unpin(&model);
        view_close(&view);
    }
    data_free(&data);
    machines_close(&machines);
}

CHECKS(CLAIM(one_cluster_is_the_mean), CLAIM(as_many_clusters_as_rows_leave_nothing),
       CLAIM(too_few_rows_are_refused), CLAIM(skipped_rows_and_rows_of_weight_0_change_nothing),
       CLAIM(the_first_value_that_is_not_finite_is_named),
       CLAIM(values_and_weights_out_of_range_are_named), CLAIM(weights_of_one_are_no_weights),
       CLAIM(a_power_of_two_in_all_weights_scales_inertia_alone),
       CLAIM(whole_weights_are_repeated_rows), CLAIM(light_rows_count_down_to_2_to_the_minus_80),
       CLAIM(negative_zero_counts_as_zero), CLAIM(predict_skips_or_refuses_as_a_fit_does))
