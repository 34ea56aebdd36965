/* state.c - see state.h. */
#include "host/store/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "host/base/fault.h"
#include "host/base/file.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/store/database.h"

enum { PATH_BYTES = 4096 };

struct state {
    char folder[PATH_BYTES - 256]; /* leaves room for what is appended */
    int lock;                      /* descriptor of FOLDER/lock, -1: none */
    pthread_mutex_t mutex;         /* the connection; no other lock is taken under it */
    sqlite3 *database;
};

static enum status unwritable(const char *folder, const char *why, struct error *error)
{
    return FAIL(error, STATE_UNWRITABLE, TEXT("path", folder), TEXT("why", why));
}

/* WAL needs shared memory between processes and honest locks, which these do not give. */
static enum status refuse_network(const char *folder, struct error *error)
{
    static const struct {
        unsigned magic;
        const char *why;
    } NETWORK[] = {
        {0x6969, "it lies on NFS; it must be on a local file system"},
        {0xff534d42, "it lies on CIFS; it must be on a local file system"},
        {0xfe534d42, "it lies on SMB; it must be on a local file system"},
        {0x517b, "it lies on SMB; it must be on a local file system"},
        {0x65735546, "it lies on FUSE; it must be on a local file system"},
        {0x01021997, "it lies on 9P; it must be on a local file system"},
        {0x00c36400, "it lies on Ceph; it must be on a local file system"},
        {0x5346414f, "it lies on AFS; it must be on a local file system"},
    };
    struct statfs found;

    if (statfs(folder, &found) != 0)
        return unwritable(folder, strerror(errno), error);
    for (size_t i = 0; i < sizeof NETWORK / sizeof NETWORK[0]; i++)
        if ((unsigned)found.f_type == NETWORK[i].magic)
            return unwritable(folder, NETWORK[i].why, error);
    return STATUS_OK;
}

static enum status folder_lock(struct state *state, struct error *error)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "%s/lock", state->folder);
    state->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (state->lock < 0)
        return unwritable(state->folder, strerror(errno), error);
    if (flock(state->lock, LOCK_EX | LOCK_NB) == 0)
        return STATUS_OK;
    return errno == EWOULDBLOCK ? FAIL(error, STATE_LOCKED, TEXT("path", state->folder))
                                : unwritable(state->folder, strerror(errno), error);
}

static enum status folder_prepare(struct state *state, struct error *error)
{
    char path[PATH_BYTES];
    enum status status;
    struct stat found;

    TRY(folder_make(state->folder, 0700, error));
    if (stat(state->folder, &found) != 0 || !S_ISDIR(found.st_mode))
        return unwritable(state->folder, "it is not a folder", error);
    if (found.st_uid != geteuid())
        return unwritable(state->folder, "it belongs to another user", error);
    if ((found.st_mode & 077) != 0 && chmod(state->folder, 0700) != 0)
        return unwritable(state->folder, strerror(errno), error);
    TRY(refuse_network(state->folder, error));
    TRY(folder_lock(state, error));
    snprintf(path, sizeof path, "%s/models", state->folder);
    TRY(folder_make(path, 0700, error));
out:
    if (status == STATUS_IO || status == STATUS_FILE_NOT_FOUND) {
        const char *why = error ? error_value(error, "why") : NULL;
        char text[ERROR_VALUE_BYTES];
        snprintf(text, sizeof text, "%s", why ? why : "it cannot be made");
        return unwritable(state->folder, text, error);
    }
    return status;
}

/* True in *claimed when a row names the file. */
static enum status file_claimed(struct state *state, const char *file, bool *claimed,
                                struct error *error)
{
    sqlite3_stmt *statement = NULL;
    enum status status;
    int row = 0;

    TRY(database_prepare(state->database, &statement, error, "SELECT 1 FROM models WHERE file = ?",
                         "t", file));
    TRY(database_step(state->database, statement, &row, error));
    *claimed = row != 0;
out:
    sqlite3_finalize(statement);
    return status;
}

/* Removes what a killed server left: *.part, and files whose row was never committed. */
static enum status folder_sweep(struct state *state, struct error *error)
{
    char path[PATH_BYTES];
    enum status status = STATUS_OK;
    int64_t removed = 0;

    snprintf(path, sizeof path, "%s/models", state->folder);
    DIR *folder = opendir(path);
    if (!folder)
        return unwritable(state->folder, strerror(errno), error);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        bool claimed = entry->d_name[0] == '.';
        if (!claimed)
            TRY(file_claimed(state, entry->d_name, &claimed, error));
        if (!claimed && unlinkat(dirfd(folder), entry->d_name, 0) == 0)
            removed++;
    }
    if (removed > 0)
        LOG(LOG_WARNING, "state_leftovers_removed", INT("files", removed));
