#include "host/jobs/choose.h"

/* What earlier jobs of the queue leave to the later ones. */
struct left {
    int64_t bytes;                     /* of the host; below 0 nobody passes */
    double before[CHOOSE_DEVICES_MAX]; /* time that those who wait for a device take on it */
};

static bool open_now(const struct choose_snapshot *snapshot, const struct left *left,
                     const struct choose_way *way)
{
    const struct choose_device *device = &snapshot->device[way->device];

    return device->idle && way->bytes <= left->bytes && way->device_bytes <= device->bytes_free &&
           way->pinned_bytes <= device->pinned_free;
}

/* When it would have ended there. */
static double end_ns(const struct choose_snapshot *snapshot, const struct left *left,
                     const struct choose_way *way)
{
    const struct choose_device *device = &snapshot->device[way->device];

    return way->expected_ns + left->before[way->device] + (device->idle ? 0 : device->wait_ns);
}

/* The way that ends first, of those that are open (or of those whose device is busy); -1: none. */
static int first_to_end(const struct choose_snapshot *snapshot, const struct left *left,
                        const struct choose_job *job, bool open)
{
    int best = -1;

    for (int w = 0; w < job->ways; w++) {
        const struct choose_way *way = &job->way[w];
        if (open ? !open_now(snapshot, left, way) : snapshot->device[way->device].idle)
            continue;
        if (best < 0 || end_ns(snapshot, left, way) < end_ns(snapshot, left, &job->way[best]))
            best = w;
    }
    return best;
}

static int cheapest(const struct choose_job *job)
{
    int best = 0;

    for (int w = 1; w < job->ways; w++)
        if (job->way[w].expected_ns < job->way[best].expected_ns)
            best = w;
    return best;
}

struct choice choose(const struct choose_snapshot *snapshot)
{
    struct left left = {.bytes = snapshot->bytes_free};

    for (int j = 0; j < snapshot->jobs && left.bytes >= 0; j++) {
        const struct choose_job *job = &snapshot->job[j];
        bool aged = snapshot->now_ns - job->queued_ns >= CHOOSE_PASS_NS;
        int now = first_to_end(snapshot, &left, job, true);
        int later = first_to_end(snapshot, &left, job, false);
        if (now >= 0 &&
            (aged || later < 0 ||
             end_ns(snapshot, &left, &job->way[now]) <= end_ns(snapshot, &left, &job->way[later])))
            return (struct choice){j, now};
        if (later >= 0)
            left.before[job->way[later].device] += job->way[later].expected_ns;
        if (aged)
            left.bytes -= job->way[cheapest(job)].bytes;
    }
    return (struct choice){-1, -1};
}
