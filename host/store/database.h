/* database.h - SQLite in five calls: run, prepare, bind, step, and what its errors mean.
 *
 * Not locked: state.c's lock guards the connection. */
#ifndef BARY_HOST_STORE_DATABASE_H
#define BARY_HOST_STORE_DATABASE_H

#include <sqlite3.h>

#include "host/base/error.h"

/* Opens or makes the file, WAL and synchronous=FULL, migrates it and checks it. `folder` is for errors. */
enum status database_open(const char *path, const char *folder, sqlite3 **out, struct error *error);
void database_close(sqlite3 **database); /* NULL is fine */

/* Statements without results. */
enum status database_run(sqlite3 *database, const char *sql, struct error *error);

/* A statement with its values, bound in order: 't' const char *, 'i' int64_t, 'r' double. */
enum status database_prepare(sqlite3 *database, sqlite3_stmt **out, struct error *error,
                             const char *sql, const char *types, ...);
/* SQLITE_ROW: *row is 1. */
enum status database_step(sqlite3 *database, sqlite3_stmt *statement, int *row,
                          struct error *error);
/* Prepares, steps to the end and finalizes: for one change. */

enum status database_change(sqlite3 *database, struct error *error, const char *sql,
                            const char *types, ...);

/* STORAGE_FULL, OUT_OF_MEMORY, DAMAGED or IO for an SQLite result. */
enum status database_failed(sqlite3 *database, const char *what, int result, struct error *error);

#endif
