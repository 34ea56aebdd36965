/* law_batch_host.c - a batch over a device: however it is cut, each problem is its fit alone. */
#include <math.h>

#include "host/cluster/batch.h"
#include "tests/laws/batch_case.h"

static const int threads[] = {1, 3, 0};

/* A case as batch_fit takes it, with some n_clusters that nobody can have. */
struct asked {
    struct batch_case batch;
    struct matrix matrix; /* its chunks lie apart */
    int64_t *n_clusters;
    struct batch_input input;
    struct kmeans_params params;
};

/* Chunks of `chunk_rows` rows (0: one), each in memory of its own that ends where it ends. */
static struct matrix matrix_new(const struct batch_case *batch, int64_t chunk_rows)
{
    int64_t rows = batch->row[batch->fits.problems], columns = batch->fits.columns;
    int64_t each = chunk_rows > 0 ? chunk_rows : rows + 1;
    size_t size = batch->fits.number == NUMBER_F32 ? sizeof(float) : sizeof(double);
    struct matrix matrix = {.number = batch->fits.number,
                            .rows = rows,
                            .columns = columns,
                            .chunks = (int)((rows + each - 1) / each)};

    matrix.chunk = calloc((size_t)matrix.chunks + 1, sizeof *matrix.chunk);
    for (int i = 0; i < matrix.chunks; i++) {
        int64_t first = i * each, count = rows - first < each ? rows - first : each;
        size_t bytes = (size_t)(count * columns) * size;
        void *values = malloc(bytes);
        memcpy(values, (const char *)batch->values + (size_t)(first * columns) * size, bytes);
        matrix.chunk[i] = (struct rows){.values = values, .first = first, .count = count};
    }
    return matrix;
}

static void matrix_free(struct matrix *matrix)
{
    for (int i = 0; i < matrix->chunks; i++)
        free((void *)(uintptr_t)matrix->chunk[i].values);
    free(matrix->chunk);
}

static void asked_open(struct asked *asked, uint64_t seed, int64_t chunk_rows)
{
    int64_t problems;

    asked->batch = case_new(seed, seed % 10 ? 30 : 300, 6);
    problems = asked->batch.fits.problems;
    asked->matrix = matrix_new(&asked->batch, chunk_rows);
    asked->params = case_params(&asked->batch, 0);
    asked->params.init_centers = asked->batch.fits.centers;
    asked->n_clusters = calloc((size_t)problems, sizeof *asked->n_clusters);
    for (int64_t p = 0; p < problems; p++) {
        asked->n_clusters[p] = asked->batch.center[p + 1] - asked->batch.center[p];
        if (!asked->params.init_centers && (seed + (uint64_t)p) % 7 == 0)
            asked->n_clusters[p] = p % 2 ? 0 : (int64_t)1 << 40;
    }
    asked->input = (struct batch_input){.name = "X",
                                        .matrix = &asked->matrix,
                                        .sample_weight = asked->batch.weight,
                                        .problems = problems,
                                        .row = asked->batch.row,
                                        .n_clusters = asked->n_clusters,
                                        .random_state = asked->batch.random_state,
                                        .init_rows = asked->batch.center[problems]};
}

static void asked_close(struct asked *asked)
{
    matrix_free(&asked->matrix);
    free(asked->n_clusters);
    case_free(&asked->batch);
}

/* Some weights that no fit takes, and centers too: those are the host's to find. */
static void asked_spoil(struct asked *asked, uint64_t seed)
{
    int64_t rows = asked->matrix.rows, centers = asked->input.init_rows * asked->matrix.columns;

    for (int64_t i = (int64_t)(seed % 50); asked->batch.weight && i < rows; i += 97)
        asked->batch.weight[i] = i % 2 ? -1 : (double)NAN;
    for (int64_t i = (int64_t)(seed % 50); asked->params.init_centers && i < centers; i += 89)
        asked->batch.centers[i] = i % 2 ? (double)INFINITY : -0.0;
}

