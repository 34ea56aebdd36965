#include "host/data/table.h"

#include <pthread.h>

#include "host/base/fault.h"
#include "host/base/memory.h"
#include "tests/check.h"

static void count_release(void *owner)
{
    ++*(int *)owner;
}

static void the_last_pin_releases_the_values_once(struct check *check)
{
    float values[6] = {0};
    int released = 0;
    struct table *table, *second;

    check_equal_i64(
        check, table_of_matrix(DTYPE_F32, 3, 2, values, count_release, &released, &table, NULL),
        STATUS_OK);
    check_true(check, table->rows == 3 && table->columns == 1 && table->column[0].width == 2);
    check_true(check, table->bytes == 24 && table->chunks == 1 && table->chunk[0].rows == 3);
    second = table;
    table_pin(second);
    table_unpin(&table);
    check_true(check, table == NULL && released == 0);
    table_unpin(&second);
    check_equal_i64(check, released, 1);
    table_unpin(&second); /* NULL is fine */
}

static void *pin_many(void *argument)
{
    struct table *table = argument;

    for (int i = 0; i < 20000; i++) {
        struct table *mine = table;
        table_pin(mine);
        table_unpin(&mine);
    }
    return NULL;
}

static void pins_of_many_threads_are_counted_exactly(struct check *check)
{
    float value = 0;
    int released = 0;
    struct table *table;
    pthread_t threads[4];

    table_of_matrix(DTYPE_F32, 1, 1, &value, count_release, &released, &table, NULL);
    for (int i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, pin_many, table) != 0)
            abort();
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    check_true(check, table->pins == 1 && released == 0);
    table_unpin(&table);
    check_equal_i64(check, released, 1);
}

static void a_bad_shape_is_refused_by_name_and_releases_nothing(struct check *check)
{
    static const struct {
        enum dtype dtype;
        int64_t rows, columns;
        enum status status;
        const char *words;
    } cases[] = {
        {DTYPE_F32, -1, 2, STATUS_OUT_OF_RANGE, "the number of rows is -1; it must be 0 to 2^40"},
        {DTYPE_F32, ((int64_t)1 << 40) + 1, 2, STATUS_OUT_OF_RANGE, "1099511627777"},
        {DTYPE_F32, 3, 0, STATUS_OUT_OF_RANGE, "values in a row is 0; it must be 1 to 65536"},
        {DTYPE_F32, 3, 65537, STATUS_OUT_OF_RANGE, "65537"},
        {DTYPE_F32, 3, INT64_MAX, STATUS_OUT_OF_RANGE, "9223372036854775807"},
        {DTYPE_NONE, 3, 2, STATUS_UNKNOWN_VALUE, "dtype is 0; known are 1 (float32) to 13 (bool)"},
        {(enum dtype)99, 3, 2, STATUS_UNKNOWN_VALUE, "dtype is 99"},
    };
    float values[6] = {0};
    int released = 0;
    struct table *table = NULL;
    struct error error;
    char text[256];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_note(check, "case=%zu", i);
        check_equal_i64(check,
                        table_of_matrix(cases[i].dtype, cases[i].rows, cases[i].columns, values,
                                        count_release, &released, &table, &error),
                        cases[i].status);
        check_true(check, strstr(error_message(&error, text, sizeof text), cases[i].words) != NULL);
    }
    check_equal_i64(check, table_of_matrix(DTYPE_F32, 1, 1, NULL, NULL, NULL, &table, &error),
                    STATUS_MISSING);
    check_equal_i64(
        check, table_of_matrix(DTYPE_F64, 1, 1, (char *)values + 4, NULL, NULL, &table, &error),
        (uintptr_t)values % 8 ? STATUS_OK : STATUS_OUT_OF_RANGE);
    if ((uintptr_t)values % 8)
        table_unpin(&table);
    check_true(check, table == NULL && released == 0);
}

static void columns_need_names_that_tell_them_apart(struct check *check)
{
    static const int8_t a[2] = {1, 2}, b[2] = {3, 4};
    const void *data[2] = {a, b};
    struct column twice[2] = {{"x", DTYPE_I8, 1}, {"x", DTYPE_I8, 1}};
    struct column unnamed[2] = {{"x", DTYPE_I8, 1}, {"", DTYPE_I8, 1}};
    struct column open[2] = {{"x", DTYPE_I8, 1}, {"y", DTYPE_I8, 1}};
    struct table *table = NULL;
    struct error error;

    memset(open[1].name, 'y', sizeof open[1].name);
    check_equal_i64(check, table_of_columns(2, twice, 2, data, NULL, NULL, &table, &error),
                    STATUS_NAME_TAKEN);
    check_equal_text(check, error_value(&error, "name"), "x");
    check_equal_i64(check, table_of_columns(2, unnamed, 2, data, NULL, NULL, &table, &error),
                    STATUS_MISSING);
    check_equal_i64(check, table_of_columns(2, open, 2, data, NULL, NULL, &table, &error),
                    STATUS_OUT_OF_RANGE);
    check_true(check, table == NULL);
}

