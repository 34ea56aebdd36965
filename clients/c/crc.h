/* crc.h - crc32c (RFC 3720, Castagnoli): the checksum of upload chunks. */
#ifndef BARY_CLIENTS_C_CRC_H
#define BARY_CLIENTS_C_CRC_H

#include <stddef.h>
#include <stdint.h>

/* The crc of bytes that follow those whose crc is `crc`; start with 0. */
uint32_t baryc_crc32c(uint32_t crc, const void *data, size_t bytes);

#endif
