/* config.c - see config.h: the layers in their order, and the values that come of them. */
#include "rpc/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/memory.h"
#include "rpc/config_source.h"

static const char DEFAULT_FILE[] = "/etc/bary/baryd.conf";

static enum status bad(struct error *error, const char *where, const char *why)
{
    return FAIL(error, BAD_CONFIG, TEXT("where", where), TEXT("why", why));
}

/* Flags that are no options: name, whether a value follows. */
static const struct {
    const char *name;
    bool value;
} SPECIAL[] = {{"--help", false},    {"--version", false}, {"--print-config", false},
               {"--private", false}, {"--ready-fd", true}, {"--config", true}};

static enum status unknown_flag(const char *given, struct error *error)
{
    char why[256], flag[96], nearest[96] = "--help";
    size_t least = text_distance(nearest, given);

    for (int i = 0; i < OPTIONS_COUNT; i++) {
        option_flag(i, flag, sizeof flag);
        if (text_distance(flag, given) < least) {
            least = text_distance(flag, given);
            snprintf(nearest, sizeof nearest, "%s", flag);
        }
    }
    for (size_t i = 0; i < sizeof SPECIAL / sizeof *SPECIAL; i++)
        if (text_distance(SPECIAL[i].name, given) < least) {
            least = text_distance(SPECIAL[i].name, given);
            snprintf(nearest, sizeof nearest, "%s", SPECIAL[i].name);
        }
    snprintf(why, sizeof why, "there is no flag '%.100s'; the nearest is '%s'; --help lists all",
             given, nearest);
    return bad(error, "command line", why);
}

static int flag_option(const char *name)
{
    char flag[96];

    for (int i = 0; i < OPTIONS_COUNT; i++) {
        option_flag(i, flag, sizeof flag);
        if (strcmp(flag, name) == 0)
            return i;
    }
    return OPTIONS_COUNT;
}

static bool special_is(const char *name, const char *given)
{
    return strcmp(name, given) == 0;
}

static enum status special_take(const char *name, const char *value, struct config_flags *flags,
                                struct error *error)
{
    char *end;

    flags->help |= special_is("--help", name);
    flags->version |= special_is("--version", name);
    flags->print |= special_is("--print-config", name);
    flags->private_ |= special_is("--private", name);
    if (special_is("--config", name))
        flags->config = value;
    if (!special_is("--ready-fd", name))
        return STATUS_OK;
    errno = 0;
    flags->ready_fd = (int)strtol(value, &end, 10);
    if (*end || end == value || errno || flags->ready_fd < 0)
        return bad(error, "--ready-fd", "its value is no descriptor");
    return STATUS_OK;
}

/* One flag with its value; *at moves on. */
static enum status flag_take(int argc, char **argv, int *at, struct config_source *source,
                             struct config_flags *flags, struct error *error)
{
    char name[96], origin[ORIGIN_BYTES];
    const char *equals = strchr(argv[*at], '='), *value = equals ? equals + 1 : NULL;
    size_t special = 0, count = sizeof SPECIAL / sizeof *SPECIAL;
    int option;
    bool wants;

    snprintf(name, sizeof name, "%.*s",
             (int)(equals ? (size_t)(equals - argv[*at]) : strlen(argv[*at])), argv[*at]);
    option = flag_option(name);
    while (special < count && strcmp(SPECIAL[special].name, name) != 0)
        special++;
    if (option == OPTIONS_COUNT && special == count)
        return unknown_flag(argv[*at], error);
    wants = option < OPTIONS_COUNT || SPECIAL[special].value;
    if (wants && !value && *at + 1 < argc)
        value = argv[++*at];
    if (wants != (value != NULL))
        return bad(error, name, wants ? "it needs a value" : "it takes no value");
    ++*at;
    if (option == OPTIONS_COUNT)
        return special_take(name, value, flags, error);
    snprintf(origin, sizeof origin, "flag %s", name);
    return option_set(&source->flags, option, value, origin, error);
}

static enum status variable_take(const char *pair, struct config_source *source,
                                 struct error *error)
{
    static const char *const PREFIXES[] = {"BARY_SERVER_", "BARY_LOG_", "BARY_LIMITS_"};
    const char *equals = strchr(pair, '=');
    char name[96], variable[96], origin[ORIGIN_BYTES];
    bool ours = false;

