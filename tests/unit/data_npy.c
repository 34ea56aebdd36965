#include "host/data/npy.h"

#include <unistd.h>

#include "host/base/fault.h"
#include "host/base/file.h"
#include "host/base/memory.h"
#include "tests/check.h"

#define GOLDEN BARY_SOURCE_DIR "/tests/golden/npy/"

static void golden_path(const char *name, char path[512])
{
    snprintf(path, 512, GOLDEN "%s.npy", name);
}

/* The matrix of a golden file as doubles; false: it did not open. */
static bool golden_values(struct check *check, const char *name, int64_t rows, int64_t columns,
                          double *out)
{
    char path[512];
    struct table *table = NULL;
    struct matrix matrix;

    golden_path(name, path);
    check_note(check, "%s", name);
    if (!check_equal_i64(check, npy_open(path, &table, NULL), STATUS_OK))
        return false;
    check_equal_i64(check, matrix_select(table, NULL, &matrix, NULL), STATUS_OK);
    table_unpin(&table);
    check_true(check, matrix.rows == rows && matrix.columns == columns);
    for (int64_t i = 0; i < rows * columns && matrix.rows == rows; i++)
        out[i] = matrix.number == NUMBER_F32 ? (double)((const float *)matrix.chunk[0].values)[i]
                                             : ((const double *)matrix.chunk[0].values)[i];
    matrix_release(&matrix);
    return true;
}

static void every_dtype_order_and_version_of_numpy_reads(struct check *check)
{
    static const char *const names[] = {"grid_f8",    "grid_f4",     "grid_f2",    "grid_i1",
                                        "grid_i2",    "grid_i4",     "grid_i8",    "grid_u1",
                                        "grid_u2",    "grid_u4",     "grid_u8",    "fortran_f8",
                                        "fortran_i2", "version2_f4", "version3_f4"};
    double values[6];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (golden_values(check, names[i], 2, 3, values))
            for (int at = 0; at < 6; at++)
                check_equal_bits(check, values[at], at);
}

static void lines_booleans_and_empty_arrays_read(struct check *check)
{
    static const double line[4] = {0.5, -1.5, 2.5, -0.0}, flags[6] = {0, 1, 0, 1, 1, 0};
    double values[6];

    if (golden_values(check, "line_f8", 4, 1, values))
        check_equal_bytes(check, values, line, sizeof line);
    if (golden_values(check, "grid_b1", 2, 3, values))
        check_equal_bytes(check, values, flags, sizeof flags);
    golden_values(check, "empty_f8", 0, 3, values);
    golden_values(check, "fortran_line_f8", 3, 1, values);
    check_true(check, values[0] == 1 && values[2] == 3);
}

static void what_is_not_numbers_is_refused_with_byte_and_reason(struct check *check)
{
    static const struct {
        const char *name, *words;
    } cases[] = {
        {"objects", "at byte 20: dtype '|O' (objects) is not supported; numbers are"},
        {"text", "dtype '<U2' (text) is not supported"},
        {"bytes", "dtype '|S2' (bytes) is not supported"},
        {"structure", "at byte 20: the dtype (a structure) is not supported; numbers are"},
        {"complex", "dtype '<c8' (complex numbers) is not supported"},
        {"dates", "dtype '<M8[D]' (dates) is not supported"},
        {"big_endian", "dtype '>f8' (big-endian) is not supported"},
        {"scalar", "the array has 0 dimensions; 1 and 2 are supported"},
        {"cube", "the array has 3 dimensions; 1 and 2 are supported"},
    };
    struct table *table = NULL;
    struct error error;
    char path[512], text[1024];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        golden_path(cases[i].name, path);
        check_equal_i64(check, npy_open(path, &table, &error), STATUS_MALFORMED);
        error_message(&error, text, sizeof text);
        check_note(check, "%s", text);
        check_true(check, strstr(text, cases[i].words) && strstr(text, cases[i].name));
    }
    golden_path("no_columns", path);
    check_equal_i64(check, npy_open(path, &table, &error), STATUS_OUT_OF_RANGE);
    check_true(check, table == NULL);
}

/* A file of version 1.0 around a dictionary, with `value_bytes` zeros behind. The block has not a
 * byte more, so that a sanitizer sees each look beyond; the caller frees it. */
