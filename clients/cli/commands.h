/* commands.h - the command line as data: what there is to say, and what was said.
 *
 * One table of commands and flags (commands.def, flags.def) makes the parser, --help and the
 * reference page. A flag means the same in every command that takes it. */
#ifndef BARY_CLIENTS_CLI_COMMANDS_H
#define BARY_CLIENTS_CLI_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

enum flag_id {
#define FLAG(id, name, kind, argument, least, most, help) FLAG_##id,
#include "clients/cli/flags.def"
#undef FLAG
    FLAG_END
};

enum flag_kind {
    KIND_SWITCH,
    KIND_TEXT,
    KIND_LIST,
    KIND_INTEGER,
    KIND_REAL,
    KIND_UNSIGNED,
    KIND_CHOICE
};

struct flag {
    const char *name;
    enum flag_kind kind;
    const char *argument;
    double least, most;
    const char *help;
};

enum { ARGUMENTS_MAX = 64, LIST_MAX = 16 };

/* What was said: borrowed from argv. */
struct arguments {
    const struct command *command;
    int count;
    const char *positional[ARGUMENTS_MAX];
    struct {
        bool given;
        const char *text;
        int64_t integer;
        uint64_t number; /* UNSIGNED */
        double real;
    } flag[FLAG_END];
    int list_count; /* of the one LIST flag */
    const char *list[LIST_MAX];
    const char **rest; /* what a command that hands on is given, NULL-terminated */
};

struct command {
    const char *name; /* "fit", "jobs list" */
    const char *arguments;
    int least, most;
    const enum flag_id *flags; /* FLAG_END ends them; every command also takes --help */
    const char *summary, *text;
    int (*run)(const struct arguments *arguments); /* returns the exit status */
};

extern const struct flag flags[FLAG_END];
extern const struct command commands[];
extern const int commands_count;

/* Finds the command and reads its flags. 0, or EXIT_USAGE after a sentence on stderr.
 * Flags may stand before the command. out->command is NULL when nothing or only a group ("jobs") was named. */
int arguments_parse(int argc, const char **argv, struct arguments *out);

bool flag_given(const struct arguments *arguments, enum flag_id id);
/* NULL: not given. */
const char *flag_text(const struct arguments *arguments, enum flag_id id);
int64_t flag_integer(const struct arguments *arguments, enum flag_id id, int64_t otherwise);
double flag_real(const struct arguments *arguments, enum flag_id id, double otherwise);

/* The nearest of `count` words, or NULL when none is near enough to be a slip. */
const char *nearest_word(const char *word, const char *const *words, int count);

void help_print(const struct command *command); /* NULL: all commands */
void help_group(const char *group);             /* "jobs" */
void help_markdown(void);

#define COMMAND(function, ...) int function(const struct arguments *arguments);
#include "clients/cli/commands.def"
#undef COMMAND

#endif