out:
    closedir(folder);
    return status;
}

enum status state_open(const char *folder, struct state **out, struct error *error)
{
    struct state *state = memory_zeroed(1, sizeof *state);
    char path[PATH_BYTES];
    enum status status;

    if (!state)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "the state"), INT("needed", sizeof *state),
                    INT("retry_ms", 1000));
    pthread_mutex_init(&state->mutex, NULL);
    state->lock = -1;
    if (strlen(folder) >= sizeof state->folder)
        TRY(unwritable("...", "its path is too long", error));
    snprintf(state->folder, sizeof state->folder, "%s", folder);
    TRY(folder_prepare(state, error));
    snprintf(path, sizeof path, "%s/bary.db", folder);
    TRY(database_open(path, folder, &state->database, error));
    TRY(folder_sweep(state, error));
    *out = state;
    state = NULL;
out:
    state_close(&state);
    return status;
}

void state_close(struct state **state)
{
    if (!*state)
        return;
    database_close(&(*state)->database);
    if ((*state)->lock >= 0)
        close((*state)->lock);
    pthread_mutex_destroy(&(*state)->mutex);
    memory_free(*state);
    *state = NULL;
}

static void row_read(sqlite3_stmt *statement, struct model_row *row)
{
    const char *text;

    *row = (struct model_row){.version = sqlite3_column_int64(statement, 1),
                              .bytes = sqlite3_column_int64(statement, 2),
                              .created_wall_ns = sqlite3_column_int64(statement, 5),
                              .n_clusters = sqlite3_column_int64(statement, 6),
                              .columns = sqlite3_column_int64(statement, 7),
                              .rows = sqlite3_column_int64(statement, 8),
                              .n_iter = sqlite3_column_int64(statement, 9),
                              .number = sqlite3_column_int(statement, 10),
                              .inertia = sqlite3_column_double(statement, 11)};
    text = (const char *)sqlite3_column_text(statement, 0);
    snprintf(row->name, sizeof row->name, "%s", text ? text : "");
    text = (const char *)sqlite3_column_text(statement, 3);
    snprintf(row->sha256, sizeof row->sha256, "%s", text ? text : "");
    text = (const char *)sqlite3_column_text(statement, 4);
    snprintf(row->file, sizeof row->file, "%s", text ? text : "");
}

static void model_path(const struct state *state, const char *file, char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s/models/%s", state->folder, file);
}

static bool file_whole(const struct state *state, const struct model_row *row)
{
    char path[PATH_BYTES];
    struct stat found;

    model_path(state, row->file, path);
    return stat(path, &found) == 0 && found.st_size == row->bytes;
}

enum status state_models(struct state *state,
                         enum status (*each)(void *context, const struct model_row *row, bool whole,
                                             struct error *error),
                         void *context, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    struct model_row row;
    enum status status;
    int more = 0;

    pthread_mutex_lock(&state->mutex);
    TRY(database_prepare(state->database, &statement, error,
                         "SELECT name, version, bytes, sha256, file, created, n_clusters, columns,"
                         " rows, n_iter, number, inertia FROM models ORDER BY name, version",
                         ""));
    for (;;) {
        TRY(database_step(state->database, statement, &more, error));
        if (!more)
            break;
        row_read(statement, &row);
        TRY(each(context, &row, file_whole(state, &row), error));
    }
out:
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&state->mutex);
    return status;
}

int64_t state_free_bytes(const struct state *state)
{
    struct statvfs found;

    if (statvfs(state->folder, &found) != 0)
        return -1;
    return (int64_t)(found.f_bavail * found.f_frsize);
}

/* What is small must still find room when the disk is full, so what is big stops before. */
static enum status keep_reserve(const struct state *state, size_t bytes, struct error *error)
{
    int64_t free = fault_here("storage_full") ? 0 : state_free_bytes(state);
    char why[160];

    if (free < 0 || free - STORAGE_RESERVE_BYTES >= (int64_t)bytes)
        return STATUS_OK;
    snprintf(why, sizeof why, "%lld bytes are free, of which %lld stay in reserve", (long long)free,
             (long long)STORAGE_RESERVE_BYTES);
    return FAIL(error, STORAGE_FULL, TEXT("what", "a model"), TEXT("why", why));
}

static enum status pick_file(struct model_row *row, struct error *error)
{
    uint64_t random;

    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return FAIL(error, IO, TEXT("what", "draw a file name"), TEXT("why", strerror(errno)));
    snprintf(row->file, sizeof row->file, "%016llx.model", (unsigned long long)random);
    return STATUS_OK;
}

