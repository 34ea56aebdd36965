/* file.h - files that are whole or absent.
 *
 * file_create opens PATH.part; file_adopt syncs it, renames it to PATH and syncs the folder. A
 * failed fsync is final. Every call can be made to fail by a test (fault points file_write,
 * file_sync, file_rename). Errors: FILE_NOT_FOUND, STORAGE_FULL (ENOSPC, EDQUOT, EFBIG), IO. */
#ifndef BARY_HOST_BASE_FILE_H
#define BARY_HOST_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/error.h"

struct file;

enum status file_create(const char *path, struct file **out, struct error *error);
enum status file_write(struct file *file, const void *data, size_t bytes, struct error *error);
enum status file_adopt(struct file **file, struct error *error); /* on success *file is NULL */
void file_discard(struct file **file); /* closes and removes PATH.part; NULL is fine */

/* The whole file in memory_new'ed memory, refused over `bytes_max`. */
enum status file_read_all(const char *path, size_t bytes_max, void **out, size_t *bytes,
                          struct error *error);

/* A file mapped read-only. The mapping stays valid until file_unmap; a file that others shrink
 * meanwhile is the caller's risk. */
struct mapping {
    const void *data;
    size_t bytes;
};
enum status file_map(const char *path, struct mapping *out, struct error *error);
void file_unmap(struct mapping *mapping);

enum status folder_make(const char *path, int mode, struct error *error); /* and its parents */
enum status folder_sync(const char *path, struct error *error);

#endif
