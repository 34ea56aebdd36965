/* error.c - errors: out of a server's trailers, or our own by the rows of status.def. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clients/c/call.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"

enum { RETRY_OWN_MS = 200 };

static const char *const code_names[] = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};
enum { CODES = sizeof code_names / sizeof code_names[0] };

struct row {
    enum status status;
    const char *name, *code, *sentence;
    bool later;
};
enum { NEVER, LATER };
static const struct row rows[] = {
#define STATUS(name, number, code, retry, sentence) \
    {(enum status)(number), #name, #code, sentence, (retry) == LATER},
#include "proto/status.def"
#undef STATUS
};

const char *baryc_code_name(int code)
{
    return code >= 0 && code < CODES ? code_names[code] : "UNKNOWN";
}

int baryc_code_number(const char *name)
{
    for (int i = 0; i < CODES; i++)
        if (strcmp(code_names[i], name) == 0)
            return i;
    return -1;
}

const char *baryc_error_field(const struct baryc_error *error, const char *name)
{
    for (int i = 0; i < error->fields; i++)
        if (strcmp(error->field[i].name, name) == 0)
            return error->field[i].value;
    return NULL;
}

static void add_field(struct baryc_error *error, const char *name, const char *value)
{
    if (error->fields == BARYC_FIELDS_MAX)
        return;
    snprintf(error->field[error->fields].name, sizeof error->field[0].name, "%s", name);
    snprintf(error->field[error->fields].value, sizeof error->field[0].value, "%s", value);
    error->fields++;
}

static const struct row *row_of(enum status status)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].status == status)
            return &rows[i];
    return row_of(STATUS_BUG);
}

/* Writes `sentence` with its {words} replaced; a word without a value prints as '?'. */
static void fill_sentence(struct baryc_error *error, const char *sentence)
{
    size_t used = 0, room = sizeof error->message;

    while (*sentence && used + 1 < room) {
        const char *end = *sentence == '{' ? strchr(sentence, '}') : NULL;
        if (end) {
            char word[24];
            snprintf(word, sizeof word, "%.*s", (int)(end - sentence - 1), sentence + 1);
            const char *value = baryc_error_field(error, word);
            int wrote = snprintf(error->message + used, room - used, "%s", value ? value : "?");
            used = used + (size_t)wrote < room ? used + (size_t)wrote : room - 1;
            sentence = end + 1;
        } else {
            error->message[used++] = *sentence++;
        }
    }
    error->message[used] = 0;
}

int baryc_fail(struct baryc_error *error, enum status status, const char *const *words)
{
    const struct row *row = row_of(status);
    int code = baryc_code_number(row->code);

    if (!error)
        return code;
    *error = (struct baryc_error){.code = code, .retry_ms = row->later ? RETRY_OWN_MS : -1};
    snprintf(error->reason, sizeof error->reason, "%s", row->name);
    for (; words[0] && words[1]; words += 2)
        add_field(error, words[0], words[1]);
    fill_sentence(error, row->sentence);
    return code;
}

static void take_error_info(struct baryc_error *error, const ProtobufCBinaryData *value)
{
    Google__Rpc__ErrorInfo *info = google__rpc__error_info__unpack(NULL, value->len, value->data);

    if (!info)
        return;
    snprintf(error->reason, sizeof error->reason, "%s", info->reason);
    for (size_t i = 0; i < info->n_metadata; i++)
        add_field(error, info->metadata[i]->key, info->metadata[i]->value);
    google__rpc__error_info__free_unpacked(info, NULL);
}

static void take_retry_info(struct baryc_error *error, const ProtobufCBinaryData *value)
{
    Google__Rpc__RetryInfo *info = google__rpc__retry_info__unpack(NULL, value->len, value->data);

    if (!info)
        return;
    if (info->retry_delay && info->retry_delay->seconds >= 0 && info->retry_delay->seconds < 86400)
        error->retry_ms =
            info->retry_delay->seconds * 1000 + (info->retry_delay->nanos + 999999) / 1000000;
    google__rpc__retry_info__free_unpacked(info, NULL);
}

/* google.rpc.Status, whose details name the reason and the pause. */
static void take_details(struct baryc_error *error, const uint8_t *bytes, size_t count)
{
    static const struct {
        const char *type;
        void (*take)(struct baryc_error *, const ProtobufCBinaryData *);
    } known[] = {{"type.googleapis.com/google.rpc.ErrorInfo", take_error_info},
                 {"type.googleapis.com/google.rpc.RetryInfo", take_retry_info}};
    Google__Rpc__Status *status = google__rpc__status__unpack(NULL, count, bytes);

    if (!status)
        return;
    for (size_t i = 0; i < status->n_details; i++)
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
            if (strcmp(status->details[i]->type_url, known[k].type) == 0)
                known[k].take(error, &status->details[i]->value);
    google__rpc__status__free_unpacked(status, NULL);
}

/* gRPC core wraps the cause: "failed to connect to all addresses; last error: UNKNOWN:
 * ipv4:127.0.0.1:1: Failed to connect to remote host: Connection refused". People want the end. */
static const char *last_cause(const char *text)
{
    const char *cause = text;

    if (strncmp(text, "failed to connect", 17) != 0)
        return text;
    for (const char *at = text; (at = strstr(at, ": ")); at += 2)
        if (at[2])
            cause = at + 2;
    return cause;
}

/* What gRPC itself reports, in our words. */
static void explain_bare_code(struct baryc_error *error, const struct baryc_call *call)
{
    char text[1200], ms[24];

    snprintf(text, sizeof text, "%s", error->message);
    snprintf(ms, sizeof ms, "%" PRId64, call->timeout_ms);
    if (error->code == GRPC_STATUS_UNAVAILABLE)
        BARYC_FAIL(error, UNREACHABLE, "address", call->connection->address, "why",
                   last_cause(text));
    else if (error->code == GRPC_STATUS_DEADLINE_EXCEEDED)
        BARYC_FAIL(error, DEADLINE, "ms", ms);
    else if (error->code == GRPC_STATUS_CANCELLED && call->cancelled)
        BARYC_FAIL(error, CANCELLED, "why", "by the caller");
    else if (error->code == GRPC_STATUS_CANCELLED)
        BARYC_FAIL(error, UNREACHABLE, "address", call->connection->address, "why",
                   "the server ended while it was called");
    else if (error->message[0] == 0)
        snprintf(error->message, sizeof error->message, "the server answered %s",
                 baryc_code_name(error->code));
}

void baryc_error_decode(struct baryc_error *error, const struct baryc_call *call)
{
    *error = (struct baryc_error){.code = (int)call->code, .retry_ms = -1};
    snprintf(error->message, sizeof error->message, "%.*s", (int)GRPC_SLICE_LENGTH(call->details),
             (const char *)GRPC_SLICE_START_PTR(call->details));
    for (size_t i = 0; i < call->trailing.count; i++) {
        const grpc_metadata *entry = &call->trailing.metadata[i];
        if (grpc_slice_str_cmp(entry->key, "grpc-status-details-bin") == 0)
            take_details(error, GRPC_SLICE_START_PTR(entry->value),
                         GRPC_SLICE_LENGTH(entry->value));
    }
    if (error->reason[0] == 0)
        explain_bare_code(error, call);
}
