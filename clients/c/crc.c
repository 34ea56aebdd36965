/* crc.c - crc32c by the CPU's own instruction where it has one: about 9 GB/s, else 8 bits a step. */
#include "clients/c/crc.h"

#include <string.h>

#if defined(__SSE4_2__)
#include <nmmintrin.h>
#define CRC_8(crc, value) ((uint32_t)_mm_crc32_u64((crc), (value)))
#define CRC_1(crc, value) _mm_crc32_u8((crc), (value))
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#define CRC_8(crc, value) __crc32cd((crc), (value))
#define CRC_1(crc, value) __crc32cb((crc), (value))
#else
/* The polynomial 0x1EDC6F41, its bits reversed. */
static uint32_t crc_byte(uint32_t crc, uint8_t value)
{
    crc ^= value;
    for (int bit = 0; bit < 8; bit++)
        crc = crc >> 1 ^ (0x82f63b78u & -(crc & 1));
    return crc;
}

static uint32_t crc_word(uint32_t crc, uint64_t value)
{
    for (int byte = 0; byte < 8; byte++)
        crc = crc_byte(crc, (uint8_t)(value >> 8 * byte));
    return crc;
}
#define CRC_8(crc, value) crc_word((crc), (value))
#define CRC_1(crc, value) crc_byte((crc), (value))
#endif

uint32_t baryc_crc32c(uint32_t crc, const void *data, size_t bytes)
{
    const uint8_t *at = data;

    crc = ~crc;
    for (; bytes >= 8; at += 8, bytes -= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        crc = CRC_8(crc, word);
    }
    for (; bytes > 0; at++, bytes--)
        crc = CRC_1(crc, *at);
    return ~crc;
}
