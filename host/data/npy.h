/* npy.h - the .npy format, versions 1.0 to 3.0 (NEP 1), read and written.
 *
 * One- and two-dimensional arrays of numbers in C or Fortran order, little-endian (big-endian is
 * refused by name). Objects, structures, strings and more dimensions are refused with MALFORMED and
 * the byte where the header says so. A one-dimensional array is a matrix of one column. */
#ifndef BARY_HOST_DATA_NPY_H
#define BARY_HOST_DATA_NPY_H

#include "host/data/table.h"

struct npy_header {
    enum dtype dtype;
    bool fortran;
    int dimensions; /* 1 or 2 */
    int64_t rows, columns;
    size_t data_offset; /* first byte of the values */
};

/* Parses and checks the header against `bytes`, the size of the whole file. `what` names it in errors. */
enum status npy_parse(const char *what, const void *data, size_t bytes, struct npy_header *out,
                      struct error *error);

/* A sealed table over the file's bytes; Fortran order is copied into row-major memory. Takes over
 * `release(owner)` on success. */
enum status npy_table(const char *what, const void *data, size_t bytes, void (*release)(void *),
                      void *owner, struct table **out, struct error *error);

/* Maps and parses a file. */
enum status npy_open(const char *path, struct table **out, struct error *error);

/* Writes a file whole or not at all. columns 0: one-dimensional. */
enum status npy_write(const char *path, enum dtype dtype, int64_t rows, int64_t columns,
                      const void *data, struct error *error);

#endif
