#include "host/store/database.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/base/fault.h"

/* Step n takes user_version n to n + 1, all missing ones in one transaction. Never edited, only added to. */
static const char *const MIGRATIONS[] = {
    "CREATE TABLE models ("
    " name TEXT NOT NULL, version INTEGER NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,"
    " file TEXT NOT NULL, created INTEGER NOT NULL, n_clusters INTEGER NOT NULL,"
    " columns INTEGER NOT NULL, rows INTEGER NOT NULL, n_iter INTEGER NOT NULL,"
    " number INTEGER NOT NULL, inertia REAL NOT NULL,"
    " PRIMARY KEY (name, version)) WITHOUT ROWID;"
    "CREATE TABLE versions (name TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;",
};
enum { FORMAT = sizeof MIGRATIONS / sizeof MIGRATIONS[0] };

static const struct {
    int result;
    enum status status;
} MEANING[] = {
    {SQLITE_FULL, STATUS_STORAGE_FULL},
    {SQLITE_NOMEM, STATUS_OUT_OF_MEMORY},
    {SQLITE_CORRUPT, STATUS_DAMAGED},
    {SQLITE_NOTADB, STATUS_DAMAGED},
};

enum status database_failed(sqlite3 *database, const char *what, int result, struct error *error)
{
    const char *why = database ? sqlite3_errmsg(database) : sqlite3_errstr(result);
    enum status status = STATUS_IO;

    for (size_t i = 0; i < sizeof MEANING / sizeof MEANING[0]; i++)
        if ((result & 0xff) == MEANING[i].result)
            status = MEANING[i].status;
    if (status == STATUS_OUT_OF_MEMORY)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", what), INT("needed", 0),
                    INT("retry_ms", 1000));
    if (status == STATUS_DAMAGED)
        return FAIL(error, DAMAGED, TEXT("what", "the state folder's database"), INT("byte", 0),
                    TEXT("why", why));
    if (status == STATUS_STORAGE_FULL)
        return FAIL(error, STORAGE_FULL, TEXT("what", what), TEXT("why", why));
    return FAIL(error, IO, TEXT("what", what), TEXT("why", why));
}

enum status database_run(sqlite3 *database, const char *sql, struct error *error)
{
    int result = sqlite3_exec(database, sql, NULL, NULL, NULL);

    return result == SQLITE_OK ? STATUS_OK
                               : database_failed(database, "change the database", result, error);
}

static int bind_all(sqlite3_stmt *statement, const char *types, va_list list)
{
    int result = SQLITE_OK;

    for (int i = 0; types[i] && result == SQLITE_OK; i++) {
        if (types[i] == 't')
            result = sqlite3_bind_text(statement, i + 1, va_arg(list, const char *), -1,
                                       SQLITE_TRANSIENT);
        else if (types[i] == 'i')
            result = sqlite3_bind_int64(statement, i + 1, va_arg(list, int64_t));
        else
            result = sqlite3_bind_double(statement, i + 1, va_arg(list, double));
    }
    return result;
}

static enum status prepare(sqlite3 *database, sqlite3_stmt **out, struct error *error,
                           const char *sql, const char *types, va_list list)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(database, sql, -1, &statement, NULL);

    if (result == SQLITE_OK)
        result = bind_all(statement, types, list);
    if (result != SQLITE_OK) {
        enum status status = database_failed(database, "use the database", result, error);
        sqlite3_finalize(statement);
        return status;
    }
    *out = statement;
    return STATUS_OK;
}

enum status database_prepare(sqlite3 *database, sqlite3_stmt **out, struct error *error,
                             const char *sql, const char *types, ...)
{
    va_list list;

    va_start(list, types);
    enum status status = prepare(database, out, error, sql, types, list);
    va_end(list);
    return status;
}

enum status database_step(sqlite3 *database, sqlite3_stmt *statement, int *row, struct error *error)
{
    int result = sqlite3_step(statement);

    *row = result == SQLITE_ROW;
    return *row || result == SQLITE_DONE
               ? STATUS_OK
               : database_failed(database, "use the database", result, error);
}

enum status database_change(sqlite3 *database, struct error *error, const char *sql,
                            const char *types, ...)
{
    sqlite3_stmt *statement = NULL;
    enum status status;
    va_list list;
    int row = 1;

    va_start(list, types);
    status = prepare(database, &statement, error, sql, types, list);
    va_end(list);
    while (status == STATUS_OK && row)
        status = database_step(database, statement, &row, error);
    sqlite3_finalize(statement);
    return status;
}

static enum status read_number(sqlite3 *database, const char *sql, int64_t *out,
                               struct error *error)
{
    sqlite3_stmt *statement = NULL;
    enum status status;
    int row = 0;

    TRY(database_prepare(database, &statement, error, sql, ""));
    TRY(database_step(database, statement, &row, error));
    *out = row ? sqlite3_column_int64(statement, 0) : 0;
out:
    sqlite3_finalize(statement);
    return status;
}

static enum status migrate(sqlite3 *database, const char *folder, struct error *error)
{
    char sql[64], why[128];
    int64_t version = 0;
    enum status status = read_number(database, "PRAGMA user_version", &version, error);

    if (status != STATUS_OK || version == FORMAT)
        return status;
    if (version > FORMAT) {
        snprintf(why, sizeof why, "a newer Bary wrote it (format %d; this one knows up to %d)",
                 (int)version, (int)FORMAT);
        return FAIL(error, STATE_UNWRITABLE, TEXT("path", folder), TEXT("why", why));
    }
    TRY(database_run(database, "BEGIN IMMEDIATE", error));
    for (int64_t step = version; step < FORMAT; step++)
        TRY(database_run(database, MIGRATIONS[step], error));
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d; COMMIT", (int)FORMAT);
    TRY(database_run(database, sql, error));
out:
    if (status != STATUS_OK)
        sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

static enum status quick_check(sqlite3 *database, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    enum status status;
    int row = 0;

    TRY(database_prepare(database, &statement, error, "PRAGMA quick_check(1)", ""));
    TRY(database_step(database, statement, &row, error));
    const char *said = row ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (!said || strcmp(said, "ok") != 0)
        status = FAIL(error, DAMAGED, TEXT("what", "the state folder's database"), INT("byte", 0),
                      TEXT("why", said ? said : "quick_check said nothing"));
out:
    sqlite3_finalize(statement);
    return status;
}

enum status database_open(const char *path, const char *folder, sqlite3 **out, struct error *error)
{
    sqlite3 *database = NULL;
    enum status status;
    int result = fault_here("database_open") ? SQLITE_CANTOPEN : sqlite3_open(path, &database);

    if (result != SQLITE_OK) {
        status = FAIL(error, STATE_UNWRITABLE, TEXT("path", folder),
                      TEXT("why", sqlite3_errstr(result)));
        sqlite3_close(database);
        return status;
    }
    sqlite3_extended_result_codes(database, 1);
    sqlite3_busy_timeout(database, 1000);
    TRY(database_run(database, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", error));
    TRY(migrate(database, folder, error));
    TRY(quick_check(database, error));
    *out = database;
    database = NULL;
out:
    sqlite3_close(database);
    return status;
}

void database_close(sqlite3 **database)
{
    if (*database)
        sqlite3_close(*database);
    *database = NULL;
}
