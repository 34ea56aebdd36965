/* object.h - what has a name: datasets and models, in one catalog.
 *
 * Written once, sealed, then unchanged: readers need no lock. Whoever reads holds a pin. Deleting
 * hides the name at once; the memory goes with the last pin. Names: [a-z0-9][a-z0-9._-]{0,62}.
 * The catalog has one lock of its own, never held while anything blocks and never while another
 * lock is taken. Any thread may call. */
#ifndef BARY_HOST_STORE_OBJECT_H
#define BARY_HOST_STORE_OBJECT_H

#include "host/cluster/model.h"
#include "host/data/table.h"
#include "proto/limits.h"

struct catalog;
struct ledger;
struct metrics;

/* The content hash of a dataset is the SHA-256 of these bytes, all numbers little-endian:
 *
 *     "bary content 1\n"                       15 bytes
 *     u32 encoding                             1 BLOCKS, 2 NPY
 *     u32 columns                              0 for NPY
 *     u64 units                                rows; for NPY bytes of the file
 *     for each column: u32 length of its name, the name (UTF-8, no NUL), u32 dtype, u64 width
 *     for each column (for NPY: for the file), for each 1 MiB block of its values (the last one may
 *         be short): the block's SHA-256       32 bytes
 *
 * A column's values are rows x width x size bytes, row-major, as the table holds them. */
enum dataset_state {
    DATASET_OPEN = 1,
    DATASET_SEALING = 2,
    DATASET_SEALED = 3,
    DATASET_DELETED = 4
};
enum encoding { ENCODING_BLOCKS = 1, ENCODING_NPY = 2 };

/* What everybody may know of a dataset: a copy, nothing borrowed but `columns` memory owned by the view. */
struct dataset_view {
    char name[64];
    char upload[40]; /* upload id */
    enum dataset_state state;
    enum encoding encoding;
    int columns;
    struct column *column; /* memory_new'ed; dataset_view_free */
    int64_t rows, bytes, pins, ttl_s;
    char content_hash[65]; /* hex SHA-256, "" before SEALED */
    int64_t created_wall_ns;
};
void dataset_view_free(struct dataset_view *view);

struct dataset_create {
    const char *name; /* NULL or "": the server makes one */
    enum encoding encoding;
    int columns; /* BLOCKS: the schema */
    const struct column *column;
    int64_t rows;             /* BLOCKS: required */
    int64_t bytes;            /* NPY: required; BLOCKS: 0 or exactly the schema's */
    const char *content_hash; /* NULL, or hex the upload must have */
    int64_t ttl_s;            /* 0: the default */
};

/* Reserves name and memory. The new upload is OPEN. NAME_TAKEN, QUOTA_OBJECTS, MEMORY_PRESSURE,
 * EXCEEDS_CAPACITY, OUT_OF_RANGE ... */
enum status dataset_create(struct catalog *catalog, const struct dataset_create *create,
                           struct dataset_view *out, struct error *error);

/* An upload stream. Several may write one upload at once. */
struct upload;
enum status upload_open(struct catalog *catalog, const char *upload_id, struct upload **out,
                        struct error *error);
/* Where a chunk's bytes go: staging memory of the upload, `bytes` of it, that this stream alone owns until
 * upload_chunk_end. offset: rows (BLOCKS) or bytes (NPY). A chunk of BLOCKS holds, for each column in order,
 * its block of rows. MALFORMED, OUT_OF_RANGE, ALREADY_SEALED. */
enum status upload_chunk_begin(struct upload *upload, int64_t offset, int64_t bytes, void **staging,
                               struct error *error);
/* The staging was filled: checks crc32c, puts the bytes in place. CHECKSUM costs that chunk alone; the same
 * chunk again is ignored; another one there is UPLOAD_CONFLICT. */
enum status upload_chunk_end(struct upload *upload, uint32_t crc, struct error *error);
void upload_chunk_drop(struct upload *upload); /* the stream broke in the middle of a chunk */
/* Ranges held so far, ascending, in the unit of offset; at most `most` are written, the count of all is returned. */
struct range {
    int64_t first, count;
};
int upload_ranges(struct upload *upload, struct range *out, int most);
int64_t upload_held(struct upload *upload); /* units held in total */
void upload_close(struct upload **upload);

/* Verifies, parses and seals; may take long, call it from a pool thread. Repeating it is harmless.
 * INCOMPLETE, MALFORMED, CHECKSUM (content hash), NON... */
enum status dataset_commit(struct catalog *catalog, const char *upload_id, const char *content_hash,
                           struct dataset_view *out, struct error *error);

enum status dataset_get(struct catalog *catalog, const char *name, struct dataset_view *out,
                        struct error *error);
enum status dataset_delete(struct catalog *catalog, const char *name,
                           struct error *error); /* OPEN ones too */
/* The sealed table, pinned and its idle ttl renewed. The caller owes one dataset_unpin. */
enum status dataset_pin(struct catalog *catalog, const char *name, struct table **out,
                        struct error *error);
void dataset_unpin(struct catalog *catalog, const char *name, struct table **table);

/* One page in name order, of names greater than `after`. *count: how many were written (at most `most`). */
enum status dataset_list(struct catalog *catalog, const char *after, int most,
                         struct dataset_view *out, int *count, bool *more, struct error *error);

/* Drops idle datasets and uploads whose time is over. Called once a second. */
void catalog_tick(struct catalog *catalog, int64_t now_ns);

/* Models. A version is immutable; version 0 asks for the newest. */
struct model_view {
    char name[64];
    int64_t version;
    int64_t bytes;
    char content_hash[65]; /* hex SHA-256 of the model's bytes */
    int64_t created_wall_ns;
    int64_t n_clusters, columns, rows, n_iter; /* also in lists, without loading it */
    enum number number;
    double inertia;
    struct model *model; /* pinned by the view; model_view_free */
};
void model_view_free(struct model_view *view);

/* Writes the next version of `name`: file synced, renamed, folder synced, then its row committed. Blocks. */
enum status model_keep(struct catalog *catalog, const char *name, struct model *model,
                       struct model_view *out, struct error *error);
/* Loads it if it is not in memory (may block on the disk). DAMAGED for that model alone. */
enum status model_get(struct catalog *catalog, const char *name, int64_t version,
                      struct model_view *out, struct error *error);
/* version 0: all versions. Durable before it returns. */
enum status model_delete(struct catalog *catalog, const char *name, int64_t version,
                         struct error *error);
/* In (name, version) order after (after_name, after_version); views without `model`. */
enum status model_list(struct catalog *catalog, const char *after_name, int64_t after_version,
                       int most, struct model_view *out, int *count, bool *more,
                       struct error *error);

/* Opens the state folder (locks it, recovers, lists LOST models in the log) and reads the catalog of models. */
enum status catalog_open(const char *state_folder, const struct limits *limits,
                         struct ledger *ledger, struct catalog **out, struct error *error);
void catalog_close(struct catalog **catalog);
void catalog_set_limits(struct catalog *catalog,
                        const struct limits *limits); /* copied, as by catalog_open */
void catalog_set_metrics(struct catalog *catalog,
                         struct metrics *metrics); /* fsync_seconds is counted there */

struct catalog_counts {
    int64_t datasets, dataset_bytes, models, upload_bytes_total, upload_crc_failures_total,
        storage_free_bytes;
};
void catalog_counts(struct catalog *catalog, struct catalog_counts *out);

#endif
