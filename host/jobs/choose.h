/* choose.h - who is next and where: one pure function of a snapshot.
 *
 * First come, first served, by bytes and by time:
 *
 *  1. Each job in order of arrival takes, of the ways in which it may run, the one that ends first: what
 *     it costs there, and on a busy device the wait before it. It starts if that way is open now.
 *  2. Where it would end first is busy: it waits for it, and whoever comes later counts it as before
 *     them. Where its bytes are not free it looks for the next best way that is open.
 *  3. A job that has waited CHOOSE_PASS_NS takes any open way, and is passed no more: what it needs is
 *     set aside, and a later one may only take what is left beside it.
 *
 * The fast lane does not come here: it is served between the tiles of whatever runs. Later policies
 * (classes, shares, preemption) are added to this function, not around it. */
#ifndef BARY_HOST_JOBS_CHOOSE_H
#define BARY_HOST_JOBS_CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

#define CHOOSE_PASS_NS INT64_C(30000000000)

enum { CHOOSE_DEVICES_MAX = 8 };

/* One way to run: on a device, held there in one way. */
struct choose_way {
    int device;
    int64_t bytes; /* of the host */
    int64_t device_bytes, pinned_bytes;
    double expected_ns;
};

struct choose_job {
    int64_t queued_ns; /* when it came, on the clock of now_ns */
    int ways;          /* at least one, at most one a device */
    const struct choose_way *way;
};

struct choose_device {
    bool idle;
    double wait_ns; /* until what runs there has ended, as far as one knows */
    int64_t bytes_free, pinned_free;
};

struct choose_snapshot {
    int64_t now_ns, bytes_free;
    int jobs;
    const struct choose_job *job; /* in order of arrival */
    int devices;                  /* at most CHOOSE_DEVICES_MAX */
    const struct choose_device *device;
};

struct choice {
    int job, way; /* -1: nobody, for now */
};

struct choice choose(const struct choose_snapshot *snapshot);

#endif
