/* local.h - the engine in this process: the device that --local computes on. */
#ifndef BARY_CLIENTS_CLI_LOCAL_H
#define BARY_CLIENTS_CLI_LOCAL_H

#include "clients/cli/commands.h"
#include "clients/cli/say.h"
#include "host/embedded.h"

enum { LOCAL_STEPS_MAX = 8 };

/* Lives on the stack of a local command; local_close gives it back. */
struct local {
    const struct arguments *arguments;
    struct embedded device;
    struct progress_line *progress;
    bool predicting; /* what the progress says */
    int64_t start_ns, compute_ns;
    int64_t runtime_ns; /* most that the work may take; 0: no bound */
    struct turn turn;

    /* What was used, once local_run has done the work. */
    const char *backend;
    struct device_info info;
    const char *method; /* what a plan calls it; NULL: not asked */
    int steps;
    char step[LOCAL_STEPS_MAX][384], *step_list[LOCAL_STEPS_MAX];
};

/* Takes --device, --threads, --backend-dir, --forbid-fallback and --max-runtime from the arguments. */
void local_init(const struct arguments *arguments, struct progress_line *progress,
                struct local *out);
/* Opens the device for this work and does it there, or further down its ladder; see embedded.h. */
enum status local_run(struct local *local, const struct embedded_work *work,
                      enum status (*body)(const struct embedded *device, void *context,
                                          struct error *error),
                      void *context, struct error *error);
void local_close(struct local *local);

/* What was used. Borrows from *local. */
void local_report(struct local *local, Bary__V1__Report *out);

#endif
