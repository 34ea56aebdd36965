/* keeper.c - a thread for what may block and is no device's work: writing models (a slow fsync must
 * not hold up a Predict) and giving back memory (unmapping a large dataset takes its time).
 *
 * Its lists are bounded by the jobs there are. */
#include <stdio.h>
#include <string.h>

#include "host/base/clock.h"
#include "host/base/memory.h"
#include "host/jobs/live.h"

static void keeper_add(struct keeper *keeper, struct job *job, bool store)
{
    pthread_mutex_lock(&keeper->lock);
    job->keep_next = NULL;
    if (store) {
        *keeper->last = job;
        keeper->last = &job->keep_next;
    } else {
        job->keep_next = keeper->trash;
        keeper->trash = job;
    }
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->lock);
}

void keeper_store(struct keeper *keeper, struct job *job)
{
    keeper_add(keeper, job, true);
}

void keeper_trash(struct keeper *keeper, struct job *job)
{
    keeper_add(keeper, job, false);
}

void keeper_free(struct keeper *keeper, struct job_request **request)
{
    if (!*request)
        return;
    pthread_mutex_lock(&keeper->lock);
    (*request)->next = keeper->unused;
    keeper->unused = *request;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->lock);
    *request = NULL;
}

static void model_store(struct job *job)
{
    struct attempt *attempt = job->attempt;
    struct model_view view = {0};
    int going = PHASE_GOING;
    int64_t begun = clock_ns();

    if (!atomic_compare_exchange_strong(&job->phase, &going, PHASE_STORING))
        attempt->status = FAIL(&attempt->error, CANCELLED, TEXT("why", "asked for"));
    else
        attempt->status = model_keep(job->dispatcher->catalog, attempt->result->model,
                                     attempt->model, &view, &attempt->error);
    attempt->result->model_version = view.version;
    attempt->report.stage_ns[STAGE_STORE] = clock_ns() - begun;
    model_view_free(&view);
    model_unpin(&attempt->model);
    if (attempt->status != STATUS_OK) {
        job_result_free(attempt->result);
        attempt->result = NULL;
    }
    attempt->ended_ns = clock_ns();
    message_push(&job->dispatcher->messages, &job->done);
}

static void *keeper_main(void *opaque)
{
    struct keeper *keeper = opaque;
    struct job_request *unused;
    struct job *trash, *job;
    bool stop;

    do {
        pthread_mutex_lock(&keeper->lock);
        while (!keeper->stop && !keeper->first && !keeper->trash && !keeper->unused)
            pthread_cond_wait(&keeper->wake, &keeper->lock);
        trash = keeper->trash;
        keeper->trash = NULL;
        unused = keeper->unused;
        keeper->unused = NULL;
        job = keeper->first;
        if (job) {
            keeper->first = job->keep_next;
            if (!keeper->first)
                keeper->last = &keeper->first;
        }
        stop = keeper->stop && !trash && !job && !unused;
        pthread_mutex_unlock(&keeper->lock);
        while (trash) {
            struct job *next = trash->keep_next;
            job_free(trash);
            trash = next;
        }
        while (unused) {
            struct job_request *request = unused;
            unused = request->next;
            job_request_free(&request);
        }
        if (job)
            model_store(job);
    } while (!stop);
    return NULL;
}

bool keeper_start(struct keeper *keeper)
{
    pthread_mutex_init(&keeper->lock, NULL);
    pthread_cond_init(&keeper->wake, NULL);
    keeper->last = &keeper->first;
    keeper->started = pthread_create(&keeper->thread, NULL, keeper_main, keeper) == 0;
    return keeper->started;
}

void keeper_stop(struct keeper *keeper)
{
    if (!keeper->started)
        return;
    pthread_mutex_lock(&keeper->lock);
    keeper->stop = true;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->lock);
    pthread_join(keeper->thread, NULL);
    pthread_cond_destroy(&keeper->wake);
    pthread_mutex_destroy(&keeper->lock);
    keeper->started = false;
}