static unsigned char *file_around(const char *dictionary, size_t value_bytes, size_t *bytes)
{
    size_t length = strlen(dictionary);
    unsigned char *file = calloc(10 + length + value_bytes, 1);

    *bytes = 10 + length + value_bytes;
    memcpy(file, "\x93NUMPY\x01\x00", 8);
    file[8] = (unsigned char)(length & 0xff);
    file[9] = (unsigned char)(length >> 8);
    memcpy(file + 10, dictionary, length);
    return file;
}

static const struct {
    const char *dictionary;
    size_t value_bytes;
    const char *words; /* NULL: accepted */
} headers[] = {
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", 24, NULL},
    {"{'descr':'<f4','fortran_order':True,'shape':(2,3,),}\n", 24, NULL},
    {" {\"shape\": (6,), \"descr\": \"<f4\" ,'fortran_order' : False , } \n", 24, NULL},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L)}", 24, NULL},
    {"{'descr': '=f4', 'fortran_order': False, 'shape': (6)}", 24, NULL},
    {"{'descr': '|f4', 'fortran_order': False, 'shape': (6,)}", 24, "does not say its byte order"},
    {"{'descr': 'f4', 'fortran_order': False, 'shape': (6,)}", 24,
     "does not begin with a byte order"},
    {"{'descr': '', 'fortran_order': False, 'shape': (6,)}", 24,
     "does not begin with a byte order"},
    {"{'descr': '<', 'fortran_order': False, 'shape': (6,)}", 24, "is unknown"},
    {"{'descr': '<f16', 'fortran_order': False, 'shape': (6,)}", 96, "of floats f2, f4 and f8 are"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (-6,)}", 24,
     "at byte 61: a dimension is negative"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 24,
     "beyond 2^63"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 2)}", 24,
     "at most 2^40"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776, 65536)}", 24,
     "1099511627776 x 65536 float64 values need 576460752303423488 bytes; 24 were found"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 65537)}", 24, "1 to 65536"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (7,)}", 24,
     "7 x 1 float32 values need 28 bytes; 24 were found"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (5,)}", 24,
     "4 bytes follow the last value"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': 6}", 24,
     "'(' was expected before the shape"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,,)}", 24, "a dimension was expected"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}", 24,
     "')' was expected behind the shape"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (,)}", 24, "a dimension was expected"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': "
     "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)}",
     4, "more than 32"},
    {"{'descr': '<f4', 'fortran_order': 0, 'shape': (6,)}", 24, "True or False"},
    {"{'descr': '<f4', 'fortran_order': False}", 24, "lacks the key 'shape'"},
    {"{}", 24, "lacks the key 'descr'"},
    {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (6,)}", 24, "comes twice"},
    {"{'descr': '<f4', 'color': 1, 'fortran_order': False, 'shape': (6,)}", 24,
     "key 'color' is unknown"},
    {"{'descr': '<f4' 'fortran_order': False, 'shape': (6,)}", 24, "'}' was expected"},
    {"{'descr' '<f4', 'fortran_order': False, 'shape': (6,)}", 24, "':' was expected behind a key"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,)} {}", 24,
     "goes on behind its dictionary"},
    {"['descr', '<f4']", 24, "'{' was expected"},
    {"{'descr': '<f4", 0, "no closing quote"},
    {"{'descr': '\\x3cf4'}", 0, "odd character"},
    {"{'descr': '<f4\x01'}", 0, "odd character"},
    {"{'d\xc3\xa9scr': '<f4'}", 0, "odd character"},
    {"", 0, "'{' was expected"},
};

static void headers_are_read_as_python_would_or_refused(struct check *check)
{
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        size_t bytes;
        unsigned char *file = file_around(headers[i].dictionary, headers[i].value_bytes, &bytes);
        struct npy_header header = {.rows = 77};
        struct error error;
        char text[1024] = "";
        enum status status = npy_parse("x.npy", file, bytes, &header, &error);
        check_note(check, "%s", headers[i].dictionary);
        if (!headers[i].words) {
            check_equal_i64(check, status, STATUS_OK);
            check_true(check, header.rows * header.columns == 6 && header.dtype == DTYPE_F32);
        } else if (check_true(check, status != STATUS_OK)) {
            error_message(&error, text, sizeof text);
            if (!strstr(text, headers[i].words))
                check_equal_text(check, text, headers[i].words);
            check_equal_i64(check, header.rows, 77);
        }
        free(file);
    }
}