/* Three columns of mixed types: a (int16), p (float32, two values), w (float64). */
enum { ROWS = 1300 };
static int16_t column_a[ROWS];
static float column_p[ROWS][2];
static double column_w[ROWS];

static struct table *mixed_table(void)
{
    static const struct column columns[3] = {
        {"a", DTYPE_I16, 1}, {"p", DTYPE_F32, 2}, {"w", DTYPE_F64, 1}};
    const void *data[3] = {column_a, column_p, column_w};
    struct table *table = NULL;

    for (int r = 0; r < ROWS; r++) {
        column_a[r] = (int16_t)(r - 600);
        column_p[r][0] = (float)r / 3;
        column_p[r][1] = r % 7 == 0 ? -0.0f : 1;
        column_w[r] = 1.0 / (r + 1);
    }
    if (table_of_columns(3, columns, ROWS, data, NULL, NULL, &table, NULL) != STATUS_OK)
        abort();
    return table;
}

/* Value of column c of the whole selection a, p, w at row r. */
static double mixed_value(int64_t r, int64_t c)
{
    return c == 0 ? column_a[r] : c < 3 ? (double)column_p[r][c - 1] : column_w[r];
}

static double matrix_value(const struct matrix *matrix, int64_t row, int64_t column)
{
    for (int i = 0; i < matrix->chunks; i++) {
        const struct rows *rows = &matrix->chunk[i];
        int64_t at = (row - rows->first) * matrix->columns + column;
        if (row < rows->first || row >= rows->first + rows->count)
            continue;
        return matrix->number == NUMBER_F32 ? (double)((const float *)rows->values)[at]
                                            : ((const double *)rows->values)[at];
    }
    return NAN;
}

static void mixed_columns_pack_into_one_exact_matrix_for_any_chunks(struct check *check)
{
    static const int64_t chunk_rows[] = {1, 7, 512, 1299, 1300, 5000};
    struct table *table = mixed_table();

    for (size_t i = 0; i < sizeof chunk_rows / sizeof chunk_rows[0]; i++) {
        struct table *chunked = NULL;
        struct matrix matrix;
        struct selection selection = {.first = 5, .rows = 1290};
        check_note(check, "chunk_rows=%d", (int)chunk_rows[i]);
        check_equal_i64(check, table_rechunk(table, chunk_rows[i], &chunked, NULL), STATUS_OK);
        check_equal_i64(check, chunked->chunks, (ROWS + chunk_rows[i] - 1) / chunk_rows[i]);
        check_equal_i64(check, matrix_select(chunked, &selection, &matrix, NULL), STATUS_OK);
        check_true(check, matrix.number == NUMBER_F64 && matrix.columns == 4 &&
                              matrix.rows == 1290 && matrix.first == 5 && matrix.packed &&
                              matrix.chunks == 1);
        table_unpin(&chunked); /* the matrix keeps it */
        for (int64_t r = 0; r < 1290; r++)
            for (int64_t c = 0; c < 4; c++)
                check_equal_bits(check, matrix_value(&matrix, r, c), mixed_value(r + 5, c));
        matrix_release(&matrix);
    }
    check_equal_i64(check, table->pins, 1);
    table_unpin(&table);
}

static void one_column_of_the_right_type_is_borrowed_chunk_by_chunk(struct check *check)
{
    static const char *const names[] = {"p"};
    struct table *table = mixed_table(), *chunked = NULL, *again = NULL;
    struct selection selection = {.names = names, .count = 1, .first = 90, .rows = 300};
    struct matrix matrix;
    int64_t bytes = -1, next = 0;

    table_rechunk(table, 100, &chunked, NULL);
    table_rechunk(chunked, 64, &again, NULL); /* cuts of cuts: 64 + 36 */
    check_equal_i64(check, again->chunks, 26);
    check_equal_i64(check, matrix_select(again, &selection, &matrix, NULL), STATUS_OK);
    check_true(check, matrix.packed == NULL && matrix.number == NUMBER_F32 && matrix.columns == 2);
    for (int i = 0; i < matrix.chunks; i++) {
        check_equal_i64(check, matrix.chunk[i].first, next);
        check_true(check, matrix.chunk[i].values == (const void *)column_p[90 + next]);
        check_true(check, matrix.chunk[i].weight == NULL);
        next += matrix.chunk[i].count;
    }
    check_equal_i64(check, next, 300);
    check_equal_i64(check, matrix_bytes(again, &selection, &bytes, NULL), STATUS_OK);
    check_equal_i64(check, bytes, matrix.chunks * (int64_t)sizeof(struct rows));
    matrix_release(&matrix);
    table_unpin(&again);
    table_unpin(&chunked);
    table_unpin(&table);
}

