/* checksum.h - crc32c (RFC 3720, Castagnoli), by hardware where there is some. */
#ifndef BARY_HOST_BASE_CHECKSUM_H
#define BARY_HOST_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* The crc of bytes that follow those whose crc is `crc`; start with 0. crc32c("123456789") = 0xe3069283. */
uint32_t crc32c(uint32_t crc, const void *data, size_t bytes);

/* The same, four bits a step in plain C: what the other must equal. */
uint32_t crc32c_plain(uint32_t crc, const void *data, size_t bytes);

#endif
