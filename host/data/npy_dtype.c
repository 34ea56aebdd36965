#include "host/data/npy_dtype.h"

#include <string.h>

static const struct {
    enum dtype dtype;
    const char *descr; /* as numpy writes it */
} descrs[] = {
    {DTYPE_F32, "<f4"}, {DTYPE_F64, "<f8"}, {DTYPE_F16, "<f2"}, {DTYPE_I8, "|i1"},
    {DTYPE_I16, "<i2"}, {DTYPE_I32, "<i4"}, {DTYPE_I64, "<i8"}, {DTYPE_U8, "|u1"},
    {DTYPE_U16, "<u2"}, {DTYPE_U32, "<u4"}, {DTYPE_U64, "<u8"}, {DTYPE_BOOL, "|b1"},
};

/* By the letter of the kind. */
static const struct {
    char kind;
    const char *why;
} refusals[] = {
    {'O', "(objects) is not supported; numbers are"},
    {'S', "(bytes) is not supported; numbers are"},
    {'a', "(bytes) is not supported; numbers are"},
    {'U', "(text) is not supported; numbers are"},
    {'V', "(raw bytes or a structure) is not supported; numbers are"},
    {'c', "(complex numbers) is not supported; real numbers are"},
    {'M', "(dates) is not supported; numbers are"},
    {'m', "(durations) is not supported; numbers are"},
    {'f', "is not supported; of floats f2, f4 and f8 are"},
    {'i', "is not supported; of integers i1, i2, i4 and i8 are"},
    {'u', "is not supported; of unsigned integers u1, u2, u4 and u8 are"},
    {'b', "is not supported; of booleans b1 is"},
};

const char *npy_descr(enum dtype dtype)
{
    for (size_t i = 0; i < sizeof descrs / sizeof descrs[0]; i++)
        if (descrs[i].dtype == dtype)
            return descrs[i].descr;
    return NULL;
}

static const char *refusal(char kind)
{
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (refusals[i].kind == kind)
            return refusals[i].why;
    return "is unknown; numbers like '<f4' and '<f8' are supported";
}

bool npy_dtype_named(const char *descr, enum dtype *out, const char **why)
{
    char order = descr[0];

    if (order == 0 || !strchr("<>=|", order)) {
        *why = "does not begin with a byte order (<, >, = or |)";
        return false;
    }
    for (size_t i = 0; i < sizeof descrs / sizeof descrs[0]; i++) {
        size_t bytes = dtype_bytes(descrs[i].dtype);
        if (strcmp(descr + 1, descrs[i].descr + 1) != 0)
            continue;
        if (bytes > 1 && order == '>') {
            *why = "(big-endian) is not supported; little-endian is, as astype('<f8') makes it";
            return false;
        }
        if (bytes > 1 && order == '|') {
            *why = "does not say its byte order";
            return false;
        }
        *out = descrs[i].dtype;
        return true;
    }
    *why = refusal(descr[1]);
    return false;
}