static enum status write_file(struct state *state, const struct model_row *row, const void *data,
                              size_t bytes, struct error *error)
{
    char path[PATH_BYTES];
    struct file *file = NULL;
    enum status status;

    model_path(state, row->file, path);
    TRY(file_create(path, &file, error));
    TRY(file_write(file, data, bytes, error));
    TRY(file_adopt(&file, error));
out:
    file_discard(&file);
    return status;
}

static enum status commit(struct state *state, struct error *error)
{
    enum status status = STATUS_OK;

    if (fault_here("database_commit"))
        status = FAIL(error, STORAGE_FULL, TEXT("what", "the database"),
                      TEXT("why", "a fault was asked for"));
    else
        status = database_run(state->database, "COMMIT", error);
    if (status == STATUS_OK)
        (void)fault_here("database_committed"); /* for kill: the row is there, nobody was told */
    return status;
}

/* The row, with the next version of its name. Under the mutex. */
static enum status write_row(struct state *state, struct model_row *row, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    enum status status;
    int found = 0;

    TRY(database_run(state->database, "BEGIN IMMEDIATE", error));
    TRY(database_change(state->database, error,
                        "INSERT INTO versions VALUES (?, 1)"
                        " ON CONFLICT (name) DO UPDATE SET last = last + 1",
                        "t", row->name));
    TRY(database_prepare(state->database, &statement, error,
                         "SELECT last FROM versions WHERE name = ?", "t", row->name));
    TRY(database_step(state->database, statement, &found, error));
    row->version = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    statement = NULL;
    TRY(database_change(state->database, error,
                        "INSERT INTO models VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        "tiittiiiiiir", row->name, row->version, row->bytes, row->sha256, row->file,
                        row->created_wall_ns, row->n_clusters, row->columns, row->rows, row->n_iter,
                        (int64_t)row->number, row->inertia));
    TRY(commit(state, error));
out:
    sqlite3_finalize(statement);
    if (status != STATUS_OK)
        sqlite3_exec(state->database, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

enum status state_model_add(struct state *state, struct model_row *row, const void *data,
                            size_t bytes, struct error *error)
{
    char path[PATH_BYTES];
    enum status status = pick_file(row, error);

    if (status != STATUS_OK)
        return status;
    TRY(keep_reserve(state, bytes, error));
    TRY(write_file(state, row, data, bytes, error));
    pthread_mutex_lock(&state->mutex);
    status = write_row(state, row, error);
    pthread_mutex_unlock(&state->mutex);
out:
    if (status != STATUS_OK) { /* it may have been renamed before something failed */
        model_path(state, row->file, path);
        unlink(path);
    }
    return status;
}

static enum status remove_rows(struct state *state, const char *name, int64_t version,
                               struct error *error)
{
    enum status status;

    TRY(database_run(state->database, "BEGIN IMMEDIATE", error));
    TRY(database_change(state->database, error,
                        "DELETE FROM models WHERE name = ?1 AND (?2 = 0 OR version = ?2)", "ti",
                        name, version));
    TRY(commit(state, error));
out:
    if (status != STATUS_OK)
        sqlite3_exec(state->database, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

enum status state_model_remove(struct state *state, const char *name, int64_t version,
                               struct error *error)
{
    pthread_mutex_lock(&state->mutex);
    enum status status = remove_rows(state, name, version, error);
    pthread_mutex_unlock(&state->mutex);
    return status;
}

void state_file_remove(struct state *state, const char *file)
{
    char path[PATH_BYTES];

    model_path(state, file, path);
    if (unlink(path) != 0) /* no harm: the next start removes what no row names */
        LOG(LOG_WARNING, "model_file_not_removed", TEXT("why", strerror(errno)));
}

enum status state_model_read(struct state *state, const struct model_row *row, void **out,
                             struct error *error)
{
    char path[PATH_BYTES], what[128];
    enum status status;
    size_t bytes = 0;
    void *data = NULL;

    model_path(state, row->file, path);
    snprintf(what, sizeof what, "model '%s' version %lld", row->name, (long long)row->version);
    status = file_read_all(path, (size_t)row->bytes + 1, &data, &bytes, error);
    if (status == STATUS_OUT_OF_MEMORY)
        return status;
    if (status != STATUS_OK)
        return FAIL(error, DAMAGED, TEXT("what", what), INT("byte", 0),
                    TEXT("why", "its file cannot be read"));
    if ((int64_t)bytes != row->bytes) {
        memory_free(data);
        return FAIL(error, DAMAGED, TEXT("what", what),
                    INT("byte", (int64_t)bytes < row->bytes ? (int64_t)bytes : row->bytes),
                    TEXT("why", "its file has another length"));
    }
    *out = data;
    return STATUS_OK;
}
