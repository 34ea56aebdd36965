/* show.c - what a fit's job says, for people. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clients/cli/fit.h"
#include "clients/cli/remote.h"

enum { SHOWN_MAX = 20 };

static const char *after_prefix(const ProtobufCEnumDescriptor *descriptor, int value,
                                const char *prefix)
{
    const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(descriptor, value);
    size_t length = strlen(prefix);

    if (!known)
        return "UNKNOWN";
    return strncmp(known->name, prefix, length) == 0 ? known->name + length : known->name;
}

const char *say_state(Bary__V1__JobState state)
{
    return after_prefix(&bary__v1__job_state__descriptor, (int)state, "JOB_STATE_");
}

static const char *say_stop(Bary__V1__StopReason stop)
{
    static const char *const words[] = {"for an unknown reason", "no label changed any more",
                                        "the centers moved less than tol asks",
                                        "max-iter rounds were done", "all rounds were done"};
    return (size_t)stop < sizeof words / sizeof words[0] ? words[stop] : words[0];
}

static void show_sizes(const Bary__V1__FitResult *fit)
{
    if (fit->n_sizes == 0)
        return;
    printf("%-13s", "sizes");
    for (size_t i = 0; i < fit->n_sizes && i < SHOWN_MAX; i++)
        printf(" %" PRId64, fit->sizes[i]);
    if (fit->n_sizes > SHOWN_MAX)
        printf(" and %zu more", fit->n_sizes - SHOWN_MAX);
    putchar('\n');
}

static void show_history(const Bary__V1__FitResult *fit)
{
    for (size_t i = 0; i < fit->n_history && i < SHOWN_MAX; i++)
        printf("%-13s %.17g\n", i == 0 ? "history" : "", fit->history[i]);
    if (fit->n_history > SHOWN_MAX)
        printf("%-13s and %zu more: --json shows all\n", "", fit->n_history - SHOWN_MAX);
}

static void show_report(const Bary__V1__Report *report)
{
    char compute[32], queue[32];

    printf("%-13s %s", "device", report->device[0] ? report->device : report->backend);
    if (report->isa[0])
        printf(", %s", report->isa);
    if (report->threads > 0)
        printf(", %d threads", report->threads);
    printf("\n%-13s %s", "time", say_time(report->compute_ns + report->prepare_ns, compute));
    if (report->queue_ns > 1000000)
        printf(", %s in the queue", say_time(report->queue_ns, queue));
    putchar('\n');
    for (size_t i = 0; i < report->n_warnings; i++)
        printf("%-13s %s\n", "warning", report->warnings[i]);
    for (size_t i = 0; i < report->n_fallbacks; i++)
        printf("%-13s %s\n", "fallback", report->fallbacks[i]);
}

static void show_result(const Bary__V1__FitResult *fit)
{
    printf("%-13s %" PRId64 "\n", "n_clusters", fit->n_clusters);
    printf("%-13s %" PRId64 " x %" PRId64 " %s\n", "rows", fit->rows, fit->columns,
           fit->dtype == BARY__V1__DTYPE__DTYPE_F32 ? "float32" : "float64");
    printf("%-13s %" PRId64 ", then %s\n", "n_iter", fit->n_iter, say_stop(fit->stop));
    printf("%-13s %.17g\n", "inertia", fit->inertia);
    show_sizes(fit);
    show_history(fit);
    if (fit->rows_skipped > 0)
        printf("%-13s %" PRId64 " with NaN or Inf, label -1\n", "skipped", fit->rows_skipped);
    if (fit->empty_clusters > 0)
        printf("%-13s %" PRId64 " clusters have no rows\n", "empty", fit->empty_clusters);
    if (fit->n_init > 1)
        printf("%-13s run %" PRId64 " of %" PRId64 "\n", "best", fit->run + 1, fit->n_init);
    printf("%-13s %" PRIu64 "\n", "random_state", fit->random_state);
    if (fit->model[0])
        printf("%-13s %s\n", "model", short_name(fit->model));
}

static void show_errors(const Bary__V1__FitBatchResult *batch)
{
    for (size_t i = 0; i < batch->n_errors && i < SHOWN_MAX; i++)
        printf("problem %-5" PRId64 " %s\n", batch->errors[i]->problem,
               batch->errors[i]->error->message);
    if (batch->failed > SHOWN_MAX)
        printf("%-13s and %" PRId64 " more\n", "", batch->failed - SHOWN_MAX);
}

static void show_batch(const Bary__V1__FitBatchResult *batch)
{
    int64_t rounds = 0;
    double inertia = 0;

    for (size_t p = 0; p < batch->n_inertia && p < batch->n_n_iter; p++) {
        rounds += batch->n_iter[p];
        inertia += batch->status[p] == 0 ? batch->inertia[p] : 0;
    }
    printf("%-13s %" PRId64 ", of which %" PRId64 " failed\n", "problems", batch->problems,
           batch->failed);
    printf("%-13s %" PRId64 " x %" PRId64 " %s\n", "rows", batch->rows, batch->columns,
           batch->dtype == BARY__V1__DTYPE__DTYPE_F32 ? "float32" : "float64");
    printf("%-13s %" PRId64 " in all\n", "n_iter", rounds);
    printf("%-13s %.17g in all\n", "inertia", inertia);
    printf("%-13s %" PRIu64 "\n", "random_state", batch->random_state);
}

void say_fit(const Bary__V1__Job *job)
{
    if (job->result_case == BARY__V1__JOB__RESULT_FIT)
        show_result(job->fit);
    if (job->result_case == BARY__V1__JOB__RESULT_BATCH)
        show_batch(job->batch);
    if (job->report)
        show_report(job->report);
    if (job->result_case == BARY__V1__JOB__RESULT_BATCH)
        show_errors(job->batch);
}
