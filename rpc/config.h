/* config.h - what the server was told: flag, else environment, else file, else default.
 *
 * One table (config.def and limits.h) makes the parser, --help, --print-config and the page. Values
 * are text with an origin until config_read makes numbers of them. */
#ifndef BARY_RPC_CONFIG_H
#define BARY_RPC_CONFIG_H

#include <stdbool.h>
#include <stdio.h>

#include "host/base/error.h"
#include "host/base/log.h"
#include "proto/limits.h"

enum { LISTEN_MAX = 16 };

struct config {
    int listen_count;
    char listen[LISTEN_MAX][128];
    char state[1024];
    char http[128]; /* "": none */
    char backend_dir[1024];
    int64_t memory; /* 0: the machine's */
    int threads;    /* 0: the machine's */
    int queue_threads, pool_threads;
    int64_t drain_ms, notice_ms;
    enum log_level level;
    struct limits limits;
};

/* What only flags say. */
struct config_flags {
    bool help, version, print;
    bool private_;      /* ends with its parent; no default addresses */
    int ready_fd;       /* -1: standard output */
    const char *config; /* NULL: /etc/bary/baryd.conf if it is there */
};

struct config_source; /* the words as given, each with where they came from */

/* Reads flags, environment and file. BAD_CONFIG with file, line and the nearest name. *usage: the fault is
 * in the flags. */
enum status config_open(int argc, char **argv, char **environment, struct config_source **out,
                        struct config_flags *flags, bool *usage, struct error *error);
void config_close(struct config_source **source);

/* The values, checked. */
enum status config_read(const struct config_source *source, const struct config_flags *flags,
                        struct config *out, struct error *error);
/* Reads the file again and takes what may be reloaded into *config, whole or not at all. */
enum status config_reload(const struct config_source *source, const struct config_flags *flags,
                          struct config *config, struct error *error);

void config_help(FILE *out);
/* Each value and where it came from, as the file would have it. */
void config_print(const struct config_source *source, FILE *out);

#endif
