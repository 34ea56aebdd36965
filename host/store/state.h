/* state.h - the state folder: one server's, on a local file system.
 *
 *     FOLDER/           0700
 *       lock            held (flock) as long as the server lives
 *       bary.db         SQLite, WAL, synchronous=FULL: a row for each acknowledged model
 *       models/ID.model the models' bytes, written aside, synced, renamed
 *
 *  1. A file is there before its row, and its row goes before the file: a row without its file is a
 *     loss (kept, logged, answered as DAMAGED), a file without a row was never acknowledged and is
 *     removed at the next start.
 *  2. Every call is whole or not at all, also under kill -9.
 *  3. Any thread may call; one connection, one lock. A call may block on the disk. */
#ifndef BARY_HOST_STORE_STATE_H
#define BARY_HOST_STORE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/error.h"

/* Kept free on the state folder's file system: what is small can still be written when it is full. */
#define STORAGE_RESERVE_BYTES ((int64_t)64 << 20)

struct state;

/* Makes the folder, locks it, opens, migrates and checks the database, removes files nobody claims.
 * STATE_LOCKED, STATE_UNWRITABLE, DAMAGED, STORAGE_FULL, IO. */
enum status state_open(const char *folder, struct state **out, struct error *error);
void state_close(struct state **state); /* NULL is fine */

/* A row of the models table. */
struct model_row {
    char name[64];
    int64_t version;
    int64_t bytes;
    char sha256[65];
    char file[40]; /* in FOLDER/models */
    int64_t created_wall_ns;
    int64_t n_clusters, columns, rows, n_iter;
    int number; /* enum number */
    double inertia;
};

/* Calls `each` for every row, in (name, version) order, with whether its file is whole by its size. */
enum status state_models(struct state *state,
                         enum status (*each)(void *context, const struct model_row *row, bool whole,
                                             struct error *error),
                         void *context, struct error *error);

/* Writes the file, then the row: picks row->file and row->version (one more than any the name ever
 * had). STORAGE_FULL, IO; then nothing is left behind. */
enum status state_model_add(struct state *state, struct model_row *row, const void *data,
                            size_t bytes, struct error *error);

/* Removes the rows of one version (0: all) durably. Their files are the caller's to remove afterwards. */
enum status state_model_remove(struct state *state, const char *name, int64_t version,
                               struct error *error);
void state_file_remove(struct state *state, const char *file);

/* The whole file of a row, row->bytes of it, memory_new'ed. DAMAGED when it is missing, short or long. */
enum status state_model_read(struct state *state, const struct model_row *row, void **out,
                             struct error *error);

int64_t state_free_bytes(const struct state *state); /* of the file system; -1: unknown */

#endif
