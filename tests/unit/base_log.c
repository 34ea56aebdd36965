#include "host/base/log.h"

#include <pthread.h>

#include "tests/check.h"

/* A small reader of JSON, to see that each line is one object and what its values are. */
struct reader {
    const char *at;
    bool good;
};

static void read_value(struct reader *reader);

static void read_char(struct reader *reader, char c)
{
    reader->good = reader->good && *reader->at == c;
    reader->at += reader->good;
}

static void read_escape(struct reader *reader)
{
    reader->at++;
    if (*reader->at == 'u') {
        for (int i = 0; i < 4; i++)
            reader->good = reader->good && strchr("0123456789abcdef", *++reader->at) && *reader->at;
    } else {
        reader->good = reader->good && *reader->at && strchr("\"\\/bfnrt", *reader->at);
    }
    reader->at += reader->good;
}

static void read_text(struct reader *reader)
{
    read_char(reader, '"');
    while (reader->good && *reader->at != '"') {
        if ((unsigned char)*reader->at < 0x20)
            reader->good = false;
        else if (*reader->at == '\\')
            read_escape(reader);
        else
            reader->at++;
    }
    read_char(reader, '"');
}

static void read_number(struct reader *reader)
{
    char *end;

    strtod(reader->at, &end);
    reader->good = reader->good && end > reader->at && strchr("-0123456789", *reader->at);
    reader->at = end;
}

static void read_value(struct reader *reader)
{
    if (*reader->at == '"')
        read_text(reader);
    else if (strncmp(reader->at, "true", 4) == 0)
        reader->at += 4;
    else
        read_number(reader);
}

static bool is_object(const char *line)
{
    struct reader reader = {.at = line, .good = true};

    read_char(&reader, '{');
    for (;;) {
        read_text(&reader);
        read_char(&reader, ':');
        read_value(&reader);
        if (!reader.good || *reader.at != ',')
            break;
        reader.at++;
    }
    read_char(&reader, '}');
    return reader.good && (*reader.at == '\n' || *reader.at == 0);
}

/* Runs `write_lines` with stderr in a file and gives back what it wrote; the caller frees it. */
static char *captured(void (*write_lines)(void))
{
    FILE *file = tmpfile();
    int before = dup(STDERR_FILENO);
    char *text;
    long bytes;

    dup2(fileno(file), STDERR_FILENO);
    write_lines();
    dup2(before, STDERR_FILENO);
    close(before);
    fseek(file, 0, SEEK_END);
    bytes = ftell(file);
    text = calloc((size_t)bytes + 1, 1);
    rewind(file);
    if (fread(text, 1, (size_t)bytes, file) != (size_t)bytes)
        abort();
    fclose(file);
    return text;
}

static void write_one(void)
{
    LOG(LOG_INFO, "job_done", TEXT("job", "j-1"), INT("rows", -17), REAL("ms", 0.1),
        REAL("bad", NAN));
}

static void a_line_is_one_object_with_numbers_as_numbers(struct check *check)
{
    char *text = captured(write_one);

    check_true(check, is_object(text));
    check_true(check, strncmp(text, "{\"ts\":\"20", 9) == 0);
    check_true(check,
               strstr(text,
                      ",\"level\":\"info\",\"event\":\"job_done\",\"job\":\"j-1\",\"rows\":-17,"
                      "\"ms\":0.1,\"bad\":\"") != NULL);
    check_true(check, text[strlen(text) - 1] == '\n');
    free(text);
}

static char hostile[256];

static void write_hostile(void)
{
    LOG(LOG_ERROR, hostile, TEXT(hostile, hostile));
}

static void no_byte_of_a_value_breaks_the_line(struct check *check)
{
    uint64_t state = 11;

    for (int round = 0; round < 300; round++) {
        size_t length = check_random(&state) % sizeof hostile;
        char *text;
        for (size_t i = 0; i < length; i++)
            hostile[i] = (char)(round < 255 && i == 0 ? (uint64_t)round + 1
                                                      : check_random(&state) % 255 + 1);
        hostile[length] = 0;
        text = captured(write_hostile);
        check_note(check, "round=%d", round);
        check_true(check, is_object(text) && strchr(text, '\n') == text + strlen(text) - 1);
        free(text);
    }
}

static void write_utf8(void)
{
    LOG(LOG_INFO, "e", TEXT("good", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
        TEXT("bad", "\xc3(\xed\xa0\x80\xc0\xaf"));
}

static void utf8_passes_and_what_is_not_becomes_a_mark(struct check *check)
{
    char *text = captured(write_utf8);

    check_true(check, strstr(text, "\"good\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"") != NULL);
    check_true(check,
               strstr(text, "\"bad\":\"\\ufffd(\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"") != NULL);
    free(text);
}

static void write_long(void)
{
    char value[5000];
    struct field fields[64];

    memset(value, '\n', sizeof value - 1);
    value[sizeof value - 1] = 0;
    for (int i = 0; i < 64; i++)
        fields[i] = TEXT("name", value);
    log_fields(LOG_INFO, "long", fields, 64);
}

static void a_long_line_is_cut_between_fields_and_says_so(struct check *check)
{
    char *text = captured(write_long);

    check_true(check, is_object(text) && strlen(text) <= 4096);
    check_true(check, strstr(text, "...\"") != NULL);
    check_true(check, strstr(text, ",\"cut\":true}\n") != NULL);
    free(text);
}

static void write_levels(void)
{
    log_set_level(LOG_WARNING);
    LOG(LOG_INFO, "quiet", INT("n", 1));
    LOG(LOG_WARNING, "loud", INT("n", 1));
    log_set_level(LOG_SILENT);
    LOG(LOG_ERROR, "silenced", INT("n", 1));
    log_set_level(LOG_INFO);
}

static void a_line_below_the_level_is_not_written(struct check *check)
{
    enum log_level level = LOG_SILENT;
    char *text = captured(write_levels);

    check_true(check, !strstr(text, "quiet") && strstr(text, "loud") && !strstr(text, "silenced"));
    check_true(check, log_level_named("debug", &level) == 1 && level == LOG_DEBUG);
    check_true(check, log_level_named("loud", &level) == 0 && level == LOG_DEBUG);
    free(text);
}

static void *write_many(void *argument)
{
    (void)argument;
    for (int i = 0; i < 500; i++)
        LOG(LOG_INFO, "many", INT("i", i), TEXT("filler", "some words that make the line longer"));
    return NULL;
}

static void write_from_threads(void)
{
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, write_many, NULL) != 0)
            abort();
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

static void lines_of_threads_never_mix(struct check *check)
{
    char *text = captured(write_from_threads), *save = NULL;
    int lines = 0;

    for (char *line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save), lines++)
        check_true(check, is_object(line));
    check_equal_i64(check, lines, 2000);
    free(text);
}

CHECKS(CLAIM(a_line_is_one_object_with_numbers_as_numbers),
       CLAIM(no_byte_of_a_value_breaks_the_line), CLAIM(utf8_passes_and_what_is_not_becomes_a_mark),
       CLAIM(a_long_line_is_cut_between_fields_and_says_so),
       CLAIM(a_line_below_the_level_is_not_written), CLAIM(lines_of_threads_never_mix))