static void same_error(struct check *check, const struct batch_result *result, int64_t p,
                       const struct error *want)
{
    char got_text[1024], want_text[1024];
    struct error got = {0};

    check_equal_i64(check, batch_error(result, "X", p, &got), want->status);
    check_equal_text(check, error_message(&got, got_text, sizeof got_text),
                     error_message(want, want_text, sizeof want_text));
    for (int64_t i = result->row[p]; i < result->row[p + 1]; i++)
        check_equal_i64(check, result->labels[i], -1);
    for (int64_t j = result->center[p]; j < result->center[p + 1]; j++)
        check_equal_i64(check, result->sizes[j], 0);
    for (int64_t i = result->center[p] * result->columns;
         i < result->center[p + 1] * result->columns; i++)
        check_equal_bits(check, result->centers[i], 0);
}

static void same_fit(struct check *check, const struct batch_result *result, int64_t p,
                     const struct kmeans_result *want)
{
    const struct fits_result *found = &result->problem[p];
    const struct kmeans_result got = {.centers =
                                          result->centers + result->center[p] * result->columns,
                                      .labels = result->labels + result->row[p],
                                      .sizes = result->sizes + result->center[p],
                                      .inertia = found->inertia,
                                      .n_iter = found->n_iter,
                                      .run = found->run,
                                      .stop = (enum stop_reason)found->stop,
                                      .fingerprint = found->fingerprint,
                                      .empty = found->empty,
                                      .distinct_below = found->distinct_below,
                                      .skipped = found->skipped};

    results_equal(check, &got, want);
}

static void problem_is_alone(struct check *check, const struct machine *ref, struct asked *asked,
                             int64_t p, const struct batch_result *result)
{
    struct kmeans_result want = {0};
    struct error error = {0};
    char name[48];

    snprintf(name, sizeof name, "X[%" PRId64 "]", p);
    int64_t held = asked->batch.center[p + 1];
    if (!asked->params.init_centers) /* the case's own offsets say what alone is asked for */
        asked->batch.center[p + 1] = asked->batch.center[p] + asked->n_clusters[p];
    enum status status = case_alone(ref, &asked->batch, p, name, &want, &error);
    asked->batch.center[p + 1] = held;
    if (check_equal_i64(check, result->problem[p].status, status)) {
        if (status == STATUS_OK)
            same_fit(check, result, p, &want);
        else
            same_error(check, result, p, &error);
    }
    kmeans_result_free(&want);
}

static void batch_is_alone(struct check *check, const struct machine *ref,
                           const struct machine *machine, struct asked *asked)
{
    struct batch_result result = {0};
    struct error error = {0};
    char text[512];
    int64_t failed = 0;
    asked->input.residency = machine->residency;
    enum status status = batch_fit(machine->backend, machine->device, &asked->input, &asked->params,
                                   NULL, &result, &error);

    if (status != STATUS_OK) {
        check_failed(check, __FILE__, __LINE__, "%s", error_message(&error, text, sizeof text));
        return;
    }
    for (int64_t p = 0; p < asked->input.problems; p++) {
        check_note(check, "%s seed=%" PRIu64 " chunks=%d problem=%" PRId64, machine->name,
                   asked->batch.seed, asked->matrix.chunks, p);
        problem_is_alone(check, ref, asked, p, &result);
        failed += result.problem[p].status != STATUS_OK;
    }
    check_equal_i64(check, result.failed, failed);
    batch_result_free(&result);
}

/* The last device without `fits`: every problem is an ordinary fit. */
static void without_fits(struct machines *machines, struct backend *plain)
{
    const struct machine *machine = &machines->machine[machines->count - 1];

    *plain = *machine->backend;
    plain->fits = NULL;
    machines->machine[machines->count] = *machine;
    machines->machine[machines->count].backend = plain;
    snprintf(machines->machine[machines->count].name, 48, "without fits");
}

/* The emulator takes each batch once, and one without `fits`: ordinary fits cost as much as a batch. */
static bool is_left_out(const struct machines *machines, int m, uint64_t seed)
{
    if (!law_emulated())
        return false;
    return m == machines->count ? seed != 7 : machines->machine[m].residency != RESIDENT;
}