static void a_file_that_ends_anywhere_is_refused(struct check *check)
{
    static const char *const names[] = {"grid_f8", "fortran_i2", "version2_f4"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[512];
        void *whole = NULL;
        size_t bytes = 0;
        golden_path(names[i], path);
        if (!check_equal_i64(check, file_read_all(path, 10000, &whole, &bytes, NULL), STATUS_OK))
            return;
        for (size_t cut = 0; cut < bytes; cut++) {
            unsigned char *part = malloc(cut ? cut : 1);
            struct npy_header header;
            memcpy(part, whole, cut);
            check_note(check, "%s cut=%zu", names[i], cut);
            check_equal_i64(check, npy_parse("x", part, cut, &header, NULL), STATUS_MALFORMED);
            free(part);
        }
        memory_free(whole);
    }
}

static void nothing_release(void *owner)
{
    (void)owner;
}

/* Each byte of a file becomes each of 256 values: it reads or it is refused, and no more than the
 * file's bytes are touched. */
static void any_wrong_byte_is_refused_or_harmless(struct check *check)
{
    char path[512];
    void *whole = NULL;
    size_t bytes = 0;
    unsigned char *file;

    golden_path("fortran_f8", path);
    if (!check_equal_i64(check, file_read_all(path, 10000, &whole, &bytes, NULL), STATUS_OK))
        return;
    file = malloc(bytes);
    for (size_t at = 0; at < bytes; at++) {
        memcpy(file, whole, bytes);
        for (int value = 0; value < 256; value++) {
            struct table *table = NULL;
            struct matrix matrix;
            file[at] = (unsigned char)value;
            if (npy_table("x", file, bytes, nothing_release, NULL, &table, NULL) != STATUS_OK)
                continue;
            check_true(check, table->rows * table->column[0].width <= 48);
            if (matrix_select(table, NULL, &matrix, NULL) == STATUS_OK)
                matrix_release(&matrix);
            table_unpin(&table);
        }
    }
    free(file);
    memory_free(whole);
}

static void values_at_an_odd_address_are_copied(struct check *check)
{
    size_t bytes;
    unsigned char *file =
        file_around("{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", 16, &bytes);
    static const double want[2] = {1.5, -2.5};
    struct table *table = NULL;

    memcpy(file + bytes - 16, want, 16);
    check_true(check, (uintptr_t)(file + bytes - 16) % 8 != 0);
    check_equal_i64(check, npy_table("x", file, bytes, free, file, &table, NULL), STATUS_OK);
    check_true(check, (uintptr_t)table->chunk[0].data[0] % 8 == 0);
    check_equal_bytes(check, table->chunk[0].data[0], want, 16); /* the file's bytes are gone */
    table_unpin(&table);
}

static void fortran_order_transposes_at_every_shape(struct check *check)
{
    static const int64_t shapes[][2] = {{1, 5}, {5, 1}, {31, 33}, {64, 64}, {65, 2}, {3, 100}};

    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        int64_t rows = shapes[i][0], columns = shapes[i][1];
        char dictionary[128];
        size_t bytes;
        unsigned char *file;
        struct table *table = NULL;
        snprintf(dictionary, sizeof dictionary,
                 "{'descr': '<u2', 'fortran_order': True, 'shape': (%d, %d)}", (int)rows,
                 (int)columns);
        file = file_around(dictionary, (size_t)(rows * columns) * 2, &bytes);
        for (int64_t at = 0; at < rows * columns; at++)
            memcpy(file + bytes - (size_t)(rows * columns - at) * 2, &(uint16_t){(uint16_t)at}, 2);
        check_equal_i64(check, npy_table("x", file, bytes, free, file, &table, NULL), STATUS_OK);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < columns; c++)
                check_equal_i64(check, ((const uint16_t *)table->chunk[0].data[0])[r * columns + c],
                                c * rows + r);
        table_unpin(&table);
    }
}

