/* place.c - see place.h. */
#include "host/jobs/place.h"

#include <stdio.h>
#include <string.h>

#include "host/base/log.h"
#include "host/jobs/live.h"

static const enum residency RESIDENCIES[] = {RESIDENT, RESIDENT_SMALL, STREAMED};
static const char *const RESIDENCY_NAMES[] = {
    [RESIDENT] = "resident", [RESIDENT_SMALL] = "small tiles", [STREAMED] = "streamed"};
enum { RESIDENCIES_COUNT = sizeof RESIDENCIES / sizeof *RESIDENCIES };

/* -- Names, and what is told -------------------------------------------------------------------- */

static void device_name(const struct dispatcher *dispatcher, int device, char out[48])
{
    const struct worker *worker = dispatcher->worker[device];

    if (worker->gpu)
        snprintf(out, 48, "%.16s:%d", worker->backend->name, worker->index);
    else
        snprintf(out, 48, "%.16s", worker->backend->name);
}

static void rung_name(const struct dispatcher *dispatcher, const struct rung *rung, char out[48])
{
    char name[48];

    device_name(dispatcher, rung->way.device, name);
    snprintf(out, 48, "%.24s %s", name, RESIDENCY_NAMES[rung->residency]);
}

static void step_tell(struct job *job, const char *from, const char *to, const char *reason,
                      const char *why)
{
    struct report *report = &job->report;
    char labels[128];

    if (report->fallbacks < REPORT_FALLBACKS_MAX)
        snprintf(report->fallback[report->fallbacks++], sizeof report->fallback[0],
                 "%.47s -> %.47s: %s (%.150s)", from, to, reason, why);
    snprintf(labels, sizeof labels, "%.47s,%.47s,%.30s", from, to, reason);
    metric_add(job->dispatcher->metrics, METRIC_fallback_total, labels, 1);
    LOG(LOG_WARNING, "fallback", TEXT("job", job->name), TEXT("from", from), TEXT("to", to),
        TEXT("reason", reason), TEXT("why", why));
}

/* A second device left before there was a third: the first step ended on it. */
static void step_open(struct job *job, const char *from, const char *reason, const char *why,
                      double expected_ns, bool early)
{
    struct step *step = &job->step;

    if (step->from[0] && strcmp(step->from, from) != 0)
        step_tell(job, step->from, from, step->reason, step->why);
    *step = (struct step){.reason = reason, .expected_ns = expected_ns, .early = early};
    snprintf(step->from, sizeof step->from, "%s", from);
    snprintf(step->why, sizeof step->why, "%s", why);
}

/* EXCEEDS_CAPACITY: the device could never hold it. */
static enum status budget_check(struct dispatcher *dispatcher, const char *what,
                                const struct choose_way *way, struct error *error)
{
    struct device_bytes bytes;

    ledger_device(dispatcher->ledger, way->device, &bytes);
    bool pinned = way->device_bytes <= bytes.budget;
    if (pinned && way->pinned_bytes <= bytes.pinned_budget)
        return STATUS_OK;
    return FAIL(error, EXCEEDS_CAPACITY, TEXT("what", what),
                INT("needed", pinned ? way->pinned_bytes : way->device_bytes),
                INT("offered", pinned ? bytes.pinned_budget : bytes.budget));
}

static int next_on(const struct ladder *ladder, int device)
{
    for (int r = 0; r < ladder->rungs; r++)
        if (ladder->rung[r].way.device == device && !ladder->rung[r].gone)
            return r;
    return -1;
}

/* What the device could not hold when the job came. */
static void early_tell(struct job *job, int device)
{
    struct ladder *ladder = &job->ladder;
    char from[48], to[48], why[192];
    struct error error;
    int next = next_on(ladder, device), first = -1;

    for (int r = ladder->rungs - 1; r >= 0; r--)
        if (ladder->rung[r].way.device == device && ladder->rung[r].early) {
            ladder->rung[r].early = false;
            first = r;
        }
    if (first < 0 || next < 0 ||
        budget_check(job->dispatcher, job->request->source_name, &ladder->rung[first].way,
                     &error) == STATUS_OK)
        return;
    rung_name(job->dispatcher, &ladder->rung[first], from);
    rung_name(job->dispatcher, &ladder->rung[next], to);
    step_tell(job, from, to, "EXCEEDS_CAPACITY", error_message(&error, why, sizeof why));
}

void ladder_arrive(struct job *job, int rung)
{
    const struct rung *to = &job->ladder.rung[rung];
    struct step *step = &job->step;
    char name[48];

    /* Without a wish for a device, one that would have been slower is nothing to fall back from. */
    bool matters = !step->early || job->request->placement.backend != PLACE_AUTO ||
                   step->expected_ns < to->way.expected_ns;
    if (step->from[0] && matters) {
        device_name(job->dispatcher, to->way.device, name);
        step_tell(job, step->from, name, step->reason, step->why);
    }
    step->from[0] = '\0';
    early_tell(job, to->way.device);
}