    for (size_t i = 0; i < sizeof PREFIXES / sizeof *PREFIXES; i++)
        ours |= strncmp(pair, PREFIXES[i], strlen(PREFIXES[i])) == 0;
    if (!ours || !equals)
        return STATUS_OK;
    snprintf(name, sizeof name, "%.*s", (int)(equals - pair), pair);
    for (int i = 0; i < OPTIONS_COUNT; i++) {
        option_variable(i, variable, sizeof variable);
        if (strcmp(variable, name) == 0) {
            snprintf(origin, sizeof origin, "environment %s", name);
            return option_set(&source->environment, i, equals + 1, origin, error);
        }
    }
    return bad(error, name, "there is no such option");
}

static enum status file_take(struct config_source *source, const struct config_flags *flags,
                             struct error *error)
{
    if (!flags->config && access(DEFAULT_FILE, F_OK) != 0)
        return STATUS_OK;
    snprintf(source->path, sizeof source->path, "%s", flags->config ? flags->config : DEFAULT_FILE);
    return file_layer(source->path, &source->file, error);
}

enum status config_open(int argc, char **argv, char **environment, struct config_source **out,
                        struct config_flags *flags, bool *usage, struct error *error)
{
    struct config_source *source = memory_zeroed(1, sizeof *source);
    enum status status;

    *flags = (struct config_flags){.ready_fd = -1};
    *usage = true;
    if (!source)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "the configuration"),
                    INT("needed", sizeof *source), INT("retry_ms", 1000));
    for (int at = 1; at < argc;)
        TRY(flag_take(argc, argv, &at, source, flags, error));
    *usage = false;
    for (char **next = environment; *next; next++)
        TRY(variable_take(*next, source, error));
    if (!flags->help && !flags->version)
        TRY(file_take(source, flags, error));
    *out = source;
    return STATUS_OK;
out:
    config_close(&source);
    return status;
}

void config_close(struct config_source **source)
{
    memory_free(*source);
    *source = NULL;
}

/* The text in force and where it came from. */
static const char *text_of(const struct config_source *source, int option, const char **where)
{
    const struct option_value *value = option_given(source, option);

    *where = value ? value->origin : option_rows[option].key;
    return value ? value->text : NULL;
}

static enum status number_of(const struct config_source *source, int option, int64_t most,
                             int64_t *out, struct error *error)
{
    const char *where, *text = text_of(source, option, &where);
    char why[128];
    enum status status =
        option_number(option, text ? text : option_rows[option].preset, where, out, error);

    if (status != STATUS_OK || *out <= most)
        return status;
    snprintf(why, sizeof why, "%s is %lld; it must be at most %lld", option_rows[option].key,
             (long long)*out, (long long)most);
    return bad(error, where, why);
}

/* $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR/bary, else /tmp/bary-UID: a folder of our own. */
static void default_socket(char *out, size_t bytes)
{
    const char *systemd = getenv("RUNTIME_DIRECTORY"), *session = getenv("XDG_RUNTIME_DIR");

    if (systemd && systemd[0])
        snprintf(out, bytes, "unix:%s/baryd.sock", systemd);
    else if (session && session[0])
        snprintf(out, bytes, "unix:%s/bary/baryd.sock", session);
    else
        snprintf(out, bytes, "unix:/tmp/bary-%u/baryd.sock", (unsigned)geteuid());
}

static enum status default_state(char *out, size_t bytes, struct error *error)
{
    const char *systemd = getenv("STATE_DIRECTORY"), *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");

    if (systemd && systemd[0])
        snprintf(out, bytes, "%s", systemd);
    else if (state && state[0])
        snprintf(out, bytes, "%s/bary", state);
    else if (home && home[0])
        snprintf(out, bytes, "%s/.local/state/bary", home);
    else
        return bad(error, "state",
                   "no folder is given, and there is neither XDG_STATE_HOME nor HOME");
    return STATUS_OK;
}

static enum status listen_read(const struct config_source *source, bool private_,
                               struct config *out, struct error *error)
{
    const char *where, *text = text_of(source, OPTION_server_listen, &where);