static void each_problem_is_its_fit_alone(struct check *check)
{
    const int64_t chunks[] = {0, law_size(1, 300), law_size(13, 0), 100};
    struct machines machines = machines_open(check, threads);
    struct backend plain;
    const uint64_t most = (uint64_t)law_size(160, 15);

    without_fits(&machines, &plain);
    for (uint64_t seed = 1; seed <= most && check->failures < 20; seed++) {
        struct asked asked = {.n_clusters = NULL};
        asked_open(&asked, seed, chunks[seed % 4]);
        if (seed % 3 == 0)
            asked_spoil(&asked, seed);
        for (int m = 0; m <= machines.count; m++)
            if (!is_left_out(&machines, m, seed))
                batch_is_alone(check, &machines.machine[0], &machines.machine[m], &asked);
        asked_close(&asked);
    }
    machines_close(&machines);
}

/* A given -0 that stays where it is comes back as +0. */
static void given_zeros_lose_their_sign(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    struct batch_case batch = case_small(1, 2, 2);
    struct matrix matrix;
    struct kmeans_params params = kmeans_params_default();

    ((double *)batch.values)[0] = 5;
    ((double *)batch.values)[1] = 6;
    batch.centers[0] = 5.5;
    batch.centers[1] = -0.0;
    matrix = matrix_new(&batch, 0);
    params.n_clusters = 2;
    params.init_centers = batch.centers;
    params.empty_clusters = EMPTY_KEEP;
    struct batch_input input = {
        .name = "X", .matrix = &matrix, .problems = 1, .row = batch.row, .init_rows = 2};
    for (int m = 0; m < machines.count; m++) {
        struct batch_result result = {0};
        batch_fit(machines.machine[m].backend, machines.machine[m].device, &input, &params, NULL,
                  &result, NULL);
        if (check_equal_i64(check, result.problem[0].empty, 1))
            check_equal_bits(check, result.centers[1], 0);
        batch_result_free(&result);
    }
    matrix_free(&matrix);
    case_free(&batch);
    machines_close(&machines);
}

/* Problems too large for `fits` among small ones. */
static void large_problems_are_ordinary_fits(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    struct data data = data_blobs(NUMBER_F32, 9000, 3, 5, 1, 4);
    int64_t row[] = {0, 40, 8100, 8103, 9000};
    struct view view;
    struct kmeans_params params = kmeans_params_default();
    struct batch_result result = {0};
    const struct machine *machine = machine_tested(&machines);

    params.n_clusters = 5;
    if (view_open(check, &data, 0, &view)) {
        struct batch_input input = {.name = "X", .matrix = &view.matrix, .problems = 4, .row = row};
        check_equal_i64(
            check,
            batch_fit(machine->backend, machine->device, &input, &params, NULL, &result, NULL),
            STATUS_OK);
        check_equal_i64(check, result.failed, 1); /* 3 rows */
        check_equal_i64(check, result.problem[2].status, STATUS_TOO_FEW_ROWS);
        check_equal_i64(check, result.ordinary, 2);
        struct data large = data_new(NUMBER_F32, 8060, 3);
        memcpy(large.values, (const float *)data.values + 40 * 3, 8060 * 3 * sizeof(float));
        struct kmeans_result want;
        if (law_fit(check, &machines.machine[0], &large, 0, &params, &want))
            same_fit(check, &result, 1, &want);
        kmeans_result_free(&want);
        data_free(&large);
        view_close(&view);
    }
    batch_result_free(&result);
    data_free(&data);
    machines_close(&machines);
}

struct told {
    int times, most;
    double fraction;
    bool fell;
};

static enum status tell(void *context, const struct fit_progress *progress, struct error *error)
{
    struct told *told = context;

    told->fell |= progress->fraction < told->fraction;
    told->fraction = progress->fraction;
    if (++told->times < told->most)
        return STATUS_OK;
    return FAIL(error, CANCELLED, TEXT("why", "the test said so"));
}

/* About 200 ms of problems: a turn at least every few of them, and what it says ends the batch. A plug-in's
 * problems are of several runs: a call has fewer of them, and the emulator works a whole call through. */
