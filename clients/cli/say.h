/* say.h - how the command speaks: sentences on stderr, answers on stdout, a status at the end. */
#ifndef BARY_CLIENTS_CLI_SAY_H
#define BARY_CLIENTS_CLI_SAY_H

#include <stdbool.h>
#include <stdint.h>

#include "clients/c/baryc.h"

/* The exit statuses, as sysexits.h numbers them. */
enum {
    EXIT_DONE = 0,
    EXIT_USAGE = 2, /* bad usage or input */
    EXIT_GONE = 69, /* server or device is gone or full: retry elsewhere or later */
    EXIT_BUG = 70,  /* ours */
    EXIT_DISK = 74, /* a file could not be written, or is damaged */
    EXIT_PERMISSION = 77,
    EXIT_CONFIG = 78,
    EXIT_INTERRUPTED = 130 /* Ctrl-C, or the job was cancelled */
};

/* Prints "bary: ..." on stderr and returns `status`. */
__attribute__((format(printf, 2, 3))) int complain(int status, const char *format, ...);

/* Prints an error's sentence and returns the exit status that it means. With `json`, stdout gets
 * {"error": ...} too. */
int complain_error(const struct baryc_error *error, bool json);
int exit_of_error(const struct baryc_error *error);

/* First Ctrl-C (or SIGTERM): stop_asked becomes true. The second one ends the process with 130. */
void stop_install(void);
bool stop_asked(void *unused);

/* "1.2 GiB", "350 ms" into text[32]; returns it. */
const char *say_bytes(int64_t bytes, char text[32]);
const char *say_time(int64_t ns, char text[32]);

/* "2026-11-24 06:30:00" in local time; NULL: "". */
const char *say_stamp(const Google__Protobuf__Timestamp *stamp, char text[32]);

/* Progress on stderr: one line that is rewritten on a terminal, else with `lines` a line every 2 s. */
struct progress_line {
    bool terminal, lines, drawn;
    int64_t last_ns;
};
void progress_start(struct progress_line *line, bool lines);
void progress_job(struct progress_line *line, const Bary__V1__Job *job);
void progress_upload(struct progress_line *line, int64_t bytes, int64_t total);
void progress_rows(struct progress_line *line, const char *what, int64_t rows, int64_t total);
void progress_end(struct progress_line *line); /* leaves the terminal's line empty */

/* A message as JSON on stdout. `more`: name, value, ..., NULL: texts added under "files"; NULL: none. */
void say_json(const ProtobufCMessage *message, const char *const *files);

#endif
