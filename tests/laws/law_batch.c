/* law_batch.c - a problem of a batch has the bits of its fit alone: on every device and level, with
 * any number of threads, in any company. */
#include <math.h>

#include "host/cluster/fit.h"
#include "tests/laws/batch_case.h"

static const int threads[] = {1, 3, 0};

static struct fits_out out_new(const struct batch_case *batch)
{
    size_t problems = (size_t)batch->fits.problems, n = (size_t)batch->row[problems];
    size_t k = (size_t)batch->center[problems];
    struct fits_out out = {.result = malloc(problems * sizeof *out.result),
                           .centers =
                               malloc((k * (size_t)batch->fits.columns + 1) * sizeof *out.centers),
                           .labels = malloc((n + 1) * sizeof *out.labels),
                           .sizes = malloc((k + 1) * sizeof *out.sizes)};

    memset(out.centers, 0x5a, (k * (size_t)batch->fits.columns + 1) * sizeof *out.centers);
    memset(out.labels, 0x5a, (n + 1) * sizeof *out.labels);
    memset(out.sizes, 0x5a, (k + 1) * sizeof *out.sizes);
    return out;
}

static void out_free(struct fits_out *out)
{
    free(out->result);
    free(out->centers);
    free(out->labels);
    free(out->sizes);
}

/* What lies behind the last output is nobody's. */
static void guards_intact(struct check *check, const struct batch_case *batch,
                          const struct fits_out *out)
{
    int64_t k = batch->center[batch->fits.problems];
    unsigned char guard[8];

    memset(guard, 0x5a, sizeof guard);
    check_equal_bytes(check, out->centers + k * batch->fits.columns, guard, sizeof(double));
    check_equal_bytes(check, out->labels + batch->row[batch->fits.problems], guard, 4);
    check_equal_bytes(check, out->sizes + k, guard, sizeof guard);
}

static void success_equal(struct check *check, const struct batch_case *batch, int64_t p,
                          const struct fits_out *out, const struct kmeans_result *want)
{
    const struct fits_result *result = &out->result[p];
    const struct kmeans_result got = {.rows = want->rows,
                                      .columns = want->columns,
                                      .n_clusters = want->n_clusters,
                                      .centers = out->centers + batch->center[p] * want->columns,
                                      .labels = out->labels + batch->row[p],
                                      .sizes = out->sizes + batch->center[p],
                                      .inertia = result->inertia,
                                      .n_iter = result->n_iter,
                                      .run = result->run,
                                      .stop = (enum stop_reason)result->stop,
                                      .fingerprint = result->fingerprint,
                                      .empty = result->empty,
                                      .distinct_below = result->distinct_below,
                                      .skipped = result->skipped};
    int64_t taking_part = 0;

    results_equal(check, &got, want);
    for (int64_t j = 0; j < want->n_clusters; j++)
        taking_part += want->sizes[j];
    check_equal_i64(check, result->taking_part, taking_part);
}

/* The members of a result that name the cause are the words of the error. */
static void failure_equal(struct check *check, const struct fits_result *got,
                          const struct error *want)
{
    const struct {
        const char *name;
        int64_t value;
    } whole[] = {{"count", got->count},      {"row", got->row},        {"column", got->column},
                 {"rows", got->taking_part}, {"cluster", got->column}, {"round", got->row}};
    char text[32];

    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (error_value(want, whole[i].name)) {
            snprintf(text, sizeof text, "%" PRId64, whole[i].value);
            check_equal_text(check, text, error_value(want, whole[i].name));
        }
    if (error_value(want, "value"))
        check_equal_text(check, real_print(got->value, text), error_value(want, "value"));
    if (want->status == STATUS_OUT_OF_RANGE) {
        snprintf(text, sizeof text, "sample_weight of row %" PRId64, got->row);
        check_equal_text(check, text, error_value(want, "what"));
    }
}

static void problem_equal(struct check *check, const struct machine *ref,
                          const struct batch_case *batch, int64_t p, const struct fits_out *out)
{
    struct kmeans_result want = {0};
    struct error error = {0};
    enum status status = case_alone(ref, batch, p, "X", &want, &error);

    if (!check_equal_i64(check, out->result[p].status, status))
        return;
    if (status == STATUS_OK) {
        success_equal(check, batch, p, out, &want);
    } else {
        failure_equal(check, &out->result[p], &error);
        for (int64_t i = batch->row[p]; i < batch->row[p + 1]; i++)
            check_equal_i64(check, out->labels[i], -1);
        for (int64_t i = batch->center[p] * batch->fits.columns;
             i < batch->center[p + 1] * batch->fits.columns; i++)
            check_equal_bits(check, out->centers[i], 0);
    }
    kmeans_result_free(&want);
}

static void batch_equals_alone(struct check *check, const struct machine *ref,
                               const struct machine *machine, const struct batch_case *batch)
{
    struct fits_out out = out_new(batch);

    if (check_equal_i64(check, machine->backend->fits(machine->device, &batch->fits, &out),
                        STATUS_OK))
        for (int64_t p = 0; p < batch->fits.problems; p++) {
            check_note(check, "%s seed=%" PRIu64 " problem=%" PRId64, machine->name, batch->seed,
                       p);
            problem_equal(check, ref, batch, p, &out);
        }
    guards_intact(check, batch, &out);
    out_free(&out);
}

/* Batches know no rungs: the emulator takes the first alone. */
static bool machine_is_for_batches(const struct machine *machine)
{
    return machine->backend->fits && (!law_emulated() || machine->residency == RESIDENT);
}

