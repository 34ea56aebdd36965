/* choose.h - who is next and where: one pure function of a snapshot.
 *
 * First come, first served, by bytes:
 *
 *  1. The first waiting job runs whose bytes are free and that has an idle device it may use.
 *  2. A job that has waited CHOOSE_PASS_NS is passed no more: what it needs is set aside, and a
 *     later one may only take what is left beside it.
 *
 * The fast lane does not come here: it is served between the tiles of whatever runs. Later policies
 * (classes, shares, preemption) are added to this function, not around it. */
#ifndef BARY_HOST_JOBS_CHOOSE_H
#define BARY_HOST_JOBS_CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

#define CHOOSE_PASS_NS INT64_C(30000000000)

struct choose_job {
    int64_t queued_ns; /* when it came, on the clock of now_ns */
    int64_t bytes;     /* what it needs to run */
    uint64_t devices;  /* bit d: it may run on device d */
};

struct choose_snapshot {
    int64_t now_ns, bytes_free;
    int jobs;
    const struct choose_job *job; /* in order of arrival */
    int devices;                  /* at most 64 */
    const bool *idle;             /* of each device */
};

struct choice {
    int job, device; /* -1: nobody, for now */
};

struct choice choose(const struct choose_snapshot *snapshot);

#endif
