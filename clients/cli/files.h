/* files.h - what the user names by path: .npy files read and written, models.
 *
 * One of the files here that know the engine (host/): it reads .npy headers and model files, and
 * writes outputs whole or not at all. Errors come back in the client's form. */
#ifndef BARY_CLIENTS_CLI_FILES_H
#define BARY_CLIENTS_CLI_FILES_H

#include "clients/c/baryc.h"
#include "host/base/error.h"
#include "host/base/file.h"
#include "host/cluster/model.h"
#include "host/data/npy.h"

/* The engine's error in the client's form; returns its gRPC number, 0 for OK. */
int error_of_host(const struct error *from, struct baryc_error *to);

/* A .npy file, mapped. `table` holds its rows in row-major order once array_load was called. */
struct array {
    const char *path; /* borrowed; NULL: not opened */
    struct mapping file;
    struct npy_header header;
    struct table *table;
};

/* Maps and checks the header. */
int array_open(const char *path, struct array *out, struct baryc_error *error);
/* Makes `table`: a view of the mapping, or a copy of what lies in Fortran order. */
int array_load(struct array *array, struct baryc_error *error);
void array_close(struct array *array); /* never opened is fine */

int64_t array_rows(const struct array *array);
size_t array_bytes(const struct array *array);       /* of its values; 0: not opened */
const void *array_values(const struct array *array); /* after array_load */
/* As a message that borrows the values, after array_load. */
void array_message(const struct array *array, Bary__V1__Matrix *out);

/* Whether a file can be made at `path`, asked before an hour of work. NULL is fine. */
int output_check(const char *path, struct baryc_error *error);
/* columns 0: one-dimensional. */
int output_write(const char *path, enum dtype dtype, int64_t rows, int64_t columns,
                 const void *data, struct baryc_error *error);

/* Whether --model names a file rather than a model of the server. */
bool model_is_file(const char *text);
/* A model file, or bare centers in a .npy file. The caller owes one model_unpin. */
int model_open(const char *path, struct model **out, struct baryc_error *error);

#endif