static void writing_gives_the_bytes_that_numpy_writes(struct check *check)
{
    static const double grid[6] = {0, 1, 2, 3, 4, 5}, line[4] = {0.5, -1.5, 2.5, -0.0};
    static const uint8_t flags[6] = {0, 1, 0, 1, 1, 0};
    static const struct {
        const char *name;
        enum dtype dtype;
        int64_t rows, columns;
        const void *values;
    } cases[] = {{"grid_f8", DTYPE_F64, 2, 3, grid},
                 {"line_f8", DTYPE_F64, 4, 0, line},
                 {"grid_b1", DTYPE_BOOL, 2, 3, flags},
                 {"empty_f8", DTYPE_F64, 0, 3, NULL}};
    char folder[] = "/tmp/bary-npy-XXXXXX", path[64], golden[512];

    if (!mkdtemp(folder))
        abort();
    snprintf(path, sizeof path, "%s/out.npy", folder);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        void *got = NULL, *want = NULL;
        size_t got_bytes = 0, want_bytes = 0;
        check_note(check, "%s", cases[i].name);
        golden_path(cases[i].name, golden);
        check_equal_i64(
            check,
            npy_write(path, cases[i].dtype, cases[i].rows, cases[i].columns, cases[i].values, NULL),
            STATUS_OK);
        file_read_all(path, 10000, &got, &got_bytes, NULL);
        file_read_all(golden, 10000, &want, &want_bytes, NULL);
        if (check_equal_u64(check, got_bytes, want_bytes))
            check_equal_bytes(check, got, want, want_bytes);
        memory_free(got);
        memory_free(want);
    }
    unlink(path);
    rmdir(folder);
}

static void what_cannot_be_written_is_refused(struct check *check)
{
    struct error error;

    check_equal_i64(check, npy_write("/tmp/x.npy", DTYPE_BF16, 1, 1, "ab", &error),
                    STATUS_UNSUPPORTED);
    check_equal_i64(check, npy_write("/tmp/x.npy", DTYPE_NONE, 1, 1, "ab", &error),
                    STATUS_UNKNOWN_VALUE);
    check_equal_i64(check, npy_write("/tmp/x.npy", DTYPE_F64, -1, 1, "ab", &error),
                    STATUS_OUT_OF_RANGE);
    check_equal_i64(check, npy_write("/tmp/x.npy", DTYPE_F64, INT64_MAX, INT64_MAX, "ab", &error),
                    STATUS_OUT_OF_RANGE);
    check_equal_i64(check, npy_write("/tmp/no/such/x.npy", DTYPE_U8, 1, 1, "a", &error),
                    STATUS_FILE_NOT_FOUND);
}

static void each_allocation_may_fail_and_nothing_leaks(struct check *check)
{
#ifdef BARY_FAULTS
    int failed = 0;
    char path[512];

    golden_path("fortran_f8", path);
    for (int n = 1; n < 20; n++) {
        struct table *table = NULL;
        char spec[32];
        enum status status;
        snprintf(spec, sizeof spec, "memory:%d:fail", n);
        fault_set(spec);
        status = npy_open(path, &table, NULL);
        fault_set(NULL);
        table_unpin(&table);
        if (status == STATUS_OK)
            break;
        check_equal_i64(check, status, STATUS_OUT_OF_MEMORY);
        failed++;
    }
    check_equal_i64(check, failed, 3);
#else
    check_skip(check, "built without BARY_FAULTS");
#endif
}

CHECKS(CLAIM(every_dtype_order_and_version_of_numpy_reads),
       CLAIM(lines_booleans_and_empty_arrays_read),
       CLAIM(what_is_not_numbers_is_refused_with_byte_and_reason),
       CLAIM(headers_are_read_as_python_would_or_refused),
       CLAIM(a_file_that_ends_anywhere_is_refused), CLAIM(any_wrong_byte_is_refused_or_harmless),
       CLAIM(values_at_an_odd_address_are_copied), CLAIM(fortran_order_transposes_at_every_shape),
       CLAIM(writing_gives_the_bytes_that_numpy_writes), CLAIM(what_cannot_be_written_is_refused),
       CLAIM(each_allocation_may_fail_and_nothing_leaks))
