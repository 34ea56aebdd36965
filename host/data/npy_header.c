/* npy_header.c - the header of an npy file, from a stranger.
 *
 *     \x93NUMPY, major, minor, length (2 bytes in version 1.0, 4 in 2.0 and 3.0, little-endian), and
 *     {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }   with blanks and a newline behind.
 *
 * The dictionary is read by a scanner that knows this one sentence of Python and looks at no byte
 * beyond `end`. Its first complaint stays: later ones would follow from it. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/base/memory.h"
#include "host/data/npy.h"
#include "host/data/npy_dtype.h"
#include "proto/limits.h"

enum { MAGIC_BYTES = 6, DIMENSIONS_MAX = 32, WORD_BYTES = 64 };

struct scanner {
    const char *what;
    const unsigned char *start, *at, *end; /* of the file; of what comes next; of the header */
    struct error *error;
    enum status status;
};

/* Notes what is wrong at `at`. Always false. */
__attribute__((format(printf, 3, 4))) static bool
wrong_at(struct scanner *scanner, const unsigned char *at, const char *format, ...)
{
    char why[ERROR_VALUE_BYTES];
    va_list list;

    if (scanner->status != STATUS_OK)
        return false;
    va_start(list, format);
    vsnprintf(why, sizeof why, format, list);
    va_end(list);
    scanner->status = FAIL(scanner->error, MALFORMED, TEXT("what", scanner->what),
                           INT("byte", at - scanner->start), TEXT("why", why));
    return false;
}

static void skip_blanks(struct scanner *scanner)
{
    while (scanner->at<scanner->end && * scanner->at> 0 && strchr(" \t\r\n", *scanner->at))
        scanner->at++;
}

/* Whether `c` comes next, behind blanks; it is then taken. */
static bool take(struct scanner *scanner, char c)
{
    skip_blanks(scanner);
    if (scanner->at == scanner->end || *scanner->at != (unsigned char)c)
        return false;
    scanner->at++;
    return true;
}

static bool expect(struct scanner *scanner, char c, const char *where)
{
    if (take(scanner, c))
        return true;
    return wrong_at(scanner, scanner->at, "'%c' was expected %s", c, where);
}

/* A string in single or double quotes, without escapes. */
static bool take_string(struct scanner *scanner, const char *role, char word[WORD_BYTES])
{
    const unsigned char *open;
    size_t bytes = 0;
    unsigned char quote;

    skip_blanks(scanner);
    open = scanner->at;
    if (open == scanner->end || (*open != '\'' && *open != '"'))
        return wrong_at(scanner, open, "%s was expected, a string in quotes", role);
    quote = *scanner->at++;
    while (scanner->at < scanner->end && *scanner->at != quote) {
        unsigned char c = *scanner->at++;
        if (c < 0x20 || c > 0x7e || c == '\\' || bytes == WORD_BYTES - 1)
            return wrong_at(scanner, open, "%s is too long or holds an odd character", role);
        word[bytes++] = (char)c;
    }
    word[bytes] = 0;
    if (scanner->at == scanner->end)
        return wrong_at(scanner, open, "%s has no closing quote", role);
    scanner->at++;
    return true;
}

static bool read_descr(struct scanner *scanner, struct npy_header *header)
{
    char word[WORD_BYTES];
    const unsigned char *at;
    const char *why;

    skip_blanks(scanner);
    at = scanner->at;
    if (at < scanner->end && (*at == '[' || *at == '('))
        return wrong_at(scanner, at, "the dtype (a structure) is not supported; numbers are");
    if (!take_string(scanner, "the dtype", word))
        return false;
    if (!npy_dtype_named(word, &header->dtype, &why))
        return wrong_at(scanner, at, "dtype '%s' %s", word, why);
    return true;
}

static bool take_word(struct scanner *scanner, const char *word)
{
    size_t bytes = strlen(word);

    if ((size_t)(scanner->end - scanner->at) < bytes || memcmp(scanner->at, word, bytes) != 0)
        return false;
    scanner->at += bytes;
    return true;
}

static bool read_order(struct scanner *scanner, struct npy_header *header)
{
    skip_blanks(scanner);
    header->fortran = take_word(scanner, "True");
    if (header->fortran || take_word(scanner, "False"))
        return true;
    return wrong_at(scanner, scanner->at, "fortran_order must be True or False");
}

/* One dimension, a decimal number. Python 2 wrote an L behind it. */
static bool read_length(struct scanner *scanner, int64_t *out)
{
    const unsigned char *at;
    int64_t value = 0;

    skip_blanks(scanner);
    at = scanner->at;
    if (at < scanner->end && *at == '-')
        return wrong_at(scanner, at, "a dimension is negative");
    while (scanner->at < scanner->end && *scanner->at >= '0' && *scanner->at <= '9') {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *scanner->at - '0', &value))
            return wrong_at(scanner, at, "a dimension is beyond 2^63");
        scanner->at++;
    }
    if (scanner->at == at)
        return wrong_at(scanner, at, "a dimension was expected, a number");
    take_word(scanner, "L");
    *out = value;
    return true;
}

static bool read_shape(struct scanner *scanner, struct npy_header *header)
{
    const unsigned char *at;
    int64_t length[DIMENSIONS_MAX] = {0};
    int count = 0;

    skip_blanks(scanner);
    at = scanner->at;
    if (!expect(scanner, '(', "before the shape"))
        return false;
    while (!take(scanner, ')')) {
        if (count == DIMENSIONS_MAX)
            return wrong_at(scanner, at, "the shape has more than %d dimensions", DIMENSIONS_MAX);
        if (!read_length(scanner, &length[count++]))
            return false;
        if (!take(scanner, ',')) {
            if (!expect(scanner, ')', "behind the shape"))
                return false;
            break;
        }
    }
    if (count < 1 || count > 2)
        return wrong_at(scanner, at, "the array has %d dimensions; 1 and 2 are supported", count);
    header->dimensions = count;
    header->rows = length[0];
    header->columns = count == 2 ? length[1] : 1;
    return true;
}

