/* jobs.c - bary jobs: what the server is doing and did. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/fit.h"
#include "clients/cli/remote.h"

static void show_job(const Bary__V1__Job *job)
{
    char text[32];

    printf("%-13s %s\n", "job", short_name(job->name));
    printf("%-13s %s\n", "state", say_state(job->state));
    if (job->queue_position >= 0 && job->state == BARY__V1__JOB_STATE__JOB_STATE_QUEUED)
        printf("%-13s %" PRId64 " before it\n", "queue", job->queue_position);
    printf("%-13s %s\n", "created", say_stamp(job->created, text));
    if (job->ended)
        printf("%-13s %s\n", "ended", say_stamp(job->ended, text));
    for (size_t i = 0; i < job->n_tags; i++)
        printf("%-13s %s\n", "tag", job->tags[i]);
    if (job->dataset[0])
        printf("%-13s %s\n", "dataset", short_name(job->dataset));
    if (job->progress && job->state == BARY__V1__JOB_STATE__JOB_STATE_RUNNING)
        printf("%-13s round %" PRId64 "/%" PRId64 ", %.0f %%\n", "progress",
               job->progress->iteration, job->progress->max_iter, 100 * job->progress->fraction);
    if (job->error)
        printf("%-13s %s: %s\n", "error", job->error->reason, job->error->message);
    say_fit(job);
}

static void tell(const struct arguments *arguments, const Bary__V1__Job *job)
{
    if (flag_given(arguments, FLAG_JSON))
        say_json(&job->base, NULL);
    else
        show_job(job);
}

static int jobs_page(struct baryc *connection, const struct arguments *arguments, char *token,
                     ProtobufCMessage **out, struct baryc_error *error)
{
    Bary__V1__ListJobsRequest request = BARY__V1__LIST_JOBS_REQUEST__INIT;
    Bary__V1__ListJobsResponse *response = NULL;

    request.page_token = token;
    if (flag_given(arguments, FLAG_FIND_TAG))
        request.tag = baryc_borrow(flag_text(arguments, FLAG_FIND_TAG));
    if (flag_given(arguments, FLAG_STATE)) /* the words are the states from QUEUED, 1, on */
        request.state = (Bary__V1__JobState)(1 + flag_integer(arguments, FLAG_STATE, 0));
    int code = baryc_job_list(connection, &request, NULL, &response, error);
    *out = (ProtobufCMessage *)response;
    return code;
}

static void jobs_row(const ProtobufCMessage *message)
{
    const Bary__V1__Job *job = (const void *)message;
    char created[32];

    printf("%-40s %-10s %s", short_name(job->name), say_state(job->state),
           say_stamp(job->created, created));
    for (size_t i = 0; i < job->n_tags; i++)
        printf(" %s", job->tags[i]);
    putchar('\n');
}

int command_jobs_list(const struct arguments *arguments)
{
    static const struct listing listing = {jobs_page, jobs_row};

    return list_all(arguments, &listing);
}

/* --labels and --centers of a job that is done. */
static int write_arrays(struct baryc *connection, const struct arguments *arguments,
                        const Bary__V1__Job *job, struct baryc_error *error)
{
    const char *labels_path = flag_text(arguments, FLAG_LABELS);
    const char *centers_path = flag_text(arguments, FLAG_CENTERS);
    int32_t *labels = NULL;
    double *centers = NULL;
    struct job_arrays arrays;
    struct error why = {0};
    int code = 0;

    if (!labels_path && !centers_path)
        return 0;
    if (!job_arrays(job, &arrays)) {
        FAIL(&why, MISSING, TEXT("what", "the job's result"), TEXT("why", say_state(job->state)));
        return error_of_host(&why, error);
    }
    if (labels_path)
        code = fetch_labels(connection, job, &labels, error);
    if (code == 0 && centers_path)
        code = fetch_centers(connection, job, &centers, error);
    if (code == 0 && labels_path)
        code = output_write(labels_path, DTYPE_I32, arrays.rows, 0, labels, error);
    if (code == 0 && centers_path)
        code =
            output_write(centers_path, DTYPE_F64, arrays.centers, arrays.columns, centers, error);
    free(labels);
    free(centers);
    return code;
}

int command_jobs_get(const struct arguments *arguments)
{
    Bary__V1__GetJobRequest request = BARY__V1__GET_JOB_REQUEST__INIT;
    Bary__V1__Job *job = NULL;
    struct baryc *connection = NULL;
    struct baryc_error error;
    int status = connect_or_complain(arguments, &connection);

    if (status != EXIT_DONE)
        return status;
    request.name = baryc_borrow(arguments->positional[0]);
    if (baryc_job_get(connection, &request, NULL, &job, &error) != 0 ||
        write_arrays(connection, arguments, job, &error) != 0)
        status = complain_error(&error, flag_given(arguments, FLAG_JSON));
    else
        tell(arguments, job);
    baryc_free(job);
    baryc_disconnect(&connection);
    return status;
}

static bool on_progress(void *context, const Bary__V1__Job *job)
{
    progress_job(context, job);
    return false; /* watching changes nothing: Ctrl-C ends the process */
}

/* The job's end as this command's end. */
static int tell_end(const struct arguments *arguments, const Bary__V1__Job *job, int code,
                    const struct baryc_error *error)
{
    if (job)
        tell(arguments, job);
    return code == 0 ? EXIT_DONE : complain_error(error, !job && flag_given(arguments, FLAG_JSON));
}

int command_jobs_watch(const struct arguments *arguments)
{
    Bary__V1__Job *job = NULL;
    struct baryc *connection = NULL;
    struct baryc_error error;
    struct progress_line progress;
    int status = connect_or_complain(arguments, &connection);

    if (status != EXIT_DONE)
        return status;
    progress_start(&progress, true);
    int code = baryc_job_watch(connection, arguments->positional[0], NULL, on_progress, &progress,
                               &job, &error);
    progress_end(&progress);
    status = tell_end(arguments, job, code, &error);
    baryc_free(job);
    baryc_disconnect(&connection);
    return status;
}

int command_jobs_cancel(const struct arguments *arguments)
{
    Bary__V1__CancelJobRequest request = BARY__V1__CANCEL_JOB_REQUEST__INIT;
    Bary__V1__CancelJobResponse *response = NULL;
    struct baryc *connection = NULL;
    struct baryc_error error;
    const char *tag = flag_text(arguments, FLAG_FIND_TAG);

    if ((arguments->count == 1) == (tag != NULL))
        return complain(EXIT_USAGE, "bary jobs cancel needs a job's name or --tag T");
    int status = connect_or_complain(arguments, &connection);
    if (status != EXIT_DONE)
        return status;
    request.which_case =
        tag ? BARY__V1__CANCEL_JOB_REQUEST__WHICH_TAG : BARY__V1__CANCEL_JOB_REQUEST__WHICH_NAME;
    request.name = baryc_borrow(tag ? tag : arguments->positional[0]);
    if (baryc_job_cancel(connection, &request, NULL, &response, &error) != 0)
        status = complain_error(&error, flag_given(arguments, FLAG_JSON));
    else if (response->job)
        tell(arguments, response->job);
    else if (flag_given(arguments, FLAG_JSON))
        say_json(&response->base, NULL);
    baryc_free(response);
    baryc_disconnect(&connection);
    return status;
}