    out->listen_count = 0;
    if (!text && private_)
        return bad(error, "--private",
                   "it needs --listen: a private server has no default address");
    if (!text) {
        snprintf(out->listen[out->listen_count++], sizeof out->listen[0], "127.0.0.1:7433");
        default_socket(out->listen[out->listen_count++], sizeof out->listen[0]);
        return STATUS_OK;
    }
    while (*text) {
        size_t bytes = strcspn(text, ",");
        if (out->listen_count == LISTEN_MAX)
            return bad(error, where, "listen holds 16 addresses at most");
        if (bytes >= sizeof out->listen[0])
            return bad(error, where, "an address in listen is longer than 127 bytes");
        while (*text == ' ')
            text++, bytes--;
        snprintf(out->listen[out->listen_count++], sizeof out->listen[0], "%.*s", (int)bytes, text);
        text += bytes + (text[bytes] == ',');
    }
    return STATUS_OK;
}

static enum status texts_read(const struct config_source *source, const struct config_flags *flags,
                              struct config *out, struct error *error)
{
    const char *where, *http = text_of(source, OPTION_server_http, &where);
    const char *state = text_of(source, OPTION_server_state, &where);
    const char *folder = text_of(source, OPTION_server_backend_dir, &where);
    const char *level = text_of(source, OPTION_log_level, &where);

    http = http ? http : flags->private_ ? "off" : option_rows[OPTION_server_http].preset;
    level = level ? level : option_rows[OPTION_log_level].preset;
    if (strlen(http) >= sizeof out->http)
        return bad(error, "http", "the address is longer than 127 bytes");
    snprintf(out->http, sizeof out->http, "%s", strcmp(http, "off") == 0 ? "" : http);
    snprintf(out->backend_dir, sizeof out->backend_dir, "%s", folder ? folder : "");
    if (!log_level_named(level, &out->level))
        return bad(error, where, "log level is none of debug, info, warning, error, silent");
    if (state) {
        snprintf(out->state, sizeof out->state, "%s", state);
        return STATUS_OK;
    }
    return default_state(out->state, sizeof out->state, error);
}

static enum status numbers_read(const struct config_source *source, struct config *out,
                                struct error *error)
{
    int64_t threads, queue, pool;
    enum status status;

    TRY(number_of(source, OPTION_server_memory, INT64_MAX, &out->memory, error));
    TRY(number_of(source, OPTION_server_threads, 4096, &threads, error));
    TRY(number_of(source, OPTION_server_queue_threads, 16, &queue, error));
    TRY(number_of(source, OPTION_server_pool_threads, 64, &pool, error));
    TRY(number_of(source, OPTION_server_drain_ms, 600000, &out->drain_ms, error));
    TRY(number_of(source, OPTION_server_notice_ms, 600000, &out->notice_ms, error));
    out->threads = (int)threads;
    out->queue_threads = queue < 1 ? 1 : (int)queue;
    out->pool_threads = pool < 1 ? 1 : (int)pool;
out:
    return status;
}

static enum status limits_read(const struct config_source *source, struct limits *out,
                               struct error *error)
{
    enum status status = STATUS_OK;

    *out = limits_default();
#define LIMIT(name, preset, least, most, unit, help) \
    TRY(number_of(source, OPTION_limits_##name, INT64_MAX, &out->name, error));
    LIMITS(LIMIT)
#undef LIMIT
out:
    return status;
}

enum status config_read(const struct config_source *source, const struct config_flags *flags,
                        struct config *out, struct error *error)
{
    enum status status;

    *out = (struct config){0};
    TRY(listen_read(source, flags->private_, out, error));
    TRY(texts_read(source, flags, out, error));
    TRY(numbers_read(source, out, error));
    TRY(limits_read(source, &out->limits, error));
out:
    return status;
}

enum status config_reload(const struct config_source *source, const struct config_flags *flags,
                          struct config *config, struct error *error)
{
    struct config_source *fresh = memory_zeroed(1, sizeof *fresh);
    struct config now;
    enum status status;

    if (!fresh)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "the configuration"),
                    INT("needed", sizeof *fresh), INT("retry_ms", 1000));
    fresh->flags = source->flags;
    fresh->environment = source->environment;
    TRY(file_take(fresh, flags, error));
    TRY(config_read(fresh, flags, &now, error));
    config->level = now.level;
    config->limits = now.limits;
out:
    config_close(&fresh);
    return status;
}
