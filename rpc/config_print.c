/* config_print.c - --help and --print-config, from the rows. */
#include <string.h>

#include "rpc/config_source.h"

static const char HEAD[] =
    "baryd - clusters data for whoever asks over gRPC\n"
    "\n"
    "usage: baryd [--flag value]...\n"
    "\n"
    "A value comes from the first of: flag, environment (BARY_SECTION_KEY), file, default.\n"
    "\n"
    "  --config FILE                   INI file; /etc/bary/baryd.conf if it is there\n"
    "  --print-config                  shows every value and where it came from\n"
    "  --private                       serves one program: no default addresses, no HTTP; ends "
    "when\n"
    "                                  standard input closes or its parent dies\n"
    "  --ready-fd N                    writes the ready line to descriptor N, not standard output\n"
    "  --version, --help\n";

void config_help(FILE *out)
{
    const char *section = "";
    char flag[96];

    fputs(HEAD, out);
    for (int i = 0; i < OPTIONS_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        if (strcmp(section, row->section) != 0)
            fprintf(out, "\n[%s]\n", row->section);
        section = row->section;
        option_flag(i, flag, sizeof flag);
        fprintf(out, "  %-31s %s\n  %-31s default: %s%s\n", flag, row->help, "",
                row->preset[0] ? row->preset : "none", row->reload ? "; SIGHUP takes it anew" : "");
    }
}

void config_print(const struct config_source *source, FILE *out)
{
    const char *section = "";

    for (int i = 0; i < OPTIONS_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        const struct option_value *value = option_given(source, i);
        if (strcmp(section, row->section) != 0)
            fprintf(out, "%s[%s]\n", section[0] ? "\n" : "", row->section);
        section = row->section;
        fprintf(out, "%s = %s  ; %s\n", row->key, value ? value->text : row->preset,
                value ? value->origin : "default");
    }
}
