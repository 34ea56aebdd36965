/* job.h - one request that takes time: a fit, a prediction, an evaluation.
 *
 *   QUEUED ---> RUNNING ---> SUCCEEDED
 *     |  ^       |  |------> FAILED
 *     |  |-------|  |------> CANCELLING ---> CANCELLED
 *     |---------------------------------------> CANCELLED, FAILED
 *
 * Back to QUEUED goes one whose device was lost or had no memory after all: it goes on elsewhere, from
 * its last whole round. It fails in the queue when no device is left for it.
 *
 * One function changes a state (job_enter in job.c) and it tells the journal first. The dispatcher
 * thread owns jobs; everybody else sees job_view: an immutable, counted snapshot. */
#ifndef BARY_HOST_JOBS_JOB_H
#define BARY_HOST_JOBS_JOB_H

#include "host/cluster/batch.h"
#include "host/cluster/fit.h"
#include "host/cluster/model.h"
#include "host/cluster/score.h"
#include "host/data/table.h"
#include "proto/limits.h"

/* The numbers are those of bary.v1.JobState. */
enum job_state {
    JOB_QUEUED = 1,
    JOB_RUNNING = 2,
    JOB_SUCCEEDED = 3,
    JOB_FAILED = 4,
    JOB_CANCELLING = 5,
    JOB_CANCELLED = 6
};
enum job_kind { JOB_FIT = 1, JOB_PREDICT = 2, JOB_EVALUATE = 3, JOB_FIT_BATCH = 4 };
enum lane { LANE_FAST = 1, LANE_JOB = 2 };
enum placement_backend { PLACE_AUTO = 0, PLACE_GPU = 1, PLACE_CPU = 2 };

struct placement {
    enum placement_backend backend;
    int device; /* -1: any */
    bool forbid_fallback;
    int threads; /* 0: all of the device's */
};

/* One request. Owns what it points at: table pin, model pin, memory_new'ed arrays; job_request_free
 * gives them back. submit takes it over, also when it fails. */
struct job_request {
    enum job_kind kind;
    char principal[64];
    char request_id[64];   /* "": none */
    uint8_t body_hash[32]; /* SHA-256 of the request without its id, for REQUEST_ID_REUSED */
    char tags[TAGS_MAX][64];
    int tag_count;
    int64_t max_runtime_ms; /* 0: none */
    int64_t deadline_ns;    /* of the call, clock_ns; 0: none. Ends fast work and ephemeral fits */
    struct placement placement;

    char source_name[128]; /* for errors: "dataset 'iris'", "inline matrix" */
    char dataset[64];      /* name to unpin in the catalog, or "" (inline) */
    struct table *table;   /* pinned */
    char **column;         /* selected columns, or NULL */
    int column_count;
    int64_t first_row, rows; /* rows 0: to the end */
    char weight_column[64];  /* or "" */
    double *weight;          /* inline weights, or NULL */
    int64_t weight_count;

    enum non_finite non_finite;
    /* FIT, FIT_BATCH */
    struct kmeans_params params; /* params.init_centers is owned here */
    int64_t init_rows,
        init_columns; /* shape of init_centers as sent; checked against params and data */
    bool no_labels;   /* do not keep labels in the result */
    bool ephemeral;   /* inline, waited for, no model kept: no journal, its call's end cancels it */
    char keep_model[64]; /* name to keep the model under, or "" */
    /* FIT_BATCH: the problems of the rows that are read; see struct batch_input */
    int64_t problems;
    int64_t *problem_row;           /* problems + 1 */
    int64_t *problem_clusters;      /* problems, or NULL */
    uint64_t *problem_random_state; /* problems, or NULL */
    /* PREDICT, EVALUATE */
    struct model *model; /* pinned */
    bool want_labels, want_distances;

    struct job_request *next; /* of a list of what is to be freed */
    int more_pins;            /* holders beside the first */
};
/* One more holder, who owes one more job_request_free. Any thread. */
void job_request_pin(struct job_request *request);
void job_request_free(struct job_request **request);

enum { REPORT_WARNINGS_MAX = 8, REPORT_FALLBACKS_MAX = 8, REPORT_STAGES = 6 };
enum report_stage {
    STAGE_QUEUE,
    STAGE_UPLOAD,
    STAGE_PREPARE,
    STAGE_COMPUTE,
    STAGE_STORE,
    STAGE_SERIALIZE
};

struct report {
    char backend[16], device[64], isa[32], method[48];
    int threads;
    int64_t stage_ns[REPORT_STAGES];
    int64_t bytes_reserved;
    int warnings;
    char warning[REPORT_WARNINGS_MAX][160];
    int fallbacks;
    char fallback[REPORT_FALLBACKS_MAX][256]; /* "cuda:0 -> cpu: DEVICE_LOST (why)" */
};

/* What a finished job leaves: counted with its view. */
struct job_result {
    struct kmeans_result fit;  /* FIT */
    struct batch_result batch; /* FIT_BATCH */
    char model[64];            /* kept model's name, or "" */
    int64_t model_version;
    int64_t rows; /* PREDICT */
    int32_t *labels;
    double *distances; /* rows x n_clusters */
    int64_t n_clusters;
    enum number number;
    struct inertia_result inertia; /* EVALUATE */
};

/* A snapshot. Never changes; job_view_pin / unpin count its holders, any thread. */
struct job_view {
    int pins;
    char name[64]; /* "jobs/..." id */
    enum job_kind kind;
    enum job_state state;
    uint64_t sequence;      /* grows with every change of this job */
    int64_t queue_position; /* from 0; -1: not queued */
    struct fit_progress progress;
    double rows_per_second, seconds_left;                    /* NaN: unknown */
    int64_t created_wall_ns, started_wall_ns, ended_wall_ns; /* 0: not yet */
    char tags[TAGS_MAX][64];
    int tag_count;
    char dataset[64];
    struct report report;
    struct error error;              /* FAILED, CANCELLED */
    struct kmeans_params params;     /* FIT, FIT_BATCH, init_centers NULL */
    const struct job_result *result; /* SUCCEEDED, else NULL; lives as long as the view */
};
void job_view_pin(struct job_view *view);
void job_view_unpin(struct job_view **view);

/* A kind that becomes a job of its own, unless its call waits for it. */
static inline bool job_kind_fits(enum job_kind kind)
{
    return kind == JOB_FIT || kind == JOB_FIT_BATCH;
}
static inline bool job_state_final(enum job_state state)
{
    return state == JOB_SUCCEEDED || state == JOB_FAILED || state == JOB_CANCELLED;
}
const char *job_state_name(enum job_state state); /* "RUNNING" */

#endif
