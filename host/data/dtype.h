/* dtype.h - the number types of columns.
 *
 * Engines compute on F32 and F64. The rest converts exactly: F16, BF16, I8, I16, U8, U16 and BOOL
 * to F32; I32, U32, I64 and U64 to F64 (beyond +-2^53: ROW_OUT_OF_RANGE). */
#ifndef BARY_HOST_DATA_DTYPE_H
#define BARY_HOST_DATA_DTYPE_H

#include <stddef.h>

#include "host/base/error.h"
#include "kernels/backend.h"

/* The numbers are those of bary.v1.DType. */
enum dtype {
    DTYPE_NONE = 0,
    DTYPE_F32 = 1,
    DTYPE_F64 = 2,
    DTYPE_F16 = 3,
    DTYPE_BF16 = 4,
    DTYPE_I8 = 5,
    DTYPE_I16 = 6,
    DTYPE_I32 = 7,
    DTYPE_I64 = 8,
    DTYPE_U8 = 9,
    DTYPE_U16 = 10,
    DTYPE_U32 = 11,
    DTYPE_U64 = 12,
    DTYPE_BOOL = 13
};

const char *dtype_name(enum dtype dtype);   /* "float32"; NULL: no such type */
size_t dtype_bytes(enum dtype dtype);       /* 0: no such type */
enum number dtype_number(enum dtype dtype); /* what it converts to */

#endif
