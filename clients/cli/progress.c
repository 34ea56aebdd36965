/* progress.c - how far it is, on stderr, without flooding anybody. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clients/cli/say.h"

enum { LINE_WIDTH = 78 };
static const int64_t terminal_ns = 100000000, lines_ns = 2000000000;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

void progress_start(struct progress_line *line, bool lines)
{
    *line = (struct progress_line){.terminal = isatty(STDERR_FILENO) == 1, .lines = lines};
    line->last_ns = now_ns(); /* what ends at once shows no progress */
}

/* True when it is time for another line. */
static bool due(struct progress_line *line)
{
    int64_t now = now_ns();

    if (!line->terminal && !line->lines)
        return false;
    if (now - line->last_ns < (line->terminal ? terminal_ns : lines_ns))
        return false;
    line->last_ns = now;
    return true;
}

static void draw(struct progress_line *line, const char *text)
{
    if (line->terminal)
        fprintf(stderr, "\r\033[K%.*s", LINE_WIDTH, text);
    else
        fprintf(stderr, "%s\n", text);
    fflush(stderr);
    line->drawn = true;
}

void progress_end(struct progress_line *line)
{
    if (line->terminal && line->drawn)
        fputs("\r\033[K", stderr);
    line->drawn = false;
}

static void describe_rounds(const Bary__V1__Progress *progress, char *text, size_t bytes)
{
    int used = 0;

    if (progress->n_init > 1)
        used = snprintf(text, bytes, "run %" PRId64 "/%" PRId64 ", ", progress->run + 1,
                        progress->n_init);
    used += snprintf(text + used, bytes - (size_t)used, "round %" PRId64 "/%" PRId64,
                     progress->iteration, progress->max_iter);
    if (progress->labels_moved)
        used += snprintf(text + used, bytes - (size_t)used, ", %" PRId64 " rows moved",
                         progress->labels_moved->value);
    if (progress->inertia)
        snprintf(text + used, bytes - (size_t)used, ", inertia %.6g", progress->inertia->value);
}

static void describe(const Bary__V1__Job *job, char *text, size_t bytes)
{
    const Bary__V1__Progress *progress = job->progress;

    if (job->state == BARY__V1__JOB_STATE__JOB_STATE_QUEUED)
        snprintf(text, bytes, "queued, %" PRId64 " before it", job->queue_position);
    else if (job->state == BARY__V1__JOB_STATE__JOB_STATE_CANCELLING)
        snprintf(text, bytes, "cancelling");
    else if (!progress)
        snprintf(text, bytes, "running");
    else if (progress->stage == BARY__V1__FIT_STAGE__FIT_STAGE_ROUNDS)
        describe_rounds(progress, text, bytes);
    else
        snprintf(text, bytes, "%s",
                 progress->stage == BARY__V1__FIT_STAGE__FIT_STAGE_FACTS     ? "reading"
                 : progress->stage == BARY__V1__FIT_STAGE__FIT_STAGE_SEEDING ? "seeding"
                                                                             : "finishing");
}

void progress_job(struct progress_line *line, const Bary__V1__Job *job)
{
    char state[128], text[192], left[32];
    const Bary__V1__Progress *progress = job->progress;

    if (!due(line))
        return;
    describe(job, state, sizeof state);
    if (progress && progress->seconds_left && progress->seconds_left->value < 1e9)
        snprintf(text, sizeof text, "%s, at most %s more", state,
                 say_time((int64_t)(progress->seconds_left->value * 1e9), left));
    else
        snprintf(text, sizeof text, "%s", state);
    draw(line, text);
}

void progress_upload(struct progress_line *line, int64_t bytes, int64_t total)
{
    char text[160], done[32], all[32];

    if (!due(line))
        return;
    snprintf(text, sizeof text, "uploading %s of %s", say_bytes(bytes, done),
             say_bytes(total, all));
    draw(line, text);
}

void progress_rows(struct progress_line *line, const char *what, int64_t rows, int64_t total)
{
    char text[160];

    if (!due(line))
        return;
    snprintf(text, sizeof text, "%s %" PRId64 " of %" PRId64 " rows", what, rows, total);
    draw(line, text);
}
