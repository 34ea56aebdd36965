/* main.c - the bary command: finds what was asked for and runs it. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "clients/cli/commands.h"
#include "clients/cli/say.h"
#include "host/base/machine.h"

static volatile sig_atomic_t interrupts;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupts = interrupts + 1;
    if (interrupts > 1)
        _exit(EXIT_INTERRUPTED);
}

void stop_install(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool stop_asked(void *unused)
{
    (void)unused;
    return interrupts > 0;
}

int command_version(const struct arguments *arguments)
{
    (void)arguments;
    printf("bary %s\n", BARY_VERSION);
    return EXIT_DONE;
}

/* The words after `help` are parsed as a command of their own. */
int command_help(const struct arguments *arguments)
{
    struct arguments about;
    const char *words[5] = {"bary", NULL};

    if (flag_given(arguments, FLAG_MARKDOWN)) {
        help_markdown();
        return EXIT_DONE;
    }
    for (int i = 0; i < arguments->count; i++)
        words[1 + i] = arguments->positional[i];
    words[1 + arguments->count] = "--help";
    if (arguments->count == 0) {
        help_print(NULL);
        return EXIT_DONE;
    }
    int status = arguments_parse(2 + arguments->count, words, &about);
    if (status == EXIT_DONE && about.command)
        help_print(about.command);
    return status;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    int status;

    machine_wait_quietly(argv);
    status = arguments_parse(argc, (const char **)(uintptr_t)argv, &arguments);
    if (status != EXIT_DONE || !arguments.command)
        return status;
    if (flag_given(&arguments, FLAG_HELP)) {
        help_print(arguments.command);
        return EXIT_DONE;
    }
    status = arguments.command->run(&arguments);
    if (fflush(stdout) != 0 && status == EXIT_DONE)
        return complain(EXIT_DISK, "cannot write to stdout");
    return status;
}