/* -- The ladder --------------------------------------------------------------------------------- */

static void rung_leave(struct job *job, struct ladder *ladder, int rung, const char *reason,
                       const char *why, bool early)
{
    struct rung *left = &ladder->rung[rung];
    char from[48], to[48];

    left->gone = true;
    if (!job)
        return;
    int next = next_on(ladder, left->way.device);
    if (next >= 0) {
        rung_name(job->dispatcher, left, from);
        rung_name(job->dispatcher, &ladder->rung[next], to);
        step_tell(job, from, to, reason, why);
        return;
    }
    device_name(job->dispatcher, left->way.device, from);
    step_open(job, from, reason, why, left->way.expected_ns, early);
}

void ladder_leave_rung(struct job *job, int rung, const char *reason, const char *why)
{
    rung_leave(job, &job->ladder, rung, reason, why, false);
}

void ladder_leave_device(struct job *job, int device, const char *reason, const char *why)
{
    int last = -1;

    for (int r = 0; r < job->ladder.rungs; r++)
        if (job->ladder.rung[r].way.device == device && !job->ladder.rung[r].gone) {
            job->ladder.rung[r].gone = true;
            last = r;
        }
    if (last >= 0) /* one that waits and could do as well elsewhere has not fallen */
        rung_leave(job, &job->ladder, last, reason, why, job->state != JOB_RUNNING);
}

static bool offered(const struct dispatcher *dispatcher, int device)
{
    return atomic_load(&dispatcher->worker[device]->state) == WORKER_OK;
}

int ladder_ways(const struct dispatcher *dispatcher, const struct ladder *ladder,
                struct choose_way way[CHOOSE_DEVICES_MAX], int rung[CHOOSE_DEVICES_MAX])
{
    int tier = INT32_MAX, ways = 0;
    bool seen[CHOOSE_DEVICES_MAX] = {false};

    for (int r = 0; r < ladder->rungs; r++)
        if (!ladder->rung[r].gone && offered(dispatcher, ladder->rung[r].way.device) &&
            ladder->rung[r].tier < tier)
            tier = ladder->rung[r].tier;
    for (int r = 0; r < ladder->rungs; r++) {
        const struct rung *at = &ladder->rung[r];
        int device = at->way.device;
        if (at->gone || at->tier != tier || seen[device] || !offered(dispatcher, device))
            continue;
        seen[device] = true;
        way[ways] = at->way;
        rung[ways++] = r;
    }
    return ways;
}

/* -- From a placement --------------------------------------------------------------------------- */

/* -1: it may never run there. */
static int tier_of(const struct worker *worker, const struct placement *placement)
{
    bool here = placement->device < 0 || placement->device == worker->index;
    bool kind =
        placement->backend == PLACE_AUTO || worker->gpu == (placement->backend == PLACE_GPU);

    if (kind && here)
        return 0;
    if (placement->forbid_fallback || placement->backend == PLACE_CPU)
        return -1;
    return worker->gpu ? 1 : 2;
}

static bool any_of_tier(const struct dispatcher *dispatcher, const struct placement *placement)
{
    for (int d = 0; d < dispatcher->workers; d++)
        if (offered(dispatcher, d) && tier_of(dispatcher->worker[d], placement) == 0)
            return true;
    return false;
}

/* What was asked for is not there: an error, or the first step. */
static enum status nothing_asked(struct dispatcher *dispatcher, const struct placement *placement,
                                 struct job *job, struct error *error)
{
    bool gpu = placement->backend == PLACE_GPU;
    char why[192], asked[48] = "gpu";

    snprintf(why, sizeof why, "device %d was asked for and there are %d", placement->device,
             dispatcher->workers);
    if (gpu)
        devices_absence(dispatcher, why);
    if (!gpu || placement->forbid_fallback)
        return FAIL(error, NO_DEVICE, TEXT("backend", gpu ? "gpu" : "cpu"), TEXT("why", why));
    if (placement->device >= 0)
        snprintf(asked, sizeof asked, "gpu:%d", placement->device);
    if (job)
        step_open(job, asked, "NO_DEVICE", why, 0, true);
    return STATUS_OK;
}

static struct rung rung_of(int device, int tier, enum residency residency,
                           const struct job_plan *plan)
{
    return (struct rung){.residency = residency,
                         .tier = tier,
                         .quiet_ns = plan->quiet_ns,
                         .way = {.device = device,
                                 .bytes = plan->run_bytes,
                                 .device_bytes = plan->device_bytes,
                                 .pinned_bytes = plan->device_pinned_bytes,
                                 .expected_ns = plan->expected_ns}};
}

/* While the ladder is made: what it is made for and what it found. */
struct making {
    struct dispatcher *dispatcher;
    const struct job_request *request;
    struct job *job;
    struct ladder *ladder;
    struct job_plan
        plan; /* of the cheapest rung of the lowest tier; of a device its first counts */
    int plan_tier;
    struct error why_not; /* the first rung that was not one */
};