static void a_problem_of_a_batch_has_the_bits_of_its_fit_alone(struct check *check)
{
    struct machines machines = machines_open(check, threads);

    const uint64_t most = (uint64_t)law_size(600, 40);

    for (uint64_t seed = 1; seed <= most && check->failures < 20; seed++) {
        struct batch_case batch = case_new(seed, seed % 40 ? 40 : 700, seed % 9 ? 6 : 33);
        for (int m = 0; m < machines.count; m++)
            if (machine_is_for_batches(&machines.machine[m]))
                batch_equals_alone(check, &machines.machine[0], &machines.machine[m], &batch);
        case_free(&batch);
    }
    machines_close(&machines);
}

static void on_every_machine(struct check *check, const struct batch_case *batch)
{
    struct machines machines = machines_open(check, threads);

    for (int m = 0; m < machines.count; m++)
        if (machine_is_for_batches(&machines.machine[m]))
            batch_equals_alone(check, &machines.machine[0], &machines.machine[m], batch);
    machines_close(&machines);
}

/* Cluster 2 is empty in both rounds: first a row 10 moves there, and its twin keeps the label, then 100. */
static void labels_equal_after_a_relocation_end_nothing(struct check *check)
{
    static const double rows[] = {10, 10, 100, 102}, centers[] = {0, 101, 1000};
    struct batch_case batch = case_small(1, 4, 3);
    struct kmeans_result result = {0};
    struct machines machines = machines_open(check, threads);

    memcpy(batch.values, rows, sizeof rows);
    memcpy(batch.centers, centers, sizeof centers);
    on_every_machine(check, &batch);
    case_alone(&machines.machine[0], &batch, 0, "X", &result, NULL);
    check_true(check, result.n_iter > 2 && result.empty == 0);
    kmeans_result_free(&result);
    machines_close(&machines);
    case_free(&batch);
}

/* Whether every center of a one-column problem is the nearest of some row. */
static bool all_have_rows(const struct batch_case *batch, int64_t p)
{
    const double *x = batch->values;
    uint64_t taken = 0;

    for (int64_t i = batch->row[p]; i < batch->row[p + 1]; i++) {
        int64_t best = batch->center[p];
        for (int64_t j = best; j < batch->center[p + 1]; j++)
            if (fabs(x[i] - batch->centers[j]) < fabs(x[i] - batch->centers[best]))
                best = j;
        taken |= (uint64_t)1 << (best - batch->center[p]);
    }
    return taken == ((uint64_t)1 << (batch->center[p + 1] - batch->center[p])) - 1;
}

/* max_iter 1: the last assignment is the second, and only there a cluster loses its rows. */
static void a_cluster_that_empties_last_is_named(struct check *check)
{
    struct batch_case batch = case_small(law_size(4000, 300), 7, 4);
    struct fits_out out = out_new(&batch);
    struct machines machines = machines_open(check, threads);
    uint64_t seed = 5;
    int64_t last = 0;

    batch.fits.empty = FITS_ERROR;
    batch.fits.max_iter = 1;
    for (int64_t i = 0; i < batch.row[batch.fits.problems]; i++)
        ((double *)batch.values)[i] = check_normal(&seed);
    for (int64_t i = 0; i < batch.center[batch.fits.problems]; i++)
        batch.centers[i] = 2 * check_normal(&seed);
    on_every_machine(check, &batch);
    machines.machine[0].backend->fits(machines.machine[0].device, &batch.fits, &out);
    for (int64_t p = 0; p < batch.fits.problems; p++)
        last += out.result[p].status == STATUS_EMPTY_CLUSTER && all_have_rows(&batch, p);
    check_true(check, last > 0);
    out_free(&out);
    machines_close(&machines);
    case_free(&batch);
}

/* What the cases of these laws come to: a law over fits that all end alike would say little. */
static void the_cases_meet_every_ending(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    const struct machine *ref = &machines.machine[0];
    int64_t ended[128] = {0}, stopped[FITS_FIXED_ROUNDS + 1] = {0}, empty = 0, below = 0;

    for (uint64_t seed = 1; seed <= 600; seed++) {
        struct batch_case batch = case_new(seed, 40, 6);
        struct fits_out out = out_new(&batch);
        ref->backend->fits(ref->device, &batch.fits, &out);
        for (int64_t p = 0; p < batch.fits.problems; p++) {
            ended[out.result[p].status]++;
            stopped[out.result[p].stop]++;
            empty += out.result[p].empty > 0;
            below += out.result[p].distinct_below;
        }
        out_free(&out);
        case_free(&batch);
    }
    const enum status want[] = {STATUS_OK,           STATUS_TOO_FEW_ROWS,
                                STATUS_NON_FINITE,   STATUS_ROW_OUT_OF_RANGE,
                                STATUS_OUT_OF_RANGE, STATUS_EMPTY_CLUSTER};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        check_note(check, "status %d", (int)want[i]);
        check_true(check, ended[want[i]] >= 3);
    }
    for (int i = FITS_LABELS_EQUAL; i <= FITS_FIXED_ROUNDS; i++) {
        check_note(check, "stop %d", i);
        check_true(check, stopped[i] >= 20);
    }
    check_true(check, empty >= 20 && below >= 20);
    machines_close(&machines);
}

CHECKS(CLAIM(a_problem_of_a_batch_has_the_bits_of_its_fit_alone),
       CLAIM(labels_equal_after_a_relocation_end_nothing),
       CLAIM(a_cluster_that_empties_last_is_named), CLAIM(the_cases_meet_every_ending))