static const struct {
    const char *name;
    bool (*read)(struct scanner *scanner, struct npy_header *header);
} keys[] = {{"descr", read_descr}, {"fortran_order", read_order}, {"shape", read_shape}};
enum { KEYS = sizeof keys / sizeof keys[0] };

/* One key and its value; `seen` has a bit for each key that came before. */
static bool read_item(struct scanner *scanner, struct npy_header *header, unsigned *seen)
{
    char word[WORD_BYTES];
    const unsigned char *at;

    skip_blanks(scanner);
    at = scanner->at;
    if (!take_string(scanner, "a key", word))
        return false;
    for (unsigned i = 0; i < KEYS; i++) {
        if (strcmp(word, keys[i].name) != 0)
            continue;
        if (*seen & 1u << i)
            return wrong_at(scanner, at, "key '%s' comes twice", word);
        *seen |= 1u << i;
        return expect(scanner, ':', "behind a key") && keys[i].read(scanner, header);
    }
    return wrong_at(scanner, at, "key '%s' is unknown; known are descr, fortran_order, shape",
                    word);
}

static bool read_dictionary(struct scanner *scanner, struct npy_header *header)
{
    const unsigned char *at = scanner->at;
    unsigned seen = 0;

    if (!expect(scanner, '{', "before the header's dictionary"))
        return false;
    while (!take(scanner, '}')) {
        if (!read_item(scanner, header, &seen))
            return false;
        if (!take(scanner, ',')) {
            if (!expect(scanner, '}', "behind the header's dictionary"))
                return false;
            break;
        }
    }
    for (unsigned i = 0; i < KEYS; i++)
        if (!(seen & 1u << i))
            return wrong_at(scanner, at, "the header lacks the key '%s'", keys[i].name);
    skip_blanks(scanner);
    if (scanner->at < scanner->end)
        return wrong_at(scanner, scanner->at, "the header goes on behind its dictionary");
    return true;
}

/* Finds where the dictionary begins and ends. */
static bool read_preamble(struct scanner *scanner, size_t bytes)
{
    const unsigned char *start = scanner->start, *file_end = start + bytes;
    size_t length, length_bytes;

    scanner->end = file_end;
    if (bytes < MAGIC_BYTES + 4 || memcmp(start, "\x93NUMPY", MAGIC_BYTES) != 0)
        return wrong_at(scanner, start, "it does not begin like an npy file (\\x93NUMPY)");
    if (start[6] < 1 || start[6] > 3 || start[7] != 0)
        return wrong_at(scanner, start + 6,
                        "format version %d.%d is unknown; 1.0, 2.0, 3.0 are known", start[6],
                        start[7]);
    length_bytes = start[6] == 1 ? 2 : 4;
    if (bytes < 8 + length_bytes)
        return wrong_at(scanner, file_end, "the file ends within the length of its header");
    length = (size_t)start[8] | (size_t)start[9] << 8;
    if (length_bytes == 4)
        length |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
    scanner->at = start + 8 + length_bytes;
    if (length > (size_t)(file_end - scanner->at))
        return wrong_at(scanner, start + 8, "a header of %zu bytes is announced; %zu follow",
                        length, (size_t)(file_end - scanner->at));
    scanner->end = scanner->at + length;
    return true;
}

/* The limits of a table, before the bytes are counted. */
static enum status limits_check(const struct scanner *scanner, const struct npy_header *header)
{
    char what[ERROR_VALUE_BYTES];
    bool rows_fit = header->rows <= ROWS_MAX;

    if (rows_fit && header->columns >= 1 && header->columns <= COLUMNS_MAX)
        return STATUS_OK;
    snprintf(what, sizeof what, "the number of %s of %.180s", rows_fit ? "columns" : "rows",
             scanner->what);
    return FAIL(scanner->error, OUT_OF_RANGE, TEXT("what", what),
                INT("value", rows_fit ? header->columns : header->rows),
                TEXT("limit", rows_fit ? "1 to 65536" : "at most 2^40"));
}

/* Whether the values fill the rest of the file, no more and no less. */
static bool values_check(struct scanner *scanner, const struct npy_header *header, size_t found)
{
    /* At most 2^40 * 2^16 * 8. */
    size_t needed = (size_t)header->rows * (size_t)header->columns * dtype_bytes(header->dtype);

    if (found < needed)
        return wrong_at(scanner, scanner->end + found,
                        "%" PRId64 " x %" PRId64 " %s values need %zu bytes; %zu were found",
                        header->rows, header->columns, dtype_name(header->dtype), needed, found);
    if (found > needed)
        return wrong_at(scanner, scanner->end + needed, "%zu bytes follow the last value",
                        found - needed);
    return true;
}

enum status npy_parse(const char *what, const void *data, size_t bytes, struct npy_header *out,
                      struct error *error)
{
    struct scanner scanner = {.what = what, .start = data, .at = data, .error = error};
    struct npy_header header = {.dtype = DTYPE_NONE};
    enum status status;

    if (!read_preamble(&scanner, bytes) || !read_dictionary(&scanner, &header))
        return scanner.status;
    header.data_offset = (size_t)(scanner.end - scanner.start);
    status = limits_check(&scanner, &header);
    if (status != STATUS_OK)
        return status;
    if (!values_check(&scanner, &header, bytes - header.data_offset))
        return scanner.status;
    *out = header;
    return STATUS_OK;
}
