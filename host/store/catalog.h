/* catalog.h - what object.h keeps to itself: the catalog, its datasets and its models.
 *
 * Two locks, never held together (a third, `writer`, lies around them where models are added and
 * removed, and may be held while the disk works). The catalog's guards names, states, counts and who holds what;
 * a dataset's own guards its upload: ranges held, streams that write, blocks hashed. Neither is held
 * while anything blocks, save for the copy of a chunk that another stream waits for. */
#ifndef BARY_HOST_STORE_CATALOG_H
#define BARY_HOST_STORE_CATALOG_H

#include <pthread.h>
#include <stdatomic.h>

#include "host/metrics/metrics.h"
#include "host/store/hash.h"
#include "host/store/index.h"
#include "host/store/object.h"
#include "host/store/pages.h"
#include "host/store/ranges.h"
#include "host/store/state.h"

enum { OUT_OF_MEMORY_RETRY_MS = 1000 };

struct catalog {
    struct ledger *ledger;
    struct state *state;
    struct metrics *_Atomic metrics; /* NULL: not counted */
    pthread_mutex_t writer; /* adding and removing models, disk and memory together; outermost */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* a dataset left SEALING */
    struct limits limits;
    struct index datasets;                   /* by name: what a client sees */
    struct index uploads;                    /* the same datasets by upload id */
    struct index models;                     /* of struct stored, by name and version */
    int64_t dataset_bytes;                   /* of the datasets in the index */
    int64_t models_pending;                  /* being written: they count against `objects` */
    int64_t loaded_bytes, loaded_bytes_most; /* models in memory, and their cap */
    int upload_streams;
    _Atomic int64_t upload_bytes_total, upload_crc_failures_total;
};

/* A dataset from create to its last holder. The index is one holder, each open stream and each
 * Commit under way another. Readers hold the table, not this. */
struct dataset {
    struct catalog *catalog;
    char name[64], upload[40];
    enum encoding encoding;
    struct column *column; /* of BLOCKS from the start, of NPY once sealed */
    int columns;
    int64_t rows, bytes, ttl_s, created_wall_ns;
    char wanted_hash[DIGEST_TEXT_BYTES]; /* "" or what the content must have */
    struct layout layout;

    /* catalog.lock */
    int holders;
    enum dataset_state state;
    int64_t used_ns;
    struct table *table; /* SEALED; its pins but our own one are those of readers */
    char hash[DIGEST_TEXT_BYTES];

    /* Until SEALED; then the table owns region and reservation. */
    struct pages *region;
    int64_t reserved;

    /* dataset.lock */
    pthread_mutex_t lock;
    pthread_cond_t written; /* a stream finished placing a chunk */
    struct ranges held;
    bool closed; /* a Commit works on it: no stream may claim */
    struct upload *streams;
    unsigned char *block_state; /* of each block: NOT_HASHED, HASHING, HASHED */
    unsigned char (*digest)[DIGEST_BYTES];
};

/* One stream of a dataset's upload. */
struct upload {
    struct catalog *catalog;
    struct dataset *dataset;
    unsigned char *staging; /* CHUNK_BYTES_MAX, taken when first needed */
    bool active, direct;    /* between begin and end; its bytes lie in place */
    int64_t offset, units, bytes;

    /* dataset.lock */
    struct upload *next;
    int64_t claim_first, claim_count; /* being written; count 0: nothing */
};

enum block_state { NOT_HASHED, HASHING, HASHED };

/* A model's row, and the model itself while it is in memory. catalog.lock */
struct stored {
    struct model_row row;
    bool lost;           /* its file was missing or short at the start */
    struct model *model; /* one pin of ours, or NULL */
    int64_t used_ns;
};
struct stored_key {
    const char *name;
    int64_t version;
};

enum status no_memory(struct error *error, const char *what, size_t bytes);
/* OUT_OF_RANGE unless it is [a-z0-9][a-z0-9._-]{0,62}. */
enum status name_check(const char *what, const char *name, struct error *error);
/* QUOTA_OBJECTS. Under catalog.lock. */
enum status catalog_room(struct catalog *catalog, struct error *error);
bool random_name(const char *prefix, char *out, size_t bytes);

/* Under catalog.lock: one more holder. */
void dataset_hold(struct dataset *dataset);
/* Takes the lock; the last one frees it. */
void dataset_drop(struct dataset **dataset);
/* UPLOAD_NOT_FOUND; else one more holder. */
enum status upload_find(struct catalog *catalog, const char *upload_id, struct dataset **out,
                        struct error *error);
/* Under catalog.lock: readers of the table. */
int64_t dataset_pins(const struct dataset *dataset);
/* Under catalog.lock. OUT_OF_MEMORY. */
enum status dataset_show(const struct dataset *dataset, struct dataset_view *out,
                         struct error *error);
/* Digests the whole blocks among the held units [first, first + count) that nobody digested yet.
 * Calls for no lock. False: no memory, some are left. */
bool dataset_hash(struct dataset *dataset, int64_t first, int64_t count);

/* catalog.lock is taken inside. */
enum status models_load(struct catalog *catalog, struct error *error);
void models_free(struct catalog *catalog);

#endif
