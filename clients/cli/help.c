/* help.c - the tables as text for people: on a terminal, and as docs/cli.md. */
#include <stdio.h>
#include <string.h>

#include "clients/cli/commands.h"

enum { NAME_WIDTH = 32, TEXT_WIDTH = 78 };

/* Words of `text` from column `left` on, wrapped before `TEXT_WIDTH`. */
static void print_wrapped(const char *text, int left)
{
    int column = left;

    while (*text) {
        int length = (int)strcspn(text, " ");
        if (column > left && column + 1 + length > TEXT_WIDTH) {
            printf("\n%*s", left, "");
            column = left;
        }
        printf("%s%.*s", column > left ? " " : "", length, text);
        column += length + (column > left);
        text += length;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_flag(const struct flag *flag)
{
    char name[96];
    int length = snprintf(name, sizeof name, "  --%s%s%s", flag->name, flag->argument[0] ? " " : "",
                          flag->argument);

    printf("%-*s", NAME_WIDTH, name);
    if (length >= NAME_WIDTH)
        printf("\n%*s", NAME_WIDTH, "");
    print_wrapped(flag->help, NAME_WIDTH);
}

static void print_command_line(const struct command *command)
{
    char name[64];

    snprintf(name, sizeof name, "  bary %s", command->name);
    printf("%-*s", NAME_WIDTH, name);
    print_wrapped(command->summary, NAME_WIDTH);
}

static void print_all(void)
{
    puts("bary clusters the rows of tables: on a Bary server, or in this process.\n\nCommands:");
    for (int i = 0; i < commands_count; i++)
        print_command_line(&commands[i]);
    puts(
        "\n`bary help COMMAND` explains one. Exit status: 0 done, 2 bad usage or input, 69 server\n"
        "or device gone or full, 70 a bug, 74 disk, 77 not permitted, 78 bad configuration,\n"
        "130 cancelled.");
}

void help_print(const struct command *command)
{
    if (!command) {
        print_all();
        return;
    }
    printf("bary %s%s%s%s\n\n", command->name, command->arguments[0] ? " " : "", command->arguments,
           command->flags[0] != FLAG_END ? " [FLAGS]" : "");
    print_wrapped(command->summary, 0);
    if (command->text[0])
        print_wrapped(command->text, 0);
    if (command->flags[0] == FLAG_END)
        return;
    puts("\nFlags:");
    for (const enum flag_id *id = command->flags; *id != FLAG_END; id++)
        print_flag(&flags[*id]);
}

void help_group(const char *group)
{
    size_t length = strlen(group);

    for (int i = 0; i < commands_count; i++)
        if (strncmp(commands[i].name, group, length) == 0 && commands[i].name[length] == ' ')
            print_command_line(&commands[i]);
}

/* A bar would end a cell of the table. */
static void print_cell(const char *text)
{
    for (; *text; text++)
        printf(*text == '|' ? "\\|" : "%c", *text);
}

static void markdown_flags(const struct command *command)
{
    if (command->flags[0] == FLAG_END)
        return;
    puts("\n| flag | meaning |\n|---|---|");
    for (const enum flag_id *id = command->flags; *id != FLAG_END; id++) {
        printf("| `--%s%s", flags[*id].name, flags[*id].argument[0] ? " " : "");
        print_cell(flags[*id].argument);
        printf("` | ");
        print_cell(flags[*id].help);
        puts(" |");
    }
}

static void markdown_command(const struct command *command)
{
    printf("\n## bary %s\n\n", command->name);
    printf("`bary %s%s%s`: ", command->name, command->arguments[0] ? " " : "", command->arguments);
    printf("%s.%s%s\n", command->summary, command->text[0] ? " " : "", command->text);
    markdown_flags(command);
}

void help_markdown(void)
{
    puts("# The command `bary`\n\n"
         "Made by `bary help --markdown` from the tables in `clients/cli`; do not edit.\n\n"
         "Answers go to stdout, progress and errors (`bary: sentence`) to stderr. Files are "
         "written\n"
         "whole or not at all. Flags are `--name VALUE` or `--name=VALUE`; `--` ends them.\n\n"
         "| exit status | meaning |\n|---|---|\n"
         "| 0 | done |\n"
         "| 2 | bad usage or input; the same call fails again |\n"
         "| 69 | server or device gone, full or too slow: retry later or elsewhere |\n"
         "| 70 | a bug of ours |\n"
         "| 74 | a file could not be written, or is damaged |\n"
         "| 77 | not permitted |\n"
         "| 78 | bad configuration |\n"
         "| 130 | Ctrl-C, or the job was cancelled |");
    for (int i = 0; i < commands_count; i++)
        markdown_command(&commands[i]);
}
