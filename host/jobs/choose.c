#include "host/jobs/choose.h"

/* The first idle device that the job may use, or -1. */
static int idle_device(const struct choose_snapshot *snapshot, const struct choose_job *job)
{
    for (int d = 0; d < snapshot->devices; d++)
        if (snapshot->idle[d] && (job->devices >> d & 1))
            return d;
    return -1;
}

struct choice choose(const struct choose_snapshot *snapshot)
{
    int64_t free = snapshot->bytes_free;

    for (int j = 0; j < snapshot->jobs && free >= 0; j++) {
        const struct choose_job *job = &snapshot->job[j];
        int device = idle_device(snapshot, job);
        if (job->bytes <= free && device >= 0)
            return (struct choice){j, device};
        if (snapshot->now_ns - job->queued_ns >= CHOOSE_PASS_NS)
            free -= job->bytes; /* set aside; below 0 nobody passes */
    }
    return (struct choice){-1, -1};
}
