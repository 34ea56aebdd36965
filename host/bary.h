/* bary.h - exact k-means in this process: the public C interface, from one call to full control.
 *
 * Link -lbary. Nothing else of the project need be included; C11 and C++17 both read this file.
 *
 *
 * 1. One call
 *
 *     struct bary_data data = {.values = X, .dtype = BARY_F32, .rows = n, .columns = d};
 *     struct bary_kmeans_options options;
 *     struct bary_kmeans_result result;
 *     struct bary_error error;
 *
 *     bary_kmeans_options_init(&options);
 *     options.n_clusters = 8;
 *     if (bary_kmeans_fit(&data, &options, &result, &error) != 0)
 *         fprintf(stderr, "%s\n", error.message);
 *     ... result.labels[i], result.cluster_centers[j * d + c], result.inertia ...
 *     bary_kmeans_result_free(&result);
 *
 * 2. What is promised
 *
 *   - The answer is a function of data and options, to the last bit: never of threads, instruction
 *     set, machine, or of how often the progress function was called.
 *   - Labels are those of fp64 distances, ties to the lowest index. Sums do not depend on order.
 *   - A function that can fail returns 0, or the number of a row of docs/errors.md. It then has
 *     written nothing but *error: no output is half made and nothing need be freed.
 *   - Every function may be called by any thread at any time; what two threads may not share is a
 *     struct bary_device, and a result or model that one of them frees.
 *   - Nothing is printed, no signal handler or global state is set, errno may change.
 *
 * 3. Who owns what
 *
 *   What you pass in stays yours and is read until the call returns. What a function gives has one
 *   function that takes it back, named beside it; NULL and zeroed structs may be given back too.
 */
#ifndef BARY_HOST_BARY_H
#define BARY_HOST_BARY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BARY_API __attribute__((visibility("default")))

/* "0.1.0". Static. */
BARY_API const char *bary_version(void);

/* -- Errors ------------------------------------------------------------------------------------ */

/* Every function takes NULL where the number alone is enough. Owns nothing. */
struct bary_error {
    int status;         /* what the function returned */
    char reason[32];    /* the row's name: "TOO_FEW_ROWS" */
    char message[1024]; /* a sentence that names the thing, its value and the limit */
};

/* -- Data -------------------------------------------------------------------------------------- */

/* Floats are used as they are, the rest converts exactly (integers beyond +-2^53 are refused). */
enum bary_dtype {
    BARY_F32 = 1,
    BARY_F64 = 2,
    BARY_F16 = 3,
    BARY_BF16 = 4,
    BARY_I8 = 5,
    BARY_I16 = 6,
    BARY_I32 = 7,
    BARY_I64 = 8,
    BARY_U8 = 9,
    BARY_U16 = 10,
    BARY_U32 = 11,
    BARY_U64 = 12,
    BARY_BOOL = 13
};

enum bary_non_finite {
    BARY_NON_FINITE_REJECT = 0, /* NaN or Inf is an error that names row and column */
    BARY_NON_FINITE_SKIP = 1    /* such a row gets the label -1 and NaN distances */
};

/* A row-major matrix: value (r, c) is values[r * columns + c]. */
struct bary_data {
    const void *values;
    enum bary_dtype dtype;
    int64_t rows, columns;
    const double *sample_weight; /* rows weights >= 0, or NULL: all 1. A weight is a repetition. */
    enum bary_non_finite non_finite;
    const char *name; /* for messages; NULL: "X" */
};

/* A .npy file of numpy as data: *file keeps it mapped, bary_npy_close gives it back. */
struct bary_npy;
BARY_API int bary_npy_open(const char *path, struct bary_npy **file, struct bary_data *data,
                           struct bary_error *error);
BARY_API void bary_npy_close(struct bary_npy **file);

/* -- Where and how long it runs ---------------------------------------------------------------- */

/* How far a call has come. */
struct bary_progress {
    double fraction;         /* 0 .. 1 of the most there may be to do; may jump to 1 at the end */
    int64_t run, n_init;     /* from 0; fits only, like all below */
    int64_t round, max_iter; /* from 1 */
    double inertia;          /* of the best run so far; NaN: none yet */
};

/* A device that was opened and tested once and serves many calls, one at a time. */
struct bary_device;

/* All zeros is a good choice: a GPU where one is there and worth its opening, else the CPU with all
 * threads that the machine, its affinity mask, its cgroup and OMP_NUM_THREADS allow. None of it changes
 * an answer.
 *
 * A GPU comes as a plug-in, libbary_cuda.so, from backend_dir: an absolute path; NULL: BARY_BACKEND_DIR of
 * the environment, else ../lib/bary beside the executable's folder. File and folder must belong to root or to
 * this process's user, and nobody else may write them. When a GPU that was asked for is not there, has no
 * memory for the data or fails, the call goes on with less of it (small tiles, rows streamed from the host) and
 * at last on the CPU, from its beginning and with the same bits; `fallback` is told of each step. A process
 * that was forked after a GPU was opened must not use that one. */
