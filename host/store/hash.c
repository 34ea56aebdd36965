#include "host/store/hash.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

bool hash_bytes(const void *data, size_t bytes, unsigned char digest[DIGEST_BYTES])
{
    return EVP_Digest(data, bytes, digest, NULL, EVP_sha256(), NULL) == 1;
}

void hash_print(const unsigned char digest[DIGEST_BYTES], char text[DIGEST_TEXT_BYTES])
{
    for (int i = 0; i < DIGEST_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

bool hash_text_valid(const char *text)
{
    return strlen(text) == DIGEST_TEXT_BYTES - 1 &&
           strspn(text, "0123456789abcdefABCDEF") == DIGEST_TEXT_BYTES - 1;
}

bool hash_text_equal(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}

/* An unsigned number of `bytes` bytes, little-endian. */
static bool put(EVP_MD_CTX *hash, uint64_t value, int bytes)
{
    unsigned char out[8];

    for (int i = 0; i < bytes; i++)
        out[i] = (unsigned char)(value >> 8 * i);
    return EVP_DigestUpdate(hash, out, (size_t)bytes) == 1;
}

static bool put_column(EVP_MD_CTX *hash, const struct column *column)
{
    size_t length = strlen(column->name);

    return put(hash, length, 4) && EVP_DigestUpdate(hash, column->name, length) == 1 &&
           put(hash, column->dtype, 4) && put(hash, (uint64_t)column->width, 8);
}

bool hash_dataset(enum encoding encoding, const struct layout *layout, const struct column *column,
                  const unsigned char (*digests)[DIGEST_BYTES], char text[DIGEST_TEXT_BYTES])
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    unsigned char digest[DIGEST_BYTES];
    int columns = column ? layout->buffers : 0;
    bool done = hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(hash, "bary content 1\n", 15) == 1 && put(hash, encoding, 4) &&
                put(hash, (uint64_t)columns, 4) && put(hash, (uint64_t)layout->units, 8);

    for (int c = 0; done && c < columns; c++)
        done = put_column(hash, &column[c]);
    done = done && EVP_DigestUpdate(hash, digests, (size_t)layout->blocks * DIGEST_BYTES) == 1 &&
           EVP_DigestFinal_ex(hash, digest, NULL) == 1;
    EVP_MD_CTX_free(hash);
    if (done)
        hash_print(digest, text);
    return done;
}
