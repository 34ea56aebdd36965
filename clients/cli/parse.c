/* parse.c - argv read by the tables, with a sentence and the nearest name for every slip. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/commands.h"
#include "clients/cli/say.h"

enum { WORD_MAX = 40, SLIP_MAX = 3, CANDIDATES_MAX = 64 };

/* Levenshtein's distance, of words shorter than WORD_MAX. */
static int distance(const char *a, const char *b)
{
    int row[WORD_MAX + 1];
    int a_length = (int)strlen(a), b_length = (int)strlen(b);

    if (a_length > WORD_MAX || b_length > WORD_MAX)
        return WORD_MAX;
    for (int j = 0; j <= b_length; j++)
        row[j] = j;
    for (int i = 1; i <= a_length; i++) {
        int corner = row[0];
        row[0] = i;
        for (int j = 1; j <= b_length; j++) {
            int least = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            if (row[j] + 1 < least)
                least = row[j] + 1;
            if (row[j - 1] + 1 < least)
                least = row[j - 1] + 1;
            row[j] = least;
        }
    }
    return row[b_length];
}

const char *nearest_word(const char *word, const char *const *words, int count)
{
    const char *best = NULL;
    int best_distance = SLIP_MAX + 1;

    for (int i = 0; i < count; i++) {
        int d = distance(word, words[i]);
        bool start = strlen(word) >= 3 && strncmp(words[i], word, strlen(word)) == 0;
        if (start && d > SLIP_MAX)
            d = SLIP_MAX;
        if (d < best_distance && d < (int)strlen(words[i])) {
            best_distance = d;
            best = words[i];
        }
    }
    return best;
}

static int unknown_flag(const struct command *command, const char *name)
{
    const char *words[CANDIDATES_MAX];
    int count = 0;

    for (const enum flag_id *id = command->flags; *id != FLAG_END && count < CANDIDATES_MAX; id++)
        words[count++] = flags[*id].name;
    const char *near = nearest_word(name, words, count);
    if (near)
        return complain(EXIT_USAGE, "bary %s has no flag --%s; did you mean --%s?", command->name,
                        name, near);
    return complain(EXIT_USAGE, "bary %s has no flag --%s; bary help %s lists them", command->name,
                    name, command->name);
}

static int unknown_command(const char *name)
{
    const char *words[CANDIDATES_MAX];
    int count = 0;

    for (int i = 0; i < commands_count && count < CANDIDATES_MAX; i++)
        words[count++] = commands[i].name;
    const char *near = nearest_word(name, words, count);
    if (near)
        return complain(EXIT_USAGE, "there is no command '%s'; did you mean 'bary %s'?", name,
                        near);
    return complain(EXIT_USAGE, "there is no command '%s'; bary help lists them", name);
}

static enum flag_id find_flag(const struct command *command, const char *name, size_t length)
{
    for (const enum flag_id *id = command->flags; *id != FLAG_END; id++)
        if (strlen(flags[*id].name) == length && strncmp(flags[*id].name, name, length) == 0)
            return *id;
    return length == 4 && strncmp(name, "help", 4) == 0 ? FLAG_HELP : FLAG_END;
}

static int bad_value(const struct flag *flag, const char *text)
{
    if (flag->kind == KIND_UNSIGNED)
        return complain(EXIT_USAGE, "--%s is '%s'; it must be a whole number from 0 to %llu",
                        flag->name, text, (unsigned long long)UINT64_MAX);
    if (flag->kind == KIND_REAL)
        return complain(EXIT_USAGE, "--%s is '%s'; it must be a number from %g to %g", flag->name,
                        text, flag->least, flag->most);
    return complain(EXIT_USAGE, "--%s is '%s'; it must be %sa whole number from %lld to %lld",
                    flag->name, text, strncmp(flag->argument, "auto|", 5) == 0 ? "auto or " : "",
                    (long long)flag->least, (long long)flag->most);
}

