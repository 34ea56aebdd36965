/* rpc_config.c - a value comes from the first that has it, and what is wrong is said with its place. */
#include <fcntl.h>
#include <sys/stat.h>

#include "rpc/config.h"
#include "tests/check.h"

enum { ARGUMENTS_MAX = 16 };

/* One start of the server, as far as its words. */
struct start {
    const char *arguments[ARGUMENTS_MAX], *environment[ARGUMENTS_MAX], *file;
    struct config config;
    struct config_flags flags;
    struct config_source *source;
    struct error error;
    bool usage;
    char path[64];
};

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    fputs(text, file);
    fclose(file);
}

/* Without a file of its own an empty one keeps the machine's out. */
static enum status begin(struct start *start)
{
    const char *arguments[ARGUMENTS_MAX + 4] = {"baryd", "--config", start->path};
    char *environment[ARGUMENTS_MAX + 1] = {NULL};
    int count = 3;
    enum status status;

    snprintf(start->path, sizeof start->path, "/tmp/bary-config-%d.conf", (int)getpid());
    write_file(start->path, start->file ? start->file : "");
    for (int i = 0; start->arguments[i]; i++)
        arguments[count++] = start->arguments[i];
    for (int i = 0; start->environment[i]; i++)
        environment[i] = (char *)(uintptr_t)start->environment[i];
    status = config_open(count, (char **)(uintptr_t)arguments, environment, &start->source,
                         &start->flags, &start->usage, &start->error);
    if (status == STATUS_OK)
        status = config_read(start->source, &start->flags, &start->config, &start->error);
    return status;
}

static void end(struct start *start)
{
    config_close(&start->source);
    unlink(start->path);
}

static void a_flag_wins_over_environment_over_file_over_default(struct check *check)
{
    struct start start = {
        .arguments = {"--limits-calls", "11", "--threads=3"},
        .environment = {"BARY_LIMITS_CALLS=22", "BARY_LIMITS_OBJECTS=33", "PATH=/bin"},
        .file = "[server]\nmemory = 2G ; half of it\n[limits]\ncalls = 44\nobjects=55\nwatchers = "
                "66\n"};

    check_equal_i64(check, begin(&start), STATUS_OK);
    check_equal_i64(check, start.config.limits.calls, 11);
    check_equal_i64(check, start.config.limits.objects, 33);
    check_equal_i64(check, start.config.limits.watchers, 66);
    check_equal_i64(check, start.config.limits.queued_jobs, limits_default().queued_jobs);
    check_equal_i64(check, start.config.memory, (int64_t)2 << 30);
    check_equal_i64(check, start.config.threads, 3);
    check_equal_text(check, start.config.http, "127.0.0.1:9464");
    end(&start);
}

static void listen_may_come_again(struct check *check)
{
    struct start start = {.arguments = {"--listen", "127.0.0.1:0", "--listen=unix:/tmp/x"}};

    check_equal_i64(check, begin(&start), STATUS_OK);
    check_equal_i64(check, start.config.listen_count, 2);
    check_equal_text(check, start.config.listen[0], "127.0.0.1:0");
    check_equal_text(check, start.config.listen[1], "unix:/tmp/x");
    end(&start);
}

static void a_private_server_has_neither_default_address_nor_http(struct check *check)
{
    struct start bare = {.arguments = {"--private"}};
    struct start start = {.arguments = {"--private", "--listen", "unix:/tmp/x"}};

    check_equal_i64(check, begin(&bare), STATUS_BAD_CONFIG);
    end(&bare);
    check_equal_i64(check, begin(&start), STATUS_OK);
    check_true(check, start.flags.private_);
    check_equal_i64(check, start.config.listen_count, 1);
    check_equal_text(check, start.config.http, "");
    end(&start);
}

