/* log.c - a line is built on the stack and leaves by one write.
 *
 * A line has at most PIPE_BUF bytes, which POSIX writes to a pipe in one piece; so lines of threads
 * and of processes that share stderr never mix, and no lock is held while a slow reader is waited
 * for. What does not fit is left out, and the line says "cut":true. */
#include "host/base/log.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/base/clock.h"

enum { LINE_BYTES = 4096, TEXT_BYTES = 512, TAIL_BYTES = 16 /* ,"cut":true}\n */ };

static const char *const LEVEL_NAMES[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info",     [LOG_WARNING] = "warning",
    [LOG_ERROR] = "error", [LOG_SILENT] = "silent",
};

static _Atomic int log_level = LOG_INFO; /* the process's own, as stderr is */

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

int log_level_named(const char *name, enum log_level *out)
{
    for (int i = LOG_DEBUG; i <= LOG_SILENT; i++) {
        if (strcmp(LEVEL_NAMES[i], name) == 0) {
            *out = (enum log_level)i;
            return 1;
        }
    }
    return 0;
}

struct line {
    char text[LINE_BYTES];
    size_t used;
    bool full; /* something did not fit */
};

static void line_add(struct line *line, const char *text, size_t bytes)
{
    if (line->full || bytes > LINE_BYTES - TAIL_BYTES - line->used) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->used, text, bytes);
    line->used += bytes;
}

/* Bytes of the well-formed UTF-8 character at `text` (RFC 3629); 0: there is none. */
static size_t utf8_bytes(const unsigned char *text)
{
    static const struct {
        unsigned char first, last, low, high; /* of the first byte; of the second */
        unsigned char bytes;
    } forms[] = {
        {0x01, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (text[0] < forms[i].first || text[0] > forms[i].last)
            continue;
        if (forms[i].bytes > 1 && (text[1] < forms[i].low || text[1] > forms[i].high))
            return 0;
        for (size_t at = 2; at < forms[i].bytes; at++)
            if ((text[at] & 0xc0) != 0x80)
                return 0;
        return forms[i].bytes;
    }
    return 0;
}

/* One character of a JSON string: escaped where JSON asks for it, U+FFFD where it is not UTF-8. */
static size_t json_character(const unsigned char *text, char *out, size_t *written)
{
    size_t bytes = utf8_bytes(text);

    if (bytes == 0) {
        *written = (size_t)snprintf(out, 8, "\\ufffd");
        return 1;
    }
    if (text[0] == '"' || text[0] == '\\')
        *written = (size_t)snprintf(out, 8, "\\%c", text[0]);
    else if (text[0] < 0x20 || text[0] == 0x7f)
        *written = (size_t)snprintf(out, 8, "\\u%04x", text[0]);
    else
        memcpy(out, text, *written = bytes);
    return bytes;
}

static void line_text(struct line *line, const char *text)
{
    char quoted[TEXT_BYTES + 8] = "\"";
    size_t used = 1;
    const unsigned char *next = (const unsigned char *)text;

    while (*next && used < TEXT_BYTES - 8) {
        size_t written;
        next += json_character(next, quoted + used, &written);
        used += written;
    }
    used += (size_t)snprintf(quoted + used, 8, *next ? "...\"" : "\"");
    line_add(line, quoted, used);
}

static void line_value(struct line *line, const struct field *field)
{
    char text[32];

    if (field->kind == FIELD_TEXT) {
        line_text(line, field->text ? field->text : "");
    } else if (field->kind == FIELD_INT) {
        int bytes = snprintf(text, sizeof text, "%lld", (long long)field->integer);
        line_add(line, text, (size_t)bytes);
    } else if (isfinite(field->real)) {
        line_add(line, text, strlen(real_print(field->real, text)));
    } else { /* JSON has no such number */
        line_text(line, real_print(field->real, text));
    }
}

/* A field goes in whole or not at all, so that the line stays JSON. */
static void line_field(struct line *line, const struct field *field)
{
    size_t before = line->used;

    line_add(line, ",", before > 1);
    line_text(line, field->name);
    line_add(line, ":", 1);
    line_value(line, field);
    if (line->full)
        line->used = before;
}

static void line_write(const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t written = write(STDERR_FILENO, text, bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) /* nobody reads: a log must not stop the work */
            return;
        text += written;
        bytes -= (size_t)written;
    }
}

void log_fields(enum log_level level, const char *event, const struct field *fields, size_t count)
{
    struct line line = {.text = "{", .used = 1};
    char now[32];

    if ((int)level < atomic_load_explicit(&log_level, memory_order_relaxed) || level >= LOG_SILENT)
        return;
    clock_print(clock_wall_ns(), now);
    line_field(&line, &TEXT("ts", now));
    line_field(&line, &TEXT("level", LEVEL_NAMES[level]));
    line_field(&line, &TEXT("event", event));
    for (size_t i = 0; i < count && !line.full; i++)
        line_field(&line, &fields[i]);
    line.used +=
        (size_t)snprintf(line.text + line.used, TAIL_BYTES, line.full ? ",\"cut\":true}\n" : "}\n");
    line_write(line.text, line.used);
}