static void the_order_of_names_is_the_order_of_columns(struct check *check)
{
    static const char *const names[] = {"w", "a", "w"};
    struct table *table = mixed_table();
    struct selection selection = {.names = names, .count = 3};
    struct matrix matrix;
    int64_t bytes;

    check_equal_i64(check, matrix_select(table, &selection, &matrix, NULL), STATUS_OK);
    check_equal_i64(check, matrix.rows, ROWS);
    check_equal_bits(check, matrix_value(&matrix, 9, 0), column_w[9]);
    check_equal_bits(check, matrix_value(&matrix, 9, 1), column_a[9]);
    check_equal_bits(check, matrix_value(&matrix, 9, 2), column_w[9]);
    check_equal_i64(check, matrix_bytes(table, &selection, &bytes, NULL), STATUS_OK);
    check_equal_i64(check, bytes, ROWS * 3 * 8 + (int64_t)sizeof(struct rows));
    matrix_release(&matrix);
    table_unpin(&table);
}

static void a_small_integer_column_becomes_floats(struct check *check)
{
    static const char *const names[] = {"a"};
    struct table *table = mixed_table();
    struct matrix matrix;

    check_equal_i64(check, matrix_select(table, &(struct selection){names, 1, 0, 0}, &matrix, NULL),
                    STATUS_OK);
    check_true(check, matrix.number == NUMBER_F32 && matrix.packed);
    check_equal_bits(check, matrix_value(&matrix, 0, 0), -600);
    matrix_release(&matrix);
    table_unpin(&table);
}

static void what_is_not_there_is_named(struct check *check)
{
    static const char *const names[] = {"a", "b"};
    static const struct selection ranges[] = {{.first = -1},
                                              {.rows = -1},
                                              {.first = ROWS + 1},
                                              {.first = 1, .rows = ROWS},
                                              {.first = INT64_MAX, .rows = INT64_MAX}};
    struct table *table = mixed_table();
    struct matrix matrix = {.rows = 77};
    struct error error;
    char text[512];

    check_equal_i64(check,
                    matrix_select(table, &(struct selection){names, 2, 0, 0}, &matrix, &error),
                    STATUS_MISSING);
    check_equal_text(check, error_message(&error, text, sizeof text),
                     "column 'b' is missing; the columns are 'a', 'p', 'w'");
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        check_equal_i64(check, matrix_select(table, &ranges[i], &matrix, &error),
                        STATUS_OUT_OF_RANGE);
    check_equal_i64(check,
                    matrix_select(table, &(struct selection){names, 0, 0, 0}, &matrix, &error),
                    STATUS_OUT_OF_RANGE);
    check_true(check, matrix.rows == 77 && table->pins == 1);
    matrix_select(table, &ranges[3], &matrix, &error);
    check_equal_text(check, error_message(&error, text, sizeof text),
                     "the range is 1300 rows from row 1; it must be within the table's 1300 rows");
    table_unpin(&table);
}

static void a_large_integer_is_refused_with_its_row_and_column(struct check *check)
{
    static int64_t values[700][3];
    struct table *table = NULL, *chunked = NULL;
    struct matrix matrix;
    struct error error;
    char text[512];

    values[650][2] = ((int64_t)1 << 53) + 1;
    table_of_matrix(DTYPE_I64, 700, 3, values, NULL, NULL, &table, NULL);
    table_rechunk(table, 300, &chunked, NULL);
    check_equal_i64(check, matrix_select(chunked, NULL, &matrix, &error), STATUS_ROW_OUT_OF_RANGE);
    check_equal_text(check, error_message(&error, text, sizeof text),
                     "the int64 value at row 650, column 2 is 9007199254740993; it must be within "
                     "+-2^53, where doubles are exact");
    check_equal_i64(check,
                    matrix_select(chunked, &(struct selection){.rows = 650}, &matrix, &error),
                    STATUS_OK);
    matrix_release(&matrix);
    table_unpin(&chunked);
    table_unpin(&table);
}