static int read_integer(const struct flag *flag, const char *text, int64_t *out)
{
    char *end;

    if (strncmp(flag->argument, "auto|", 5) == 0 && strcmp(text, "auto") == 0) {
        *out = 0;
        return 0;
    }
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end || value < (long long)flag->least ||
        value > (long long)flag->most)
        return bad_value(flag, text);
    *out = value;
    return 0;
}

static int read_unsigned(const struct flag *flag, const char *text, uint64_t *out)
{
    char *end;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *end || text[0] < '0' || text[0] > '9')
        return bad_value(flag, text);
    *out = value;
    return 0;
}

static int read_real(const struct flag *flag, const char *text, double *out)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end || !(value >= flag->least && value <= flag->most))
        return bad_value(flag, text);
    *out = value;
    return 0;
}

static int read_choice(const struct flag *flag, const char *text, int64_t *out)
{
    const char *at = flag->argument;

    for (int64_t number = 0;; number++) {
        size_t length = strcspn(at, "|");
        if (strlen(text) == length && strncmp(at, text, length) == 0) {
            *out = number;
            return 0;
        }
        at += length;
        if (*at++ == 0)
            break;
    }
    return complain(EXIT_USAGE, "--%s is '%s'; it must be one of %s", flag->name, text,
                    flag->argument);
}

static int take_list(struct arguments *out, const struct flag *flag, const char *text)
{
    if (out->list_count == LIST_MAX)
        return complain(EXIT_USAGE, "--%s is given more than %d times", flag->name, LIST_MAX);
    out->list[out->list_count++] = text;
    return 0;
}

static int take_value(struct arguments *out, enum flag_id id, const char *text)
{
    const struct flag *flag = &flags[id];

    out->flag[id].given = true;
    out->flag[id].text = text;
    switch (flag->kind) {
    case KIND_LIST:
        return take_list(out, flag, text);
    case KIND_INTEGER:
        return read_integer(flag, text, &out->flag[id].integer);
    case KIND_UNSIGNED:
        return read_unsigned(flag, text, &out->flag[id].number);
    case KIND_REAL:
        return read_real(flag, text, &out->flag[id].real);
    case KIND_CHOICE:
        return read_choice(flag, text, &out->flag[id].integer);
    case KIND_SWITCH:
    case KIND_TEXT:
        break;
    }
    return text && text[0] == 0 ? complain(EXIT_USAGE, "--%s is empty", flag->name) : 0;
}

/* "--name", "--name=value" or "--name value"; *at moves over what was used. */
static int take_flag(struct arguments *out, const char **argv, int *at)
{
    const char *name = argv[*at] + 2;
    size_t length = strcspn(name, "=");
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    enum flag_id id = find_flag(out->command, name, length);

    if (id == FLAG_END) {
        char word[WORD_MAX + 1];
        snprintf(word, sizeof word, "%.*s", (int)length, name);
        return unknown_flag(out->command, word);
    }
    if (out->flag[id].given && flags[id].kind != KIND_LIST)
        return complain(EXIT_USAGE, "--%s is given twice", flags[id].name);
    if (flags[id].kind == KIND_SWITCH) {
        if (value)
            return complain(EXIT_USAGE, "--%s takes no value", flags[id].name);
        return take_value(out, id, NULL);
    }
    if (!value)
        value = argv[*at + 1] ? argv[++*at] : NULL;
    if (!value)
        return complain(EXIT_USAGE, "--%s needs a value: --%s %s", flags[id].name, flags[id].name,
                        flags[id].argument);
    return take_value(out, id, value);
}

static int take_positional(struct arguments *out, const char *text)
{
    if (out->count >= out->command->most)
        return complain(EXIT_USAGE, "bary %s does not know what to do with '%s'",
                        out->command->name, text);
    out->positional[out->count++] = text;
    return 0;
}

