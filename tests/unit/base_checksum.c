#include "host/base/checksum.h"

#include "tests/check.h"

/* RFC 3720, B.4, and the check value of the Castagnoli polynomial. */
static void the_published_vectors_hold(struct check *check)
{
    unsigned char bytes[32];

    check_equal_u64(check, crc32c(0, "123456789", 9), 0xe3069283u);
    check_equal_u64(check, crc32c(0, "", 0), 0);
    memset(bytes, 0, sizeof bytes);
    check_equal_u64(check, crc32c(0, bytes, sizeof bytes), 0x8a9136aau);
    memset(bytes, 0xff, sizeof bytes);
    check_equal_u64(check, crc32c(0, bytes, sizeof bytes), 0x62a8ab43u);
    for (int i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    check_equal_u64(check, crc32c(0, bytes, sizeof bytes), 0x46dd794eu);
    for (int i = 0; i < 32; i++)
        bytes[i] = (unsigned char)(31 - i);
    check_equal_u64(check, crc32c(0, bytes, sizeof bytes), 0x113fdb5cu);
}

static void hardware_equals_plain_c_at_every_length_start_and_cut(struct check *check)
{
    unsigned char bytes[96];
    uint64_t state = 3;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)check_random(&state);
    for (size_t start = 0; start < 8; start++) {
        for (size_t length = 0; length + start <= sizeof bytes; length++) {
            uint32_t want = crc32c_plain(0, bytes + start, length);
            size_t cut = length / 3;
            uint32_t parts =
                crc32c(crc32c(0, bytes + start, cut), bytes + start + cut, length - cut);
            check_note(check, "start=%zu length=%zu", start, length);
            check_equal_u64(check, crc32c(0, bytes + start, length), want);
            check_equal_u64(check, parts, want);
        }
    }
}

CHECKS(CLAIM(the_published_vectors_hold),
       CLAIM(hardware_equals_plain_c_at_every_length_start_and_cut))
