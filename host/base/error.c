/* error.c - the rows of status.def, and sentences made of them. */
#include "host/base/error.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* gRPC's numbers of its status codes (grpc/status.h), by the names that status.def uses. */
enum code {
    CODE_OK = 0,
    CODE_CANCELLED = 1,
    CODE_INVALID_ARGUMENT = 3,
    CODE_DEADLINE_EXCEEDED = 4,
    CODE_NOT_FOUND = 5,
    CODE_ALREADY_EXISTS = 6,
    CODE_PERMISSION_DENIED = 7,
    CODE_RESOURCE_EXHAUSTED = 8,
    CODE_FAILED_PRECONDITION = 9,
    CODE_ABORTED = 10,
    CODE_OUT_OF_RANGE = 11,
    CODE_UNIMPLEMENTED = 12,
    CODE_INTERNAL = 13,
    CODE_UNAVAILABLE = 14,
    CODE_DATA_LOSS = 15,
    CODE_UNAUTHENTICATED = 16
};
enum retry { RETRY_NEVER, RETRY_LATER };

static const struct status_row status_rows[] = {
#define STATUS(name, number, code, retry, sentence) \
    {STATUS_##name, #name, #code, CODE_##code, RETRY_##retry, sentence},
#include "proto/status.def"
#undef STATUS
};
enum { STATUS_ROWS = sizeof status_rows / sizeof status_rows[0] };

const struct status_row *status_row(enum status status)
{
    const struct status_row *bug = NULL;

    for (size_t i = 0; i < STATUS_ROWS; i++) {
        if (status_rows[i].status == status)
            return &status_rows[i];
        if (status_rows[i].status == STATUS_BUG)
            bug = &status_rows[i];
    }
    return bug;
}

const struct status_row *status_row_named(const char *name)
{
    for (size_t i = 0; i < STATUS_ROWS; i++)
        if (strcmp(status_rows[i].name, name) == 0)
            return &status_rows[i];
    return NULL;
}

char *real_print(double value, char text[32])
{
    if (isnan(value)) /* a card keeps no sign of it, a CPU does: the sentence is the same */
        return memcpy(text, "nan", sizeof "nan");
    /* 15 digits bring back what people typed, 17 bring back every double. */
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, 32, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    /* Another's setlocale() may have changed the decimal point under us. */
    for (char *c = text; *c; c++)
        if (*c == ',')
            *c = '.';
    return text;
}

size_t text_cut(char *to, size_t bytes, const char *from)
{
    size_t length = strlen(from), kept;

    assert(bytes > 3);
    if (length < bytes) {
        memcpy(to, from, length + 1);
        return length;
    }
    /* Bytes 10xxxxxx continue a UTF-8 character: a cut before one would halve it. */
    for (kept = bytes - 4; kept > 0 && ((unsigned char)from[kept] & 0xc0) == 0x80;)
        kept--;
    memcpy(to, from, kept);
    memcpy(to + kept, "...", 4);
    return kept + 3;
}

static void value_print(const struct field *field, char *value)
{
    switch (field->kind) {
    case FIELD_TEXT:
        text_cut(value, ERROR_VALUE_BYTES, field->text ? field->text : "?");
        break;
    case FIELD_INT:
        snprintf(value, ERROR_VALUE_BYTES, "%lld", (long long)field->integer);
        break;
    case FIELD_REAL:
        real_print(field->real, value);
        break;
    }
}

enum status error_set(struct error *error, enum status status, const struct field *fields,
                      size_t count)
{
    struct error filled; /* aside: a value may point into *error itself, a cause passed on */

    assert(status != STATUS_OK && count <= ERROR_FIELDS_MAX);
    if (!error)
        return status;
    filled.status = status;
    filled.count = (int)count;
    for (size_t i = 0; i < count; i++) {
        assert(strlen(fields[i].name) < ERROR_NAME_BYTES);
        text_cut(filled.fields[i].name, ERROR_NAME_BYTES, fields[i].name);
        value_print(&fields[i], filled.fields[i].value);
    }
    error->status = status;
    error->count = filled.count;
    memcpy(error->fields, filled.fields, count * sizeof filled.fields[0]);
    return status;
}

const char *error_value(const struct error *error, const char *name)
{
    for (int i = 0; i < error->count; i++)
        if (strcmp(error->fields[i].name, name) == 0)
            return error->fields[i].value;
    return NULL;
}

/* What stands for the word that begins at the brace `open`; *after is what follows it. */
static const char *word_value(const struct error *error, const char *open, const char **after)
{
    char name[ERROR_NAME_BYTES];
    const char *close = strchr(open, '}');
    const char *value;

    assert(close && close - open - 1 < ERROR_NAME_BYTES);
    memcpy(name, open + 1, (size_t)(close - open - 1));
    name[close - open - 1] = 0;
    *after = close + 1;
    value = error_value(error, name);
    return value ? value : "?";
}

char *error_message(const struct error *error, char *text, size_t bytes)
{
    const char *next = status_row(error->status)->sentence;
    size_t used = 0;

    assert(bytes > 0);
    while (*next) {
        const char *piece = next;
        size_t length = strcspn(next, "{");
        if (length == 0) {
            piece = word_value(error, next, &next);
            length = strlen(piece);
        } else {
            next += length;
        }
        if (length > bytes - 1 - used)
            length = bytes - 1 - used;
        memcpy(text + used, piece, length);
        used += length;
    }
    text[used] = 0;
    return text;
}
