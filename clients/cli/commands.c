/* commands.c - the two tables, filled. */
#include "clients/cli/commands.h"

#include <stddef.h>

#include "proto/limits.h"

const struct flag flags[FLAG_END] = {
#define FLAG(id, name, kind, argument, least, most, help) \
    [FLAG_##id] = {name, KIND_##kind, argument, (double)(least), (double)(most), help},
#include "clients/cli/flags.def"
#undef FLAG
};

#define FLAGS(...)            \
    (const enum flag_id[])    \
    {                         \
        __VA_ARGS__, FLAG_END \
    }
const struct command commands[] = {
#define COMMAND(function, name, arguments, least, most, flags, summary, text) \
    {name, arguments, least, most, flags, summary, text, function},
#include "clients/cli/commands.def"
#undef COMMAND
};
const int commands_count = sizeof commands / sizeof commands[0];