static void a_bad_file_is_refused_with_line_and_nearest_name(struct check *check)
{
    static const struct {
        const char *file, *line, *word;
    } rows[] = {
        {"[limits]\nqueued_job = 7\n", ":2", "queued_jobs"},
        {"[limits]\nqueued_jobs = many\n", ":2", "many"},
        {"[limits]\nqueued_jobs = 0\n", ":2", "1 to 65536"},
        {"[limits]\nqueued_jobs = 7\nqueued_jobs = 8\n", ":3", "twice"},
        {"[limit]\ncalls = 7\n", ":2", "[limits]"},
        {"[server]\nthreads\n", ":2", "key = value"},
        {"[server]\nmemory = 8X\n", ":2", "bytes"},
        {"[server]\n\nmemory = 99999999999999999999\n", ":3", "out of range"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct start start = {.file = rows[i].file};
        check_note(check, "%s", rows[i].file);
        check_equal_i64(check, begin(&start), STATUS_BAD_CONFIG);
        check_true(check, !start.usage);
        const char *where = error_value(&start.error, "where");
        check_true(check, where && strstr(where, start.path) && strstr(where, rows[i].line));
        const char *why = error_value(&start.error, "why");
        check_true(check, why && strstr(why, rows[i].word));
        end(&start);
    }
}

static void bad_flags_and_variables_are_refused_by_name(struct check *check)
{
    struct start flag = {.arguments = {"--lisen", "x"}},
                 twice = {.arguments = {"--threads", "1", "--threads", "2"}};
    struct start value = {.arguments = {"--state"}}, none = {.arguments = {"--help=no"}};
    struct start variable = {.environment = {"BARY_LIMITS_CALL=4"}};

    check_equal_i64(check, begin(&flag), STATUS_BAD_CONFIG);
    check_true(check, flag.usage && strstr(error_value(&flag.error, "why"), "'--listen'"));
    check_equal_i64(check, begin(&twice), STATUS_BAD_CONFIG);
    check_equal_i64(check, begin(&value), STATUS_BAD_CONFIG);
    check_true(check, value.usage);
    check_equal_i64(check, begin(&none), STATUS_BAD_CONFIG);
    check_equal_i64(check, begin(&variable), STATUS_BAD_CONFIG);
    check_equal_text(check, error_value(&variable.error, "where"), "BARY_LIMITS_CALL");
    end(&flag);
}

static void a_reload_is_taken_whole_or_not_at_all(struct check *check)
{
    struct start start = {.file = "[limits]\ncalls = 7\n[log]\nlevel = info\n"};

    check_equal_i64(check, begin(&start), STATUS_OK);
    write_file(start.path, "[limits]\ncalls = 8\n[log]\nlevel = error\n");
    check_equal_i64(check, config_reload(start.source, &start.flags, &start.config, NULL),
                    STATUS_OK);
    check_equal_i64(check, start.config.limits.calls, 8);
    check_equal_i64(check, start.config.level, LOG_ERROR);
    write_file(start.path, "[limits]\ncalls = 9\nnonsense = 1\n");
    check_equal_i64(check, config_reload(start.source, &start.flags, &start.config, NULL),
                    STATUS_BAD_CONFIG);
    check_equal_i64(check, start.config.limits.calls, 8);
    end(&start);
}

/* --print-config is a file that gives the same values. */
static void what_is_printed_can_be_read_again(struct check *check)
{
    struct start start = {
        .arguments = {"--listen", "127.0.0.1:0", "--state", "/tmp/s", "--limits-calls", "77"}};
    char path[64], text[16384];

    check_equal_i64(check, begin(&start), STATUS_OK);
    snprintf(path, sizeof path, "/tmp/bary-config-%d.out", (int)getpid());
    FILE *out = fopen(path, "w+");
    config_print(start.source, out);
    rewind(out);
    text[fread(text, 1, sizeof text - 1, out)] = '\0';
    fclose(out);
    unlink(path);
    end(&start);
    check_true(check, strstr(text, "calls = 77  ; flag --limits-calls\n") != NULL);
    check_true(check, strstr(text, "objects = 1000  ; default\n") != NULL);
    struct start again = {.file = text};
    check_equal_i64(check, begin(&again), STATUS_OK);
    check_equal_i64(check, again.config.limits.calls, 77);
    check_equal_text(check, again.config.listen[0], "127.0.0.1:0");
    end(&again);
}

CHECKS(CLAIM(a_flag_wins_over_environment_over_file_over_default), CLAIM(listen_may_come_again),
       CLAIM(a_private_server_has_neither_default_address_nor_http),
       CLAIM(a_bad_file_is_refused_with_line_and_nearest_name),
       CLAIM(bad_flags_and_variables_are_refused_by_name),
       CLAIM(a_reload_is_taken_whole_or_not_at_all), CLAIM(what_is_printed_can_be_read_again))
