/* trailer.c - see trailer.h. Messages are built on the stack: an error must not need memory. */
#include "rpc/trailer.h"

#include <stdlib.h>
#include <string.h>

#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"

enum { DETAILS_MAX = 3, PUSHBACK_DEFAULT_MS = 1000, CODE_INVALID_ARGUMENT = 3, CODE_EXHAUSTED = 8 };

/* The details so far, each packed into `bytes`, one after the other. */
struct details {
    Google__Protobuf__Any any[DETAILS_MAX], *list[DETAILS_MAX];
    size_t count, used;
    unsigned char bytes[2 * DETAILS_BYTES_MAX];
};

static void details_add(struct details *details, const char *url, const ProtobufCMessage *message)
{
    size_t bytes = protobuf_c_message_get_packed_size(message);
    Google__Protobuf__Any *any = &details->any[details->count];

    if (bytes > sizeof details->bytes - details->used)
        return;
    google__protobuf__any__init(any);
    any->type_url = (char *)(uintptr_t)url;
    any->value.data = details->bytes + details->used;
    any->value.len = protobuf_c_message_pack(message, any->value.data);
    details->list[details->count++] = any;
    details->used += bytes;
}

static void details_add_info(struct details *details, const struct error *error,
                             const struct status_row *row)
{
    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    Google__Rpc__ErrorInfo__MetadataEntry entry[ERROR_FIELDS_MAX], *list[ERROR_FIELDS_MAX];

    for (int i = 0; i < error->count; i++) {
        google__rpc__error_info__metadata_entry__init(&entry[i]);
        entry[i].key = (char *)(uintptr_t)error->fields[i].name;
        entry[i].value = (char *)(uintptr_t)error->fields[i].value;
        list[i] = &entry[i];
    }
    info.reason = (char *)(uintptr_t)row->name;
    info.domain = (char *)(uintptr_t) "bary";
    info.n_metadata = (size_t)error->count;
    info.metadata = list;
    details_add(details, "type.googleapis.com/google.rpc.ErrorInfo", &info.base);
}

static void details_add_retry(struct details *details, int64_t ms)
{
    Google__Rpc__RetryInfo retry = GOOGLE__RPC__RETRY_INFO__INIT;
    Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;

    delay.seconds = ms / 1000;
    delay.nanos = (int32_t)(ms % 1000 * 1000000);
    retry.retry_delay = &delay;
    details_add(details, "type.googleapis.com/google.rpc.RetryInfo", &retry.base);
}

static void details_add_field(struct details *details, const char *field, const char *text)
{
    Google__Rpc__BadRequest bad = GOOGLE__RPC__BAD_REQUEST__INIT;
    Google__Rpc__BadRequest__FieldViolation violation =
        GOOGLE__RPC__BAD_REQUEST__FIELD_VIOLATION__INIT;
    Google__Rpc__BadRequest__FieldViolation *list[] = {&violation};

    violation.field = (char *)(uintptr_t)field;
    violation.description = (char *)(uintptr_t)text;
    bad.n_field_violations = 1;
    bad.field_violations = list;
    details_add(details, "type.googleapis.com/google.rpc.BadRequest", &bad.base);
}

static void details_add_quota(struct details *details, const char *subject, const char *text)
{
    Google__Rpc__QuotaFailure quota = GOOGLE__RPC__QUOTA_FAILURE__INIT;
    Google__Rpc__QuotaFailure__Violation violation = GOOGLE__RPC__QUOTA_FAILURE__VIOLATION__INIT;
    Google__Rpc__QuotaFailure__Violation *list[] = {&violation};

    violation.subject = (char *)(uintptr_t)subject;
    violation.description = (char *)(uintptr_t)text;
    quota.n_violations = 1;
    quota.violations = list;
    details_add(details, "type.googleapis.com/google.rpc.QuotaFailure", &quota.base);
}

/* The field or the counted thing that an error is about; NULL where there is none. */
static const char *subject_of(const struct error *error, const char *first, const char *second)
{
    const char *value = error_value(error, first);

    return value ? value : error_value(error, second);
}

static void details_fill(struct details *details, const struct error *error,
                         const struct status_row *row, const struct trailer *trailer)
{
    const char *what = subject_of(error, "what", "name");
    const char *counted = subject_of(error, "queue", "what");

    details_add_info(details, error, row);
    if (row->retry_later)
        details_add_retry(details, trailer->pushback_ms);
    if (row->code_number == CODE_INVALID_ARGUMENT && what)
        details_add_field(details, what, trailer->text);
    if (row->code_number == CODE_EXHAUSTED && row->status != STATUS_MESSAGE_SIZE)
        details_add_quota(details, counted ? counted : row->name, trailer->text);
}

static int64_t pushback_of(const struct error *error, const struct status_row *row)
{
    const char *value = error_value(error, "retry_ms");
    long long ms = value ? strtoll(value, NULL, 10) : PUSHBACK_DEFAULT_MS;

    if (!row->retry_later)
        return -1;
    return ms < 0 ? 0 : ms;
}

void trailer_make(const struct error *error, struct trailer *out)
{
    const struct status_row *row = status_row(error->status);
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    struct details details;

    out->code = row->code_number;
    out->pushback_ms = pushback_of(error, row);
    error_message(error, out->text, sizeof out->text);
    details.count = details.used = 0;
    details_fill(&details, error, row, out);
    status.code = row->code_number;
    status.message = out->text;
    status.details = details.list;
    status.n_details = details.count;
    /* The last detail repeats the text; it goes first where room is short, ErrorInfo never. */
    while (status.n_details > 1 &&
           google__rpc__status__get_packed_size(&status) > sizeof out->details)
        status.n_details--;
    out->details_bytes = google__rpc__status__get_packed_size(&status) <= sizeof out->details
                             ? google__rpc__status__pack(&status, out->details)
                             : 0;
}
