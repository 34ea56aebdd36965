/* checksum.c - crc32c, eight bytes a step where the processor has an instruction for it. */
#include "host/base/checksum.h"

#include <string.h>

#if defined(__SSE4_2__) && defined(__x86_64__)
#include <nmmintrin.h>
#define STEP_8(crc, word) (uint32_t) _mm_crc32_u64((crc), (word))
#define STEP_1(crc, byte) _mm_crc32_u8((crc), (byte))
#elif defined(__ARM_FEATURE_CRC32) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#include <arm_acle.h>
#define STEP_8(crc, word) __crc32cd((crc), (word))
#define STEP_1(crc, byte) __crc32cb((crc), (byte))
#endif

/* The remainders of the 16 four-bit values by the reflected polynomial 0x82f63b78. */
static const uint32_t NIBBLE[16] = {
    0x00000000u, 0x105ec76fu, 0x20bd8edeu, 0x30e349b1u, 0x417b1dbcu, 0x5125dad3u,
    0x61c69362u, 0x7198540du, 0x82f63b78u, 0x92a8fc17u, 0xa24bb5a6u, 0xb21572c9u,
    0xc38d26c4u, 0xd3d3e1abu, 0xe330a81au, 0xf36e6f75u,
};

uint32_t crc32c_plain(uint32_t crc, const void *data, size_t bytes)
{
    const unsigned char *next = data;

    crc = ~crc;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= next[i];
        crc = crc >> 4 ^ NIBBLE[crc & 15];
        crc = crc >> 4 ^ NIBBLE[crc & 15];
    }
    return ~crc;
}

#ifdef STEP_8
uint32_t crc32c(uint32_t crc, const void *data, size_t bytes)
{
    const unsigned char *next = data;

    crc = ~crc;
    for (; bytes >= 8; bytes -= 8, next += 8) {
        uint64_t word;
        memcpy(&word, next, 8);
        crc = STEP_8(crc, word);
    }
    for (; bytes > 0; bytes--)
        crc = STEP_1(crc, *next++);
    return ~crc;
}
#else
uint32_t crc32c(uint32_t crc, const void *data, size_t bytes)
{
    return crc32c_plain(crc, data, bytes);
}
#endif
