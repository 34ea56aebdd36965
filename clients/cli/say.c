/* say.c - sentences, numbers for people, exit statuses. */
#include "clients/cli/say.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int complain(int status, const char *format, ...)
{
    va_list list;

    fputs("bary: ", stderr);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    return status;
}

/* Reasons whose exit status is not that of their code. */
static const struct {
    const char *reason;
    int status;
} reason_exits[] = {
    {"STORAGE_FULL", EXIT_DISK},
    {"IO", EXIT_DISK},
    {"DAMAGED", EXIT_DISK},
    {"CHECKSUM", EXIT_GONE},
    {"BAD_CONFIG", EXIT_CONFIG},
    {"ADDRESS_IN_USE", EXIT_CONFIG},
    {"ADDRESS_REFUSED", EXIT_CONFIG},
    {"STATE_LOCKED", EXIT_CONFIG},
    {"STATE_UNWRITABLE", EXIT_CONFIG},
    {"NO_DEVICE", EXIT_GONE},
    {"RUNTIME_EXCEEDED", EXIT_USAGE},
    {"MESSAGE_SIZE", EXIT_USAGE},
    {"QUOTA_OBJECTS", EXIT_USAGE},
    {"EXCEEDS_CAPACITY", EXIT_GONE},
};

static const struct {
    const char *code;
    int status;
} code_exits[] = {
    {"CANCELLED", EXIT_INTERRUPTED},
    {"UNKNOWN", EXIT_BUG},
    {"INVALID_ARGUMENT", EXIT_USAGE},
    {"DEADLINE_EXCEEDED", EXIT_GONE},
    {"NOT_FOUND", EXIT_USAGE},
    {"ALREADY_EXISTS", EXIT_USAGE},
    {"PERMISSION_DENIED", EXIT_PERMISSION},
    {"UNAUTHENTICATED", EXIT_PERMISSION},
    {"RESOURCE_EXHAUSTED", EXIT_GONE},
    {"FAILED_PRECONDITION", EXIT_USAGE},
    {"ABORTED", EXIT_GONE},
    {"OUT_OF_RANGE", EXIT_USAGE},
    {"UNIMPLEMENTED", EXIT_GONE},
    {"INTERNAL", EXIT_BUG},
    {"UNAVAILABLE", EXIT_GONE},
    {"DATA_LOSS", EXIT_DISK},
};

int exit_of_error(const struct baryc_error *error)
{
    const char *code = baryc_code_name(error->code);

    for (size_t i = 0; i < sizeof reason_exits / sizeof reason_exits[0]; i++)
        if (strcmp(error->reason, reason_exits[i].reason) == 0)
            return reason_exits[i].status;
    for (size_t i = 0; i < sizeof code_exits / sizeof code_exits[0]; i++)
        if (strcmp(code, code_exits[i].code) == 0)
            return code_exits[i].status;
    return EXIT_BUG;
}

int complain_error(const struct baryc_error *error, bool json)
{
    if (json) {
        json_t *root = json_object(), *body = json_object(), *fields = json_object();
        json_object_set_new(body, "code", json_string(baryc_code_name(error->code)));
        json_object_set_new(body, "reason", json_string(error->reason));
        json_object_set_new(body, "message", json_string(error->message));
        for (int i = 0; i < error->fields; i++)
            json_object_set_new(fields, error->field[i].name, json_string(error->field[i].value));
        json_object_set_new(body, "metadata", fields);
        json_object_set_new(root, "error", body);
        json_dumpf(root, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(root);
    }
    return complain(exit_of_error(error), "%s", error->message);
}

const char *say_bytes(int64_t bytes, char text[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    int unit = 0;

    for (; value >= 1024 && unit < 5; unit++)
        value /= 1024;
    snprintf(text, 32, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

const char *say_time(int64_t ns, char text[32])
{
    double s = (double)ns * 1e-9;

    if (s < 1e-3)
        snprintf(text, 32, "%.0f us", s * 1e6);
    else if (s < 1)
        snprintf(text, 32, "%.1f ms", s * 1e3);
    else if (s < 120)
        snprintf(text, 32, "%.2f s", s);
    else
        snprintf(text, 32, "%.0f min %02.0f s", (double)(int64_t)(s / 60),
                 s - 60 * (double)(int64_t)(s / 60));
    return text;
}

const char *say_stamp(const Google__Protobuf__Timestamp *stamp, char text[32])
{
    time_t seconds = stamp ? (time_t)stamp->seconds : 0;
    struct tm parts;

    localtime_r(&seconds, &parts);
    strftime(text, 32, "%Y-%m-%d %H:%M:%S", &parts);
    return stamp ? text : "";
}
