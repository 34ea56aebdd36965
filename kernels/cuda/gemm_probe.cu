/* gemm_probe.cu - a product of hard vectors against fp64. */
#include <math.h>
#include <stdlib.h>

#include "kernels/cuda/gemm_probe.h"
#include "kernels/cuda/settle.h"
#include "kernels/philox.h"

enum { VECTORS = 8, ONE = 0x3c00, SIGN = 0x8000, SUBNORMALS = 0x3ff };

/* fp16 words. */
static double word_value(uint16_t word)
{
    int exponent = word >> 10 & 31, mantissa = word & 1023;
    double size = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);

    return word & SIGN ? -size : size;
}

static uint16_t power_word(int exponent) /* -14 .. 15 */
{
    return (uint16_t)((exponent + 15) << 10);
}

/* Column d of hard vector number `kind`. */
static uint16_t hard_word(int kind, int64_t d, uint32_t random)
{
    uint16_t sign = (uint16_t)(d & 1 ? SIGN : 0), mantissa = (uint16_t)(random & 1023);

    switch (kind) {
    case 0:
        return ONE + 1;
    case 1: /* neighbors cancel but for a little */
        return (uint16_t)(power_word(6) | sign | (d % 16 == 9));
    case 2: /* one huge */
        return d == 5 ? power_word(12) : power_word(-10);
    case 3:
        return (uint16_t)(1 + random % SUBNORMALS);
    case 4:
        return (uint16_t)(ONE | mantissa);
    case 5:
        return (uint16_t)(power_word((int)(random >> 10 & 15) - 8) | mantissa | (random & SIGN));
    case 6: /* large, then ever smaller */
        return (uint16_t)(power_word(7 - (int)(d % 20)) | mantissa);
    default: /* a huge pair that cancels across groups of 16 */
        return d % 32 == 3    ? power_word(12)
               : d % 32 == 19 ? (uint16_t)(power_word(12) | SIGN)
                              : (uint16_t)(power_word(-3) | mantissa);
    }
}

static void hard_vectors(uint16_t *out, int64_t columns, uint64_t seed)
{
    for (int kind = 0; kind < VECTORS; kind++)
        for (int64_t d = 0; d < columns; d++) {
            uint64_t at = (uint64_t)(kind * columns + d);
            out[at] = hard_word(kind, d, (uint32_t)philox_u64(seed, at, 0, 0));
        }
}

/* |score - exact| <= Gamma |y'| |d'|; NaN is not. */
static bool score_holds(const uint16_t *y, const uint16_t *d, int64_t columns, float score)
{
    double exact = 0, yy = 0, dd = 0;

    for (int64_t i = 0; i < columns; i++) {
        double a = word_value(y[i]), b = word_value(d[i]);
        exact += a * b;
        yy += a * a;
        dd += b * b;
    }
    return fabs((double)score - exact) <= gemm_gamma(columns) * sqrt(yy) * sqrt(dd);
}

static bool scores_hold(const uint16_t *y, const uint16_t *d, int64_t columns,
                        const float (*score)[VECTORS])
{
    for (int i = 0; i < VECTORS; i++)
        for (int j = 0; j < VECTORS; j++)
            if (!score_holds(y + i * columns, d + j * columns, columns, score[i][j]))
                return false;
    return true;
}

enum status gemm_probe(struct work *work, bool *accurate)
{
    const struct gemm_state *gemm = &work->assign.gemm;
    struct device *device = work->device;
    size_t words = (size_t)VECTORS * (size_t)gemm->columns;
    uint16_t *y = (uint16_t *)calloc(2 * words, sizeof *y), *d = y + words;
    float score[VECTORS][VECTORS];
    enum status status = STATUS_OUT_OF_MEMORY;

    *accurate = false;
    if (!y)
        return status;
    hard_vectors(y, gemm->columns, 1);
    hard_vectors(d, gemm->columns, 2);
    TRY(upload(device, device->compute, gemm->shadow, y, words * sizeof *y));
    TRY(upload(device, device->compute, gemm->centers, d, words * sizeof *d));
    if (gemm_multiply(work)) {
        for (int i = 0; i < VECTORS; i++)
            TRY(download(device, score[i], gemm->score + i * gemm->clusters, sizeof score[i]));
        *accurate = scores_hold(y, d, gemm->columns, score);
    }
out:
    free(y);
    return status;
}
