/* npy_dtype.h - what numpy calls our dtypes in a file. */
#ifndef BARY_HOST_DATA_NPY_DTYPE_H
#define BARY_HOST_DATA_NPY_DTYPE_H

#include <stdbool.h>

#include "host/data/dtype.h"

/* "<f4"; NULL: the format has no such dtype. */
const char *npy_descr(enum dtype dtype);

/* Reads "<f4". False, with what speaks against it in *why: "(objects) is not supported; numbers are". */
bool npy_dtype_named(const char *descr, enum dtype *out, const char **why);

#endif