struct bary_run {
    struct bary_device *device; /* NULL: opened for this call by the lines below */
    const char *backend;        /* NULL, "auto": the best; "gpu", "cpu", "ref" */
    const char *isa;            /* a ceiling: "plain", "avx2", "avx512"; NULL: the best there is */
    int threads;                /* of the CPU; 0: what the machine offers */

    /* Called by the calling thread after every few milliseconds of work; anything but 0 ends the call with
     * CANCELLED. NULL: not called. */
    int (*progress)(void *context, const struct bary_progress *progress);
    void *context; /* of progress and fallback */

    const char *backend_dir; /* of the GPU plug-in */
    int gpu_index;           /* which GPU */
    int forbid_fallback; /* not 0: NO_DEVICE, OUT_OF_MEMORY or DEVICE_LOST instead of a step down */
    void (*fallback)(void *context,
                     const char *step); /* "cuda:0 -> cpu: DEVICE_LOST (why)", or NULL */
};

/* Opens what `run` names (NULL: the best; a GPU if one opens). NO_DEVICE, UNSUPPORTED, UNKNOWN_VALUE,
 * DEVICE_LOST: it failed its test against the plain version. Opening costs some milliseconds, a GPU's some
 * hundred, of which a program with many small calls wants to pay for one. What `run` says of isa, threads,
 * backend_dir and fallback holds for the device until it is closed, and so must these texts. A GPU belongs to
 * the thread that opened it: in another one calls are UNSUPPORTED. */
BARY_API int bary_device_open(const struct bary_run *run, struct bary_device **out,
                              struct bary_error *error);
BARY_API void bary_device_close(struct bary_device **device);

struct bary_device_info {
    char name[64], isa[32];
    int threads;      /* 0: a GPU */
    char backend[16]; /* "cpu", "ref", "cuda" */
};
BARY_API void bary_device_describe(const struct bary_device *device, struct bary_device_info *out);

/* -- Fit --------------------------------------------------------------------------------------- */

enum bary_init {
    BARY_INIT_AUTO = 0, /* init_centers if given, else k-means++ */
    BARY_INIT_KMEANS_PLUS_PLUS = 1,
    BARY_INIT_RANDOM = 2,
    BARY_INIT_CENTERS = 3
};
enum bary_empty_clusters {
    BARY_EMPTY_RELOCATE = 0, /* to the row farthest from its center, as scikit-learn does */
    BARY_EMPTY_KEEP = 1,     /* the center stays where it was */
    BARY_EMPTY_ERROR = 2
};
enum bary_stop {
    BARY_STOP_LABELS_EQUAL = 1, /* no label changed */
    BARY_STOP_TOLERANCE = 2,
    BARY_STOP_MAX_ITER = 3,
    BARY_STOP_FIXED_ROUNDS = 4
};

/* Names and defaults are those of scikit-learn's KMeans. */
struct bary_kmeans_options {
    int64_t n_clusters; /* 1 .. 2^20; 8 */
    enum bary_init init;
    const double *init_centers; /* n_clusters x columns */
    int64_t n_init;             /* runs of which the best is kept; 0: 1, with RANDOM 10 */
    int64_t max_iter;           /* 300 */
    double tol;                 /* >= 0, relative to the mean variance of the columns; 1e-4 */
    int fixed_rounds;           /* not 0: exactly max_iter rounds, no test */
    uint64_t random_state;      /* 0 */
    enum bary_empty_clusters empty_clusters;
    int history; /* not 0: keep the inertia of each round of the best run */
    struct bary_run run;
};

/* The defaults above. Always call it: later versions may have more fields. */
BARY_API void bary_kmeans_options_init(struct bary_kmeans_options *options);

struct bary_model;

/* Read what you like; bary_kmeans_result_free gives all of it back. */
struct bary_kmeans_result {
    int64_t rows, columns, n_clusters;
    const int32_t *labels;         /* rows; -1: skipped */
    const double *cluster_centers; /* n_clusters x columns */
    const int64_t *sizes;          /* n_clusters: rows that take part */
    double inertia;                /* weighted sum of squared distances */
    int64_t n_iter;                /* rounds of the best run */
    enum bary_stop stop;
    int64_t empty;            /* clusters left without rows */
    int64_t skipped;          /* rows with NaN or Inf */
    const double *history;    /* n_iter inertias, or NULL */
    uint64_t fingerprint[2];  /* of the labels: equal labels, equal numbers */
    struct bary_model *model; /* for bary_predict and bary_model_save; bary_model_share keeps it */
    void *owner;              /* ours */
};

/* options NULL: the defaults. OUT_OF_RANGE, UNKNOWN_VALUE, MISSING, SHAPE_MISMATCH: an option or
 * the data's shape; NON_FINITE, TOO_FEW_ROWS, EMPTY_CLUSTER, ROW_OUT_OF_RANGE: the data;
 * CANCELLED; OUT_OF_MEMORY; and what bary_device_open says. */
BARY_API int bary_kmeans_fit(const struct bary_data *data,
                             const struct bary_kmeans_options *options,
                             struct bary_kmeans_result *result, struct bary_error *error);
