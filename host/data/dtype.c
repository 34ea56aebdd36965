#include "host/data/dtype.h"

static const struct {
    const char *name;
    size_t bytes;
    enum number number;
} dtypes[] = {
    [DTYPE_F32] = {"float32", 4, NUMBER_F32}, [DTYPE_F64] = {"float64", 8, NUMBER_F64},
    [DTYPE_F16] = {"float16", 2, NUMBER_F32}, [DTYPE_BF16] = {"bfloat16", 2, NUMBER_F32},
    [DTYPE_I8] = {"int8", 1, NUMBER_F32},     [DTYPE_I16] = {"int16", 2, NUMBER_F32},
    [DTYPE_I32] = {"int32", 4, NUMBER_F64},   [DTYPE_I64] = {"int64", 8, NUMBER_F64},
    [DTYPE_U8] = {"uint8", 1, NUMBER_F32},    [DTYPE_U16] = {"uint16", 2, NUMBER_F32},
    [DTYPE_U32] = {"uint32", 4, NUMBER_F64},  [DTYPE_U64] = {"uint64", 8, NUMBER_F64},
    [DTYPE_BOOL] = {"bool", 1, NUMBER_F32},
};
enum { DTYPES = sizeof dtypes / sizeof dtypes[0] };

/* Its place in the table; that of DTYPE_NONE, which is empty, for a number from a stranger. */
static size_t dtype_index(enum dtype dtype)
{
    size_t index = (size_t)dtype;

    return index < DTYPES ? index : DTYPE_NONE;
}

const char *dtype_name(enum dtype dtype)
{
    return dtypes[dtype_index(dtype)].name;
}

size_t dtype_bytes(enum dtype dtype)
{
    return dtypes[dtype_index(dtype)].bytes;
}

enum number dtype_number(enum dtype dtype)
{
    return dtypes[dtype_index(dtype)].number;
}
