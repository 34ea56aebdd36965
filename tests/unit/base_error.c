#include "host/base/error.h"

#include "tests/check.h"

static void a_sentence_carries_the_values_of_its_words(struct check *check)
{
    struct error error;
    char text[256];
    enum status status = FAIL(&error, TOO_FEW_ROWS, TEXT("what", "dataset 'a'"), INT("rows", 2),
                              INT("n_clusters", 3));

    check_equal_i64(check, status, STATUS_TOO_FEW_ROWS);
    check_equal_text(
        check, error_message(&error, text, sizeof text),
        "dataset 'a' has 2 rows that take part; n_clusters=3 needs at least that many");
    check_equal_text(check, error_value(&error, "rows"), "2");
    check_true(check, error_value(&error, "absent") == NULL);
}

static void a_word_without_a_value_prints_as_a_question_mark(struct check *check)
{
    struct error error;
    char text[256];

    FAIL(&error, DATASET_NOT_FOUND, TEXT("other", "x"));
    check_equal_text(check, error_message(&error, text, sizeof text), "dataset '?' does not exist");
}

static void a_value_that_looks_like_a_word_is_not_filled_again(struct check *check)
{
    struct error error;
    char text[256];

    FAIL(&error, DATASET_NOT_FOUND, TEXT("name", "{name}%s"));
    check_equal_text(check, error_message(&error, text, sizeof text),
                     "dataset '{name}%s' does not exist");
}

static void a_message_is_cut_at_the_buffer_at_every_size(struct check *check)
{
    struct error error;
    char whole[256];

    FAIL(&error, DATASET_NOT_FOUND, TEXT("name", "abc"));
    error_message(&error, whole, sizeof whole);
    for (size_t bytes = 1; bytes <= strlen(whole) + 1; bytes++) {
        char *text = malloc(bytes); /* so that a sanitizer sees a byte too many */
        error_message(&error, text, bytes);
        check_note(check, "bytes=%zu", bytes);
        check_equal_u64(check, strlen(text), bytes - 1);
        check_equal_bytes(check, text, whole, bytes - 1);
        free(text);
    }
}

static void a_long_value_is_cut_between_characters(struct check *check)
{
    struct error error;
    char value[400];

    for (int shift = 0; shift < 3; shift++) { /* euro signs of three bytes, at each phase */
        const char *cut;
        memset(value, 'x', (size_t)shift);
        for (size_t at = (size_t)shift; at + 3 < sizeof value; at += 3)
            memcpy(value + at, "\xe2\x82\xac", 4);
        FAIL(&error, DATASET_NOT_FOUND, TEXT("name", value));
        cut = error_value(&error, "name");
        check_true(check, strlen(cut) < ERROR_VALUE_BYTES && strlen(cut) > ERROR_VALUE_BYTES - 8);
        check_equal_text(check, cut + strlen(cut) - 6, "\xe2\x82\xac...");
    }
}

static void reals_print_in_the_shortest_form_that_reads_back(struct check *check)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0.1, "0.1"},      {1e-4, "0.0001"}, {1.0 / 3, "0.3333333333333333"},
                 {1e300, "1e+300"}, {-0.0, "-0"},     {5e-324, "4.94065645841247e-324"},
                 {3, "3"},          {INFINITY, "inf"}};
    uint64_t state = 7;
    char text[32];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_equal_text(check, real_print(cases[i].value, text), cases[i].text);
    check_equal_text(check, real_print((double)NAN, text), "nan");
    check_equal_text(check, real_print(-(double)NAN, text), "nan");
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = check_random(&state);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value))
            check_equal_bits(check, strtod(real_print(value, text), NULL), value);
    }
}

static void a_cause_can_be_passed_on_in_its_own_error(struct check *check)
{
    struct error error;
    char text[256];

    FAIL(&error, IO, TEXT("what", "read 'x'"), TEXT("why", "it broke"));
    FAIL(&error, DAMAGED, TEXT("what", "model"), INT("byte", 9),
         TEXT("why", error_value(&error, "why")));
    check_equal_text(check, error_message(&error, text, sizeof text),
                     "model is damaged at byte 9: it broke");
}

static void without_an_error_to_fill_the_status_alone_returns(struct check *check)
{
    check_equal_i64(check, FAIL(NULL, IO, TEXT("what", "x")), STATUS_IO);
}

static void rows_are_found_by_number_and_name_and_strangers_are_bugs(struct check *check)
{
    check_equal_text(check, status_row(STATUS_QUEUE_FULL)->name, "QUEUE_FULL");
    check_equal_text(check, status_row(STATUS_QUEUE_FULL)->code, "RESOURCE_EXHAUSTED");
    check_equal_i64(check, status_row(STATUS_QUEUE_FULL)->code_number, 8);
    check_equal_i64(check, status_row(STATUS_QUEUE_FULL)->retry_later, 1);
    check_equal_i64(check, status_row(STATUS_OK)->code_number, 0);
    check_equal_i64(check, status_row((enum status)9999)->status, STATUS_BUG);
    check_equal_i64(check, status_row_named("DAMAGED")->code_number, 15);
    check_true(check, status_row_named("NO_SUCH_ROW") == NULL);
}

static const enum status NUMBERS[] = {
#define STATUS(name, number, code, retry, sentence) STATUS_##name,
#include "proto/status.def"
#undef STATUS
};

static void every_row_has_its_own_number_and_words_that_fit_a_field(struct check *check)
{
    enum { ROWS = sizeof NUMBERS / sizeof NUMBERS[0] };

    for (int i = 0; i < ROWS; i++) {
        const char *open = status_row(NUMBERS[i])->sentence;
        int words = 0;
        for (int j = 0; j < i; j++)
            check_true(check, NUMBERS[i] != NUMBERS[j]);
        check_note(check, "%s", status_row(NUMBERS[i])->name);
        for (; (open = strchr(open, '{')); open++, words++)
            check_true(check, strcspn(open, "}") - 1 < ERROR_NAME_BYTES && strchr(open, '}'));
        check_true(check, words <= ERROR_FIELDS_MAX);
    }
}

CHECKS(CLAIM(a_sentence_carries_the_values_of_its_words),
       CLAIM(a_word_without_a_value_prints_as_a_question_mark),
       CLAIM(a_value_that_looks_like_a_word_is_not_filled_again),
       CLAIM(a_message_is_cut_at_the_buffer_at_every_size),
       CLAIM(a_long_value_is_cut_between_characters),
       CLAIM(reals_print_in_the_shortest_form_that_reads_back),
       CLAIM(a_cause_can_be_passed_on_in_its_own_error),
       CLAIM(without_an_error_to_fill_the_status_alone_returns),
       CLAIM(rows_are_found_by_number_and_name_and_strangers_are_bugs),
       CLAIM(every_row_has_its_own_number_and_words_that_fit_a_field))