static void turns_come_between_calls(struct check *check)
{
    enum { PROBLEMS = 12000, ROWS = 60 };
    const int64_t problems = law_size(PROBLEMS, 55);
    struct machines machines = machines_open(check, threads);
    struct data data = data_blobs(NUMBER_F64, problems * ROWS, 4, 3, 1, 4);
    int64_t *row = malloc((PROBLEMS + 1) * sizeof *row), clusters[PROBLEMS];
    struct view view;
    struct kmeans_params params = kmeans_params_default();
    struct batch_result result = {0};
    struct error error = {0};
    const struct machine *machine = machine_tested(&machines);

    for (int64_t p = 0; p <= problems; p++)
        row[p] = p * ROWS;
    params.n_clusters = 3;
    params.n_init = machine->stays ? 8 : 1;
    if (view_open(check, &data, 0, &view)) {
        struct batch_input input = {
            .name = "X", .matrix = &view.matrix, .problems = problems, .row = row};
        struct told told = {.most = 1 << 30}, once = {.most = 3};
        struct turn turn = {tell, &told}, stop = {tell, &once};
        check_equal_i64(
            check,
            batch_fit(machine->backend, machine->device, &input, &params, &turn, &result, &error),
            STATUS_OK);
        check_true(check, told.times >= 3 && !told.fell && told.fraction == 1);
        check_equal_i64(check, result.failed, 0);
        batch_result_free(&result);
        check_equal_i64(
            check,
            batch_fit(machine->backend, machine->device, &input, &params, &stop, &result, &error),
            STATUS_CANCELLED);
        check_true(check, once.times == 3 && result.labels == NULL);
        told = (struct told){.most = 1 << 30};
        for (int64_t p = 0; p < PROBLEMS; p++) /* only the second can have so many */
            clusters[p] = p * ROWS;
        for (int64_t p = 2; p < PROBLEMS; p++)
            row[p + 1] = 2 * ROWS + (p - 1) * (data.rows - 2 * ROWS) / (PROBLEMS - 2);
        input.problems = PROBLEMS;
        input.n_clusters = clusters;
        check_equal_i64(
            check,
            batch_fit(machine->backend, machine->device, &input, &params, &turn, &result, &error),
            STATUS_OK);
        check_true(check, told.times >= 3 && result.failed == PROBLEMS - 1);
        batch_result_free(&result);
        view_close(&view);
    }
    free(row);
    data_free(&data);
    machines_close(&machines);
}

struct wrong {
    const char *what;
    int64_t row[3];
    int64_t problems, init_rows;
    enum status status;
};

static void what_all_problems_share_is_checked_first(struct check *check)
{
    static const struct wrong wrongs[] = {
        {"row_offsets[0]", {1, 2, 4}, 2, 0, STATUS_OUT_OF_RANGE},
        {"row_offsets[1]", {0, 5, 4}, 2, 0, STATUS_OUT_OF_RANGE},
        {"row_offsets[2]", {0, 3, 2}, 2, 0, STATUS_OUT_OF_RANGE},
        {"row_offsets[2]", {0, 1, 3}, 2, 0, STATUS_OUT_OF_RANGE},
        {"row_offsets[2]", {0, 1, 5}, 2, 0, STATUS_OUT_OF_RANGE},
        {"the number of problems", {0, 4, 4}, -1, 0, STATUS_OUT_OF_RANGE},
        {"init_centers", {0, 2, 4}, 2, 3, STATUS_SHAPE_MISMATCH},
        {"init_centers", {0, 2, 4}, 2, 5, STATUS_SHAPE_MISMATCH},
    };
    struct machines machines = machines_open(check, threads);
    const struct machine *machine = &machines.machine[0];
    struct data data = data_blobs(NUMBER_F64, 4, 1, 1, 1, 4);
    struct view view;
    const double centers[5] = {0};

    if (view_open(check, &data, 0, &view))
        for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
            struct kmeans_params params = kmeans_params_default();
            struct batch_input input = {.name = "X",
                                        .matrix = &view.matrix,
                                        .problems = wrongs[i].problems,
                                        .row = wrongs[i].row,
                                        .init_rows = wrongs[i].init_rows};
            struct batch_result result = {0};
            struct error error = {0};
            struct cost cost;
            params.n_clusters = 2;
            params.init_centers = wrongs[i].init_rows ? centers : NULL;
            check_note(check, "case %zu", i);
            check_equal_i64(check,
                            batch_fit(machine->backend, machine->device, &input, &params, NULL,
                                      &result, &error),
                            wrongs[i].status);
            check_equal_text(check, error_value(&error, "what"), wrongs[i].what);
            check_equal_i64(
                check, batch_plan(machine->backend, machine->device, &input, &params, &cost, NULL),
                wrongs[i].status);
        }
    view_close(&view);
    data_free(&data);
    machines_close(&machines);
}

