/* local.h - the engine in this process: the device that --local computes on. */
#ifndef BARY_CLIENTS_CLI_LOCAL_H
#define BARY_CLIENTS_CLI_LOCAL_H

#include "clients/cli/say.h"
#include "host/cluster/fit.h"
#include "kernels/backend.h"

/* Lives on the stack of a local command; local_close gives it back. */
struct local {
    const struct backend *backend;
    struct device *device;
    struct progress_line *progress;
    bool predicting;    /* what the progress says */
    const char *method; /* what a plan calls it; NULL: not asked */
    int64_t start_ns;
    int64_t runtime_ns; /* most that the work may take; 0: no bound */
    struct turn turn;
};

/* threads 0: what the machine offers. The best backend that has a device. */
int local_open(int threads, double max_runtime_s, struct progress_line *progress, struct local *out,
               struct baryc_error *error);
void local_close(struct local *local);

/* Asks the device's plan what it will run on this shape, for the report. */
void local_plan(struct local *local, const struct shape *shape);

/* What was used, since local_open. Borrows from *info, which the caller holds. */
void local_report(const struct local *local, struct device_info *info, Bary__V1__Report *out);

#endif
