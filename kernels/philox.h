/* philox.h - Philox4x32-10 (Salmon and others, SC 2011): random bits as a function of a counter. */
#ifndef BARY_KERNELS_PHILOX_H
#define BARY_KERNELS_PHILOX_H

#include <stdint.h>

#include "kernels/backend.h"

#ifndef EVERYWHERE /* devices say what else their functions are */
#define EVERYWHERE static inline
#endif

/* What a counter is for: word 2. */
enum philox_stage {
    PHILOX_DRAW = 1,
    PHILOX_ROW_KEY = 2,
    PHILOX_VALIDATION = 3,
    PHILOX_SUBSET = 4,
    PHILOX_BATCH = 5,
    PHILOX_REASSIGNMENT = 6,
    PHILOX_FINGERPRINT = 7,
    PHILOX_SAMPLE = 8
};

EVERYWHERE void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];

    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)c0 * 0xD2511F53u, b = (uint64_t)c2 * 0xCD9E8D57u;
        uint32_t n0 = (uint32_t)(b >> 32) ^ c1 ^ k0, n2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c0 = n0;
        c1 = (uint32_t)b;
        c2 = n2;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* U = word 0 + 2^32 word 1 of key `seed`, counter (index, stage, run). */
EVERYWHERE uint64_t philox_u64(uint64_t seed, uint64_t index, uint32_t stage, uint32_t run)
{
    const uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), stage, run};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t out[4];
    philox(counter, key, out);
    return (uint64_t)out[0] | (uint64_t)out[1] << 32;
}

/* The 128 bits of (row, label) that a label fingerprint adds up: key 0. */
EVERYWHERE uint128 philox_fingerprint(int64_t row, int32_t label)
{
    const uint32_t counter[4] = {(uint32_t)row, (uint32_t)((uint64_t)row >> 32), PHILOX_FINGERPRINT,
                                 (uint32_t)label};
    const uint32_t key[2] = {0, 0};
    uint32_t out[4];
    philox(counter, key, out);
    return (uint128)out[0] | (uint128)out[1] << 32 | (uint128)out[2] << 64 | (uint128)out[3] << 96;
}

#endif
