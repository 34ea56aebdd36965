/* hash.h - SHA-256 of what is stored; object.h draws the bytes that a content hash covers. */
#ifndef BARY_HOST_STORE_HASH_H
#define BARY_HOST_STORE_HASH_H

#include <stdbool.h>

#include "host/store/layout.h"

enum { DIGEST_BYTES = 32, DIGEST_TEXT_BYTES = 65 };

/* False: no memory. */
bool hash_bytes(const void *data, size_t bytes, unsigned char digest[DIGEST_BYTES]);
void hash_print(const unsigned char digest[DIGEST_BYTES], char text[DIGEST_TEXT_BYTES]);
/* 64 hex digits in either case, or not. */
bool hash_text_valid(const char *text);
bool hash_text_equal(const char *a, const char *b);

/* The content hash of a dataset from the digests of its blocks. `column`: the schema of BLOCKS, else NULL. */
bool hash_dataset(enum encoding encoding, const struct layout *layout, const struct column *column,
                  const unsigned char (*digests)[DIGEST_BYTES], char text[DIGEST_TEXT_BYTES]);

#endif