static void a_table_without_rows_selects_to_an_empty_matrix(struct check *check)
{
    static const enum dtype dtypes[] = {DTYPE_F64, DTYPE_I32};

    for (int i = 0; i < 2; i++) {
        struct table *table = NULL, *chunked = NULL;
        struct matrix matrix;
        check_equal_i64(check, table_of_matrix(dtypes[i], 0, 4, NULL, NULL, NULL, &table, NULL),
                        STATUS_OK);
        check_equal_i64(check, table_rechunk(table, 10, &chunked, NULL), STATUS_OK);
        check_equal_i64(check, matrix_select(chunked, NULL, &matrix, NULL), STATUS_OK);
        check_true(check, matrix.rows == 0 && matrix.columns == 4);
        matrix_release(&matrix);
        table_unpin(&chunked);
        table_unpin(&table);
    }
}

static void weights_come_as_doubles_of_one_scalar_column(struct check *check)
{
    struct table *table = mixed_table();
    struct error error;
    double *weights = NULL;
    char text[256];

    check_equal_i64(check, table_doubles(table, "w", 3, 10, &weights, NULL), STATUS_OK);
    check_equal_bytes(check, weights, &column_w[3], 10 * sizeof *weights);
    memory_free(weights);
    check_equal_i64(check, table_doubles(table, "a", 1290, 0, &weights, NULL), STATUS_OK);
    check_equal_bits(check, weights[9], column_a[1299]);
    memory_free(weights);
    weights = NULL;
    check_equal_i64(check, table_doubles(table, "p", 0, 0, &weights, &error),
                    STATUS_SHAPE_MISMATCH);
    check_equal_text(check, error_message(&error, text, sizeof text),
                     "column 'p' has 2 values a row; it must have one");
    check_equal_i64(check, table_doubles(table, "z", 0, 0, &weights, &error), STATUS_MISSING);
    check_true(check, weights == NULL);
    table_unpin(&table);
}

#ifdef BARY_FAULTS
/* Everything above once, in which each allocation in turn fails: a status, and no leak (the
 * sanitizer looks). */
static enum status use_all(void)
{
    static const char *const names[] = {"a", "w"};
    static const struct column columns[3] = {
        {"a", DTYPE_I16, 1}, {"p", DTYPE_F32, 2}, {"w", DTYPE_F64, 1}};
    const void *data[3] = {column_a, column_p, column_w};
    struct selection selection = {names, 2, 0, 0};
    struct table *table = NULL, *chunked = NULL;
    struct matrix matrix = {0};
    double *weights = NULL;
    struct error error;
    enum status status;

    TRY(table_of_columns(3, columns, ROWS, data, NULL, NULL, &table, &error));
    TRY(table_rechunk(table, 100, &chunked, &error));
    TRY(matrix_select(chunked, &selection, &matrix, &error));
    TRY(table_doubles(chunked, "w", 0, 0, &weights, &error));
out:
    memory_free(weights);
    matrix_release(&matrix);
    table_unpin(&chunked);
    table_unpin(&table);
    return status;
}
#endif

static void each_allocation_may_fail_and_nothing_leaks(struct check *check)
{
#ifdef BARY_FAULTS
    int failed = 0;

    for (int n = 1; n < 100; n++) {
        char spec[32];
        enum status status;
        snprintf(spec, sizeof spec, "memory:%d:fail", n);
        fault_set(spec);
        status = use_all();
        fault_set(NULL);
        if (status == STATUS_OK)
            break;
        check_equal_i64(check, status, STATUS_OUT_OF_MEMORY);
        failed++;
    }
    check_equal_i64(check, failed, 8);
#else
    check_skip(check, "built without BARY_FAULTS");
#endif
}

CHECKS(CLAIM(the_last_pin_releases_the_values_once),
       CLAIM(pins_of_many_threads_are_counted_exactly),
       CLAIM(a_bad_shape_is_refused_by_name_and_releases_nothing),
       CLAIM(columns_need_names_that_tell_them_apart),
       CLAIM(mixed_columns_pack_into_one_exact_matrix_for_any_chunks),
       CLAIM(one_column_of_the_right_type_is_borrowed_chunk_by_chunk),
       CLAIM(the_order_of_names_is_the_order_of_columns),
       CLAIM(a_small_integer_column_becomes_floats), CLAIM(what_is_not_there_is_named),
       CLAIM(a_large_integer_is_refused_with_its_row_and_column),
       CLAIM(a_table_without_rows_selects_to_an_empty_matrix),
       CLAIM(weights_come_as_doubles_of_one_scalar_column),
       CLAIM(each_allocation_may_fail_and_nothing_leaks))
