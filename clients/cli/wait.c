/* wait.c - bary jobs wait: until a job ends, or a time has passed. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "clients/cli/fit.h"
#include "clients/cli/remote.h"

/* Lives in command_jobs_wait. */
struct waiting {
    double seconds; /* infinite: as long as it takes */
    struct timespec start;
    bool late;
};

static bool too_late(void *context)
{
    struct waiting *waiting = context;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    double passed = (double)(now.tv_sec - waiting->start.tv_sec) +
                    1e-9 * (double)(now.tv_nsec - waiting->start.tv_nsec);
    waiting->late = passed > waiting->seconds;
    return waiting->late;
}

/* One Wait after the other: each lasts as long as a call may. */
static int wait_for(struct baryc *connection, const char *name, struct waiting *waiting,
                    Bary__V1__Job **out, struct baryc_error *error)
{
    const struct baryc_options options = {
        .timeout_ms = 20000, .stop = too_late, .stop_context = waiting};
    Bary__V1__WaitJobRequest request = BARY__V1__WAIT_JOB_REQUEST__INIT;

    request.name = baryc_borrow(name);
    for (;;) {
        Bary__V1__Job *job = NULL;
        int code = baryc_job_wait(connection, &request, &options, &job, error);
        if (code != 0)
            return code;
        if (job->ended || too_late(waiting)) {
            *out = job;
            return 0;
        }
        baryc_free(job);
    }
}

static int late(const struct arguments *arguments, const struct waiting *waiting)
{
    struct baryc_error error = {0};
    struct error why = {0};

    FAIL(&why, DEADLINE, INT("ms", waiting->seconds * 1000));
    error_of_host(&why, &error);
    return complain_error(&error, flag_given(arguments, FLAG_JSON));
}

/* A job that failed is this command's failure: jobs watch knows how to say it. */
int command_jobs_wait(const struct arguments *arguments)
{
    struct waiting waiting = {.seconds = flag_real(arguments, FLAG_WAIT_TIMEOUT, INFINITY)};
    struct baryc *connection = NULL;
    struct baryc_error error = {0};
    Bary__V1__Job *job = NULL;
    int status = connect_or_complain(arguments, &connection);

    if (status != EXIT_DONE)
        return status;
    clock_gettime(CLOCK_MONOTONIC, &waiting.start);
    int code = wait_for(connection, arguments->positional[0], &waiting, &job, &error);
    baryc_disconnect(&connection);
    if (waiting.late && !(job && job->ended))
        status = late(arguments, &waiting);
    else if (code != 0)
        status = complain_error(&error, flag_given(arguments, FLAG_JSON));
    else
        status = command_jobs_watch(arguments);
    baryc_free(job);
    return status;
}