/* A plan counts arrays by their sizes and time by problems. */
static void a_plan_grows_with_its_problems(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    const struct machine *machine = machine_tested(&machines);
    int64_t row[301];
    struct matrix matrix = {.number = NUMBER_F32, .columns = 4};
    struct kmeans_params params = kmeans_params_default();
    struct cost few = {0}, many = {0};

    params.n_clusters = 3;
    for (int64_t p = 0; p <= 300; p++)
        row[p] = p * 100;
    matrix.rows = 10000;
    struct batch_input input = {.name = "X", .matrix = &matrix, .problems = 100, .row = row};
    check_equal_i64(check,
                    batch_plan(machine->backend, machine->device, &input, &params, &few, NULL),
                    STATUS_OK);
    input.problems = 300;
    matrix.rows = 30000;
    check_equal_i64(check,
                    batch_plan(machine->backend, machine->device, &input, &params, &many, NULL),
                    STATUS_OK);
    check_near(check, many.expected_ns, 3 * few.expected_ns, 1e-9);
    int64_t each = 100 * 4 + 3 * 4 * 8 + 3 * 8 + (int64_t)sizeof(struct fits_result);
    check_true(check, many.host_bytes - few.host_bytes >= 200 * each &&
                          many.host_bytes - few.host_bytes < 200 * 2 * each);
    struct device_info info;
    machine->backend->describe(machine->device, &info);
    check_true(check, few.quiet_ns >= 1e6);
    check_equal_i64(check, few.device_bytes > 0, info.threads == 0); /* a memory of its own */
    struct fits fits = {.number = NUMBER_F32, .columns = 4, .n_init = 1, .max_iter = 300};
    struct fits_plan plan = {0};
    machine->backend->fits_plan(machine->device, &fits, 100, 3, &plan);
    check_true(check, few.host_bytes >= 100 * each + plan.host_bytes);

    int64_t clusters[300] = {0, 101, (int64_t)1 << 50};
    input.n_clusters = clusters; /* whoever fails, fails for nothing */
    check_equal_i64(check,
                    batch_plan(machine->backend, machine->device, &input, &params, &few, NULL),
                    STATUS_OK);
    check_true(check, few.expected_ns == 0);
    input.n_clusters = NULL;
    params.history = true;
    check_equal_i64(check,
                    batch_plan(machine->backend, machine->device, &input, &params, &many, NULL),
                    STATUS_UNSUPPORTED);
    machines_close(&machines);
}

/* No turn is asked inside a problem, so what takes long is not for `fits`. */
static void long_problems_are_ordinary_fits(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    const struct fits usual = {
        .number = NUMBER_F32, .columns = 4, .init = FITS_PLUS_PLUS, .n_init = 1, .max_iter = 300};

    for (int m = 0; m < machines.count; m++) {
        const struct machine *machine = &machines.machine[m];
        struct fits runs = usual, rounds = usual;
        struct fits_plan plan;
        if (!machine->backend->fits_plan)
            continue;
        check_note(check, "%s", machine->name);
        runs.n_init = 10000;
        rounds.max_iter = 1000000;
        rounds.fixed_rounds = true;
        check_equal_i64(check, machine->backend->fits_plan(machine->device, &usual, 100, 3, &plan),
                        STATUS_OK);
        check_true(check, plan.problem_ns > 0 && plan.problem_ns < 15e6);
        check_equal_i64(check, machine->backend->fits_plan(machine->device, &runs, 1000, 3, &plan),
                        STATUS_UNSUPPORTED);
        check_equal_i64(check, machine->backend->fits_plan(machine->device, &rounds, 100, 3, &plan),
                        STATUS_UNSUPPORTED);
        check_equal_i64(check,
                        machine->backend->fits_plan(machine->device, &usual, 1 << 20, 3, &plan),
                        STATUS_UNSUPPORTED);
    }
    machines_close(&machines);
}

CHECKS(CLAIM(each_problem_is_its_fit_alone), CLAIM(given_zeros_lose_their_sign),
       CLAIM(large_problems_are_ordinary_fits), CLAIM(long_problems_are_ordinary_fits),
       CLAIM(turns_come_between_calls), CLAIM(what_all_problems_share_is_checked_first),
       CLAIM(a_plan_grows_with_its_problems))
