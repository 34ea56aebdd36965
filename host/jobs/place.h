/* place.h - where a job may run: a ladder from what was asked for down to the CPU.
 *
 * A rung is one way to hold the rows on one device. Of each device the first rung counts that is left,
 * and of all devices those of the lowest tier that has any: tier 0 is what the placement asks for, tier 1
 * other GPUs, tier 2 the CPU. A rung goes when the device could never hold it, when it had no memory after
 * all, or when the device was lost; each such step is told in the report, the log and the metrics.
 * With forbid_fallback there is tier 0 alone, of each device its first rung, and no step at all. */
#ifndef BARY_HOST_JOBS_PLACE_H
#define BARY_HOST_JOBS_PLACE_H

#include "host/jobs/choose.h"
#include "host/jobs/plan.h"
#include "kernels/backend.h"

enum { RUNGS_MAX = 3 * CHOOSE_DEVICES_MAX };

struct dispatcher;
struct job;

struct rung {
    enum residency residency;
    int tier;
    bool gone;
    bool early; /* since admission, and nobody was told: the job may never have gone there */
    double quiet_ns;
    struct choose_way way;
};
struct ladder {
    int rungs;
    struct rung rung[RUNGS_MAX];
};

/* A step whose end is not known yet: the job left a device and has no other one so far. */
struct step {
    char from[48]; /* "": there is none */
    char why[192];
    const char *reason;
    double expected_ns; /* what it would have cost there */
    bool early; /* found at admission: it matters only if the job was asked or better off there */
};

/* The ladder of a request, and its plan on the cheapest way. Any thread. `job` (NULL: nobody is told)
 * hears of rungs that are gone already. NO_DEVICE, EXCEEDS_CAPACITY, and what is wrong with shapes. */
enum status ladder_make(struct dispatcher *dispatcher, const struct job_request *request,
                        struct job *job, struct ladder *out, struct job_plan *plan,
                        struct error *error);

/* The ways that are open to it, at most one a device, and the rung of each; 0: none is left. */
int ladder_ways(const struct dispatcher *dispatcher, const struct ladder *ladder,
                struct choose_way way[CHOOSE_DEVICES_MAX], int rung[CHOOSE_DEVICES_MAX]);

/* Takes one rung away, or all of a device; `reason` is a row of status.def. */
void ladder_leave_rung(struct job *job, int rung, const char *reason, const char *why);
void ladder_leave_device(struct job *job, int device, const char *reason, const char *why);
/* The job begins on this rung: a step that is open ends here. */
void ladder_arrive(struct job *job, int rung);

#endif