BARY_API void bary_kmeans_result_free(struct bary_kmeans_result *result);

/* -- Many small fits ----------------------------------------------------------------------------- */

/* Problems whose rows lie one behind the other in the data, sample weights likewise. Each gets the bits
 * of its own fit; one that fails, fails alone. Fast where problems are small: a thread takes each whole. */
struct bary_problems {
    int64_t problems;
    const int64_t *row_offsets; /* problems + 1, ascending from 0 to data.rows; NULL: equal parts */
    const int64_t *n_clusters;  /* problems, or NULL: options.n_clusters for all */
    const uint64_t *random_state; /* problems, or NULL: options.random_state for all */
};

/* Of a problem that failed all but status are 0. */
struct bary_problem {
    int status; /* 0, or why it failed: bary_batch_error has the words */
    enum bary_stop stop;
    double inertia;
    int64_t n_iter, empty, skipped;
    uint64_t fingerprint[2];
};

/* Problem p has centers center_offsets[p] .. center_offsets[p + 1] - 1, none if it has fewer rows than
 * clusters and they were not given. */
struct bary_batch_result {
    int64_t rows, columns, problems;
    int64_t failed;                              /* how many */
    const struct bary_problem *problem;          /* problems */
    const int64_t *row_offsets, *center_offsets; /* problems + 1 */
    const double *cluster_centers; /* all centers x columns; zeros where the problem failed */
    const int32_t *labels;         /* rows; -1: skipped, or the problem failed */
    const int64_t *sizes;          /* one a center: rows that take part */
    void *owner;                   /* ours */
};

/* options.init_centers are those of all problems, one behind the other; options.history is refused.
 * Ends badly as a whole for what all problems share: SHAPE_MISMATCH, OUT_OF_RANGE, UNKNOWN_VALUE, MISSING,
 * UNSUPPORTED; CANCELLED; OUT_OF_MEMORY; and what bary_device_open says. */
BARY_API int bary_kmeans_fit_batch(const struct bary_data *data,
                                   const struct bary_problems *problems,
                                   const struct bary_kmeans_options *options,
                                   struct bary_batch_result *result, struct bary_error *error);
/* Fills *error with why the problem failed and returns its status; 0: it did not. */
BARY_API int bary_batch_error(const struct bary_batch_result *result, int64_t problem,
                              struct bary_error *error);
BARY_API void bary_batch_result_free(struct bary_batch_result *result);

/* -- Models ------------------------------------------------------------------------------------ */

/* Labels of rows under a model's centers. labels: rows, distances: rows x n_clusters Euclidean
 * distances; either may be NULL. run NULL: all zeros. SHAPE_MISMATCH: other columns than the
 * model's. The one call that fills as it goes: if it fails, part of both arrays may be written. */
BARY_API int bary_predict(const struct bary_model *model, const struct bary_data *data,
                          const struct bary_run *run, int32_t *labels, double *distances,
                          struct bary_error *error);

/* The weighted sum of squared distances to the nearest center, in all and (not NULL) of each
 * cluster. */
BARY_API int bary_inertia(const struct bary_model *model, const struct bary_data *data,
                          const struct bary_run *run, double *inertia, double *per_cluster,
                          struct bary_error *error);

/* A model of centers from elsewhere. Only BARY_F32 and BARY_F64: the type of the data to come. */
BARY_API int bary_model_of_centers(const double *centers, int64_t n_clusters, int64_t columns,
                                   enum bary_dtype dtype, struct bary_model **out,
                                   struct bary_error *error);

/* One more owner, who owes one more bary_model_free. Returns `model`. */
BARY_API struct bary_model *bary_model_share(struct bary_model *model);
BARY_API void bary_model_free(struct bary_model **model);

/* A file that is written whole or not at all; the same bytes as the server's exports. Loading
 * checks every length and checksum: DAMAGED names the byte. FILE_NOT_FOUND, STORAGE_FULL, IO. */
BARY_API int bary_model_save(const struct bary_model *model, const char *path,
                             struct bary_error *error);
BARY_API int bary_model_load(const char *path, struct bary_model **out, struct bary_error *error);

/* The same bytes in memory; bary_bytes_free gives them back. */
BARY_API int bary_model_encode(const struct bary_model *model, void **bytes, size_t *count,
                               struct bary_error *error);
BARY_API int bary_model_decode(const void *bytes, size_t count, struct bary_model **out,
                               struct bary_error *error);
BARY_API void bary_bytes_free(void *bytes);

/* Pointers live as long as the model. */
struct bary_model_info {
    int64_t n_clusters, columns;
    const double *cluster_centers; /* n_clusters x columns */
    const int64_t *sizes;          /* n_clusters, of the rows of the fit; zeros: bare centers */
    int64_t rows, n_iter;          /* of the fit */
    double inertia;
};
BARY_API void bary_model_describe(const struct bary_model *model, struct bary_model_info *out);

#ifdef __cplusplus
}
#endif

#endif
