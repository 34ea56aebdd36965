/* convert.h - from the dtypes people store to the two that engines compute on.
 *
 * Every conversion is exact, down to -0, subnormals and the payload of a NaN; an integer for which
 * there is no exact double is refused, never rounded. */
#ifndef BARY_HOST_DATA_CONVERT_H
#define BARY_HOST_DATA_CONVERT_H

#include <stdint.h>

#include "host/data/dtype.h"

/* Converts rows x width values of `dtype` that lie together; row r goes to out + r * stride values
 * of `number`, which is dtype_number(dtype) or F64. Returns -1, or the index (row * width + column)
 * of the first integer beyond +-2^53; `out` is then written up to there. */
int64_t convert_values(enum dtype dtype, const void *values, int64_t rows, int64_t width,
                       enum number number, void *out, int64_t stride);

#endif
