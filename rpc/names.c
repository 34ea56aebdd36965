/* names.c - see names.h. */
#include "rpc/names.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/checksum.h"
#include "proto/limits.h"

static const struct thing_row {
    const char *folder, *field;
    enum status not_found;
} THINGS[] = {
    [THING_DATASET] = {"datasets", "a dataset's name", STATUS_DATASET_NOT_FOUND},
    [THING_MODEL] = {"models", "a model's name", STATUS_MODEL_NOT_FOUND},
    [THING_JOB] = {"jobs", "a job's name", STATUS_JOB_NOT_FOUND},
};

/* Takes "word/" off the front of *text. */
static bool take_word(const char **text, const char *word)
{
    size_t bytes = strlen(word);

    if (strncmp(*text, word, bytes) != 0 || (*text)[bytes] != '/')
        return false;
    *text += bytes + 1;
    return true;
}

/* Takes up to the next '/' (or the end) off *text. False: empty or too long. */
static bool take_part(const char **text, char *out, size_t room)
{
    size_t bytes = strcspn(*text, "/");

    if (bytes == 0 || bytes >= room)
        return false;
    memcpy(out, *text, bytes);
    out[bytes] = '\0';
    *text += bytes;
    return true;
}

/* What no name can be is not there: [a-z0-9][a-z0-9._-]{0,62}. */
static bool is_id(const char *text)
{
    static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";

    return isalnum((unsigned char)*text) && text[strspn(text, rest)] == '\0';
}

static bool take_version(const char **text, int64_t *version)
{
    char *end;

    if (**text == '\0')
        return true;
    if (!version || strncmp(*text, "/versions/", 10) != 0 || (*text)[10] < '1' || (*text)[10] > '9')
        return false;
    *version = strtoll(*text + 10, &end, 10);
    *text = end;
    return *version < INT64_MAX;
}

enum status name_parse(const struct principal *principal, enum thing thing, const char *given,
                       char id[64], int64_t *version, struct error *error)
{
    const struct thing_row *row = &THINGS[thing];
    const struct field fields[] = {TEXT("name", given)};
    char space[64] = "", found[64];
    const char *text = given;
    int64_t number = 0;
    bool good = true;

    if (given[0] == '\0')
        return FAIL(error, MISSING, TEXT("what", row->field), TEXT("why", "it says which"));
    if (take_word(&text, "namespaces"))
        good = take_part(&text, space, sizeof space) && *text++ == '/' &&
               take_word(&text, row->folder);
    if (!good || !take_part(&text, found, sizeof found) || !is_id(found) ||
        !take_version(&text, version ? &number : NULL) || *text != '\0')
        return error_set(error, row->not_found, fields, 1);
    if (auth_allow_namespace(principal, space, row->not_found, given, error) != STATUS_OK)
        return row->not_found;
    memcpy(id, found, sizeof found);
    if (version)
        *version = number;
    return STATUS_OK;
}

char *name_print(const struct principal *principal, enum thing thing, const char *id,
                 int64_t version, char out[HANDLE_BYTES])
{
    int used = snprintf(out, HANDLE_BYTES, "namespaces/%s/%s/%s", principal->namespace_,
                        THINGS[thing].folder, id);

    if (version > 0 && used > 0 && used < HANDLE_BYTES)
        snprintf(out + used, (size_t)(HANDLE_BYTES - used), "/versions/%lld", (long long)version);
    return out;
}

/* Of who asked what and where it goes on. */
static uint32_t token_sum(const struct principal *principal, const char *list, const char *place)
{
    uint32_t sum = crc32c(0, principal->name, strlen(principal->name) + 1);

    sum = crc32c(sum, list, strlen(list) + 1);
    return crc32c(sum, place, strlen(place) + 1);
}

char *token_print(const struct principal *principal, const char *list, const char *place,
                  char out[TOKEN_BYTES])
{
    int used = snprintf(out, TOKEN_BYTES, "%08x", (unsigned)token_sum(principal, list, place));

    for (const char *next = place; *next && used + 2 < TOKEN_BYTES; next++)
        used += snprintf(out + used, 3, "%02x", (unsigned)(unsigned char)*next);
    return out;
}

/* Two hexadecimal digits; -1: not. */
static int hex_byte(const char *text)
{
    int value = 0;

    for (int i = 0; i < 2; i++) {
        unsigned char digit = (unsigned char)text[i];
        if (!isxdigit(digit) || isupper(digit))
            return -1;
        value = value * 16 + (isdigit(digit) ? digit - '0' : digit - 'a' + 10);
    }
    return value;
}

static enum status token_refuse(struct error *error, size_t byte)
{
    return FAIL(error, MALFORMED, TEXT("what", "page_token"), INT("byte", byte),
                TEXT("why", "it is not from an answer to this very list"));
}

enum status token_parse(const struct principal *principal, const char *list, const char *token,
                        char place[TOKEN_PLACE_BYTES], struct error *error)
{
    size_t bytes = strlen(token);
    unsigned char raw[TOKEN_PLACE_BYTES + 4] = {0};
    uint32_t sum;

    place[0] = '\0';
    if (bytes == 0)
        return STATUS_OK;
    if (bytes % 2 != 0 || bytes <= 8 || bytes / 2 >= sizeof raw)
        return token_refuse(error, bytes);
    for (size_t i = 0; i < bytes / 2; i++) {
        int value = hex_byte(token + 2 * i);
        if (value < 0 || (i >= 4 && value == 0))
            return token_refuse(error, 2 * i);
        raw[i] = (unsigned char)value;
    }
    sum = (uint32_t)raw[0] << 24 | (uint32_t)raw[1] << 16 | (uint32_t)raw[2] << 8 | raw[3];
    if (sum != token_sum(principal, list, (const char *)raw + 4))
        return token_refuse(error, 0);
    memcpy(place, raw + 4, TOKEN_PLACE_BYTES);
    return STATUS_OK;
}

enum status page_size_check(int32_t page_size, int most, int *out, struct error *error)
{
    if (page_size < 0)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "page_size"), INT("value", page_size),
                    TEXT("limit", "at least 0 (0: as many as a page holds)"));
    *out = page_size == 0 || page_size > most ? most : page_size;
    return STATUS_OK;
}

enum status request_id_check(const char *given, char out[64], struct error *error)
{
    size_t bytes = strlen(given), i = 0;

    for (; i < 36 && given[i]; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? given[i] != '-' : !isxdigit((unsigned char)given[i]))
            break;
    }
    if (bytes != 0 && (i != 36 || bytes != 36))
        return FAIL(error, MALFORMED, TEXT("what", "request_id"), INT("byte", i),
                    TEXT("why", "it must be a UUID, 8-4-4-4-12 hexadecimal digits"));
    memcpy(out, given, bytes + 1);
    return STATUS_OK;
}
