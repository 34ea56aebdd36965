/* journal.h - who is told of a job's new state before it counts.
 *
 * An interface. journal_none does nothing: for jobs that live in memory, and for ephemeral fits
 * always. A journal that keeps jobs over a restart fills the same table. */
#ifndef BARY_HOST_JOBS_JOURNAL_H
#define BARY_HOST_JOBS_JOURNAL_H

#include "host/jobs/job.h"

struct journal_entry {
    const char *job;
    enum job_kind kind;
    enum job_state from, to; /* from 0: the job is new */
    uint64_t sequence;       /* that the job will have */
};

struct journal {
    /* Must be durable when it returns. A failure keeps the job from entering the state. */
    enum status (*enter)(void *context, const struct journal_entry *entry, struct error *error);
    void *context;
};

struct journal journal_none(void);

#endif
