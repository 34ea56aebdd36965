/* error.h - what went wrong, in words and numbers.
 *
 * A status says which row of status.def; a struct error adds the values of its {words}. The
 * sentence is built when somebody reads it. Every function that may fail for a reason a user must
 * see takes a struct error * (NULL: the caller wants the status alone).
 *
 *     return FAIL(error, TOO_FEW_ROWS, TEXT("what", name), INT("rows", rows), INT("n_clusters", k));
 */
#ifndef BARY_HOST_BASE_ERROR_H
#define BARY_HOST_BASE_ERROR_H

#include <stddef.h>
#include <stdint.h>

#include "proto/status.h"

enum { ERROR_FIELDS_MAX = 8, ERROR_NAME_BYTES = 24, ERROR_VALUE_BYTES = 256 };

/* A name and its value; `text` is borrowed until the call returns. */
struct field {
    const char *name;
    enum { FIELD_TEXT, FIELD_INT, FIELD_REAL } kind;
    const char *text;
    int64_t integer;
    double real;
};

#define TEXT(field_name, value) \
    ((struct field){.name = (field_name), .kind = FIELD_TEXT, .text = (value)})
#define INT(field_name, value) \
    ((struct field){.name = (field_name), .kind = FIELD_INT, .integer = (int64_t)(value)})
#define REAL(field_name, value) \
    ((struct field){.name = (field_name), .kind = FIELD_REAL, .real = (value)})

/* Owns nothing: copied and dropped freely. Longer values are cut at ERROR_VALUE_BYTES with "...". */
struct error {
    enum status status;
    int count;
    struct {
        char name[ERROR_NAME_BYTES];
        char value[ERROR_VALUE_BYTES];
    } fields[ERROR_FIELDS_MAX];
};

/* Fills *error (NULL is fine) and returns `status`. Reals print in %.17g's shortest exact form. */
enum status error_set(struct error *error, enum status status, const struct field *fields,
                      size_t count);

/* FAIL(error, NAME, fields...): sets the error and yields STATUS_NAME. At least one field. */
#define FAIL(error, status_name, ...)                                             \
    error_set((error), STATUS_##status_name, (const struct field[]){__VA_ARGS__}, \
              sizeof((const struct field[]){__VA_ARGS__}) / sizeof(struct field))

/* Writes the sentence, NUL-terminated, cut at `bytes`; returns `text`. A word without a value
 * prints as '?'. */
char *error_message(const struct error *error, char *text, size_t bytes);

/* The value of one field, or NULL. Borrowed from *error. */
const char *error_value(const struct error *error, const char *name);

/* The shortest of 15, 16 or 17 digits that reads back as `value`, with a point whatever the locale. */
char *real_print(double value, char text[32]);

/* Copies `from`, cut between UTF-8 characters and ended by "..." where it is longer than bytes - 1.
 * Returns the length written. bytes > 3. */
size_t text_cut(char *to, size_t bytes, const char *from);

/* The row of status.def. Unknown numbers are BUG's row. */
struct status_row {
    enum status status;
    const char *name; /* "TOO_FEW_ROWS" */
    const char *code; /* "INVALID_ARGUMENT" */
    int code_number;  /* gRPC's number, 3 */
    int retry_later;  /* LATER: 1 */
    const char *sentence;
};
const struct status_row *status_row(enum status status);
const struct status_row *status_row_named(const char *name); /* NULL: no such row */

/* Sets `status` and leaves by the label `out` unless the call ended with STATUS_OK. */
#define TRY(call)                \
    do {                         \
        status = (call);         \
        if (status != STATUS_OK) \
            goto out;            \
    } while (0)

#endif