static int take_all(struct arguments *out, const char **argv, int at)
{
    bool only_names = false;

    for (int status = 0; argv[at]; at++) {
        const char *text = argv[at];
        if (!only_names && strcmp(text, "--") == 0)
            only_names = true;
        else if (!only_names && strcmp(text, "-h") == 0)
            status = take_value(out, FLAG_HELP, NULL);
        else if (!only_names && strncmp(text, "--", 2) == 0)
            status = take_flag(out, argv, &at);
        else if (!only_names && text[0] == '-' && text[1])
            status = complain(EXIT_USAGE, "there is no flag '%s'; flags begin with --", text);
        else
            status = take_positional(out, text);
        if (status != 0)
            return status;
    }
    if (out->count < out->command->least && !flag_given(out, FLAG_HELP))
        return complain(EXIT_USAGE, "bary %s needs %s", out->command->name,
                        out->command->arguments);
    return 0;
}

/* "jobs list" before "jobs": two words win. *used: how many words named it. */
static const struct command *find_command(const char **argv, int *used)
{
    char two[2 * WORD_MAX];

    snprintf(two, sizeof two, "%s %s", argv[1], argv[1] && argv[2] ? argv[2] : "");
    for (int i = 0; i < commands_count; i++)
        if (strcmp(commands[i].name, two) == 0) {
            *used = 2;
            return &commands[i];
        }
    for (int i = 0; i < commands_count; i++)
        if (strcmp(commands[i].name, argv[1]) == 0) {
            *used = 1;
            return &commands[i];
        }
    return NULL;
}

static bool is_group(const char *name)
{
    size_t length = strlen(name);

    for (int i = 0; i < commands_count; i++)
        if (strncmp(commands[i].name, name, length) == 0 && commands[i].name[length] == ' ')
            return true;
    return false;
}

/* A group without a command shows its commands; with a wrong one, the nearest. */
static int parse_group(const char **argv)
{
    char two[2 * WORD_MAX];

    if (!argv[2] || strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0) {
        help_group(argv[1]);
        return 0;
    }
    snprintf(two, sizeof two, "%s %s", argv[1], argv[2]);
    return unknown_command(two);
}

/* Whether the word after a flag is its value, by the flag's kind; flags of all commands count. */
static bool takes_word(const char *name)
{
    if (strchr(name, '='))
        return false;
    for (int id = 0; id < FLAG_END; id++)
        if (strcmp(flags[id].name, name) == 0)
            return flags[id].kind != KIND_SWITCH;
    return false;
}

/* `bary --local fit X.npy` is `bary fit --local X.npy`: moves the flags in front behind the command. */
static void move_leading_flags(int argc, const char **argv)
{
    const char *kept[ARGUMENTS_MAX];
    int count = 0, words, used = 0;

    while (1 + count < argc && strncmp(argv[1 + count], "--", 2) == 0 && argv[1 + count][2])
        count += takes_word(argv[1 + count] + 2) ? 2 : 1;
    if (count == 0 || count > ARGUMENTS_MAX || 1 + count >= argc)
        return;
    words = find_command(argv + count, &used) ? used : 1;
    memcpy(kept, argv + 1, (size_t)count * sizeof *kept);
    memmove(argv + 1, argv + 1 + count, (size_t)words * sizeof *argv);
    memcpy(argv + 1 + words, kept, (size_t)count * sizeof *kept);
}

int arguments_parse(int argc, const char **argv, struct arguments *out)
{
    int used = 0;

    *out = (struct arguments){0};
    move_leading_flags(argc, argv);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help_print(NULL);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0)
        argv[1] = "version";
    out->command = find_command(argv, &used);
    if (!out->command)
        return is_group(argv[1]) ? parse_group(argv) : unknown_command(argv[1]);
    if (out->command->most < 0) {
        out->rest = argv + 1 + used;
        return 0;
    }
    return take_all(out, argv, 1 + used);
}

bool flag_given(const struct arguments *arguments, enum flag_id id)
{
    return arguments->flag[id].given;
}

const char *flag_text(const struct arguments *arguments, enum flag_id id)
{
    return arguments->flag[id].text;
}

int64_t flag_integer(const struct arguments *arguments, enum flag_id id, int64_t otherwise)
{
    return arguments->flag[id].given ? arguments->flag[id].integer : otherwise;
}

double flag_real(const struct arguments *arguments, enum flag_id id, double otherwise)
{
    return arguments->flag[id].given ? arguments->flag[id].real : otherwise;
}