/* The host could never hold it beside what is pinned: it is for admission to refuse such a plan, if no
 * other is left. */
static bool host_holds(const struct making *making, const struct job_plan *plan)
{
    int64_t offered = ledger_budget(making->dispatcher->ledger) - plan->pinned_bytes, needed;

    return !__builtin_add_overflow(plan->held_bytes, plan->run_bytes, &needed) && needed <= offered;
}

static void plan_keep(struct making *making, int device, int tier, const struct job_plan *plan)
{
    bool holds = host_holds(making, plan), held = host_holds(making, &making->plan);

    if (next_on(making->ladder, device) != making->ladder->rungs - 1)
        return; /* a lower one */
    if (making->plan_tier >= 0 && holds == held &&
        (tier > making->plan_tier ||
         (tier == making->plan_tier && plan->expected_ns >= making->plan.expected_ns)))
        return;
    if (making->plan_tier >= 0 && held && !holds)
        return;
    making->plan = *plan;
    making->plan_tier = tier;
}

/* Once one way fits the host, those that do not are none. */
static void host_drop(struct making *making)
{
    const struct job_plan *plan = &making->plan;

    if (!host_holds(making, plan))
        return;
    for (int r = 0; r < making->ladder->rungs; r++) {
        struct job_plan on = *plan;
        on.run_bytes = making->ladder->rung[r].way.bytes;
        making->ladder->rung[r].gone |= !host_holds(making, &on);
    }
}

/* Adds one rung, gone if its device's budget cannot hold it (*why says so). UNSUPPORTED: no such rung.
 * Anything else is wrong with the request, wherever it runs. */
static enum status rung_add(struct making *making, int device, int tier, enum residency residency,
                            struct error *why)
{
    const struct worker *worker = making->dispatcher->worker[device];
    struct ladder *ladder = making->ladder;
    struct job_plan plan;
    enum status status =
        plan_request(worker->backend, worker->device, residency, making->request, &plan, why);

    if (status != STATUS_OK)
        return status;
    struct rung *rung = &ladder->rung[ladder->rungs++];
    *rung = rung_of(device, tier, residency, &plan);
    rung->gone = rung->early = budget_check(making->dispatcher, making->request->source_name,
                                            &rung->way, why) != STATUS_OK;
    if (!rung->gone)
        plan_keep(making, device, tier, &plan);
    return STATUS_OK;
}

/* The rungs of one device, from the top. False: the request is wrong. */
static bool device_climb(struct making *making, int device, int tier)
{
    struct ladder *ladder = making->ladder;
    bool all =
        making->dispatcher->worker[device]->gpu && !making->request->placement.forbid_fallback;
    int first = ladder->rungs;
    struct error top = {.status = STATUS_OK};

    for (int i = 0; i < (all ? RESIDENCIES_COUNT : 1) && ladder->rungs < RUNGS_MAX; i++) {
        struct error why = {.status = STATUS_OK};
        enum status status = rung_add(making, device, tier, RESIDENCIES[i], &why);
        if (why.status != STATUS_OK && top.status == STATUS_OK)
            top = why;
        if (status != STATUS_OK && status != STATUS_UNSUPPORTED) {
            making->why_not = why;
            return false;
        }
    }
    if (making->why_not.status == STATUS_OK)
        making->why_not = top;
    if (ladder->rungs > first && next_on(ladder, device) < 0) {
        char text[192];
        rung_leave(making->job, ladder, first, "EXCEEDS_CAPACITY",
                   error_message(&top, text, sizeof text), true);
    }
    return true;
}

enum status ladder_make(struct dispatcher *dispatcher, const struct job_request *request,
                        struct job *job, struct ladder *out, struct job_plan *plan,
                        struct error *error)
{
    const struct placement *placement = &request->placement;
    struct making making = {
        .dispatcher = dispatcher, .request = request, .job = job, .ladder = out, .plan_tier = -1};
    enum status status;

    out->rungs = 0;
    if (!any_of_tier(dispatcher, placement))
        TRY(nothing_asked(dispatcher, placement, job, error));
    for (int d = 0; d < dispatcher->workers; d++) {
        int tier = offered(dispatcher, d) ? tier_of(dispatcher->worker[d], placement) : -1;
        if (tier >= 0 && !device_climb(&making, d, tier)) {
            making.plan_tier = -1;
            break;
        }
    }
    if (making.plan_tier >= 0) {
        host_drop(&making);
        *plan = making.plan;
        return STATUS_OK;
    }
    if (making.why_not.status == STATUS_OK) /* the last device went while we looked */
        return FAIL(error, NO_DEVICE, TEXT("backend", "usable"), TEXT("why", "all are lost"));
    if (error)
        *error = making.why_not;
    status = making.why_not.status;
out:
    return status;
}
