/* rpc_words.c - handles, page tokens, ids; and an error as its reader gets it. */
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "rpc/names.h"
#include "rpc/request_ids.h"
#include "rpc/trailer.h"
#include "tests/check.h"

static void handles_are_bare_or_full(struct check *check)
{
    static const struct {
        const char *given, *id;
        int64_t version;
    } rows[] = {
        {"m", "m", 0},
        {"m/versions/3", "m", 3},
        {"namespaces/default/models/m", "m", 0},
        {"namespaces/default/models/m/versions/12", "m", 12},
        {"namespaces/other/models/m", NULL, 0},
        {"namespaces/default/datasets/m", NULL, 0},
        {"namespaces/default/models/", NULL, 0},
        {"namespaces/default", NULL, 0},
        {"m/versions/0", NULL, 0},
        {"m/versions/-1", NULL, 0},
        {"m/versions/99999999999999999999", NULL, 0},
        {"m/versions/3x", NULL, 0},
        {"m/3", NULL, 0},
        {"/m", NULL, 0},
        {"0123456789012345678901234567890123456789012345678901234567890123", NULL, 0},
    };
    const struct principal local = principal_local();

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char id[64] = "untouched";
        int64_t version = -1;
        struct error error;
        enum status status = name_parse(&local, THING_MODEL, rows[i].given, id, &version, &error);
        check_note(check, "%s", rows[i].given);
        check_equal_i64(check, status, rows[i].id ? STATUS_OK : STATUS_MODEL_NOT_FOUND);
        check_equal_text(check, id, rows[i].id ? rows[i].id : "untouched");
        check_equal_i64(check, version, rows[i].id ? rows[i].version : -1);
        if (status != STATUS_OK)
            check_equal_text(check, error_value(&error, "name"), rows[i].given);
    }
    char id[64];
    check_equal_i64(check, name_parse(&local, THING_JOB, "", id, NULL, NULL), STATUS_MISSING);
    check_equal_i64(check, name_parse(&local, THING_JOB, "j/versions/1", id, NULL, NULL),
                    STATUS_JOB_NOT_FOUND);
}

static void a_page_token_is_for_its_list_alone(struct check *check)
{
    const struct principal local = principal_local();
    char token[TOKEN_BYTES], place[TOKEN_PLACE_BYTES];

    token_print(&local, "datasets", "iris", token);
    check_equal_i64(check, token_parse(&local, "datasets", token, place, NULL), STATUS_OK);
    check_equal_text(check, place, "iris");
    check_equal_i64(check, token_parse(&local, "models", token, place, NULL), STATUS_MALFORMED);
    check_equal_i64(check, token_parse(&local, "datasets", "", place, NULL), STATUS_OK);
    check_equal_text(check, place, "");
    for (size_t i = 0; token[i]; i++) {
        char before = token[i];
        token[i] = before == '0' ? '1' : '0';
        check_note(check, "digit %zu", i);
        check_equal_i64(check, token_parse(&local, "datasets", token, place, NULL),
                        STATUS_MALFORMED);
        token[i] = before;
    }
}

static void a_request_id_is_a_uuid(struct check *check)
{
    char id[64];

    check_equal_i64(check, request_id_check("", id, NULL), STATUS_OK);
    check_equal_i64(check, request_id_check("2f1c1e1c-6f0e-4b1d-8a3a-0A0B0C0D0E0F", id, NULL),
                    STATUS_OK);
    check_equal_i64(check, request_id_check("2f1c1e1c-6f0e-4b1d-8a3a-0a0b0c0d0e0", id, NULL),
                    STATUS_MALFORMED);
    check_equal_i64(check, request_id_check("2f1c1e1c-6f0e-4b1d-8a3a-0a0b0c0d0e0ff", id, NULL),
                    STATUS_MALFORMED);
    check_equal_i64(check, request_id_check("2f1c1e1c06f0e-4b1d-8a3a-0a0b0c0d0e0f", id, NULL),
                    STATUS_MALFORMED);
}

static void a_request_id_is_remembered_for_its_time(struct check *check)
{
    struct request_ids *ids = request_ids_new();
    struct limits limits = {.finished_job_s = 10, .finished_jobs = 2};
    const uint8_t one[32] = {1}, two[32] = {2};
    char found[64];

    check_equal_i64(check, request_ids_begin(ids, &limits, "a", one, 0, found, NULL), STATUS_OK);
    check_equal_text(check, found, "");
    request_ids_end(ids, "a", one, 0, "iris");
    check_equal_i64(check, request_ids_begin(ids, &limits, "a", one, 5, found, NULL), STATUS_OK);
    check_equal_text(check, found, "iris");
    request_ids_end(ids, "a", one, 5, NULL);
    check_equal_i64(check, request_ids_begin(ids, &limits, "a", two, 5, found, NULL),
                    STATUS_REQUEST_ID_REUSED);
    check_equal_i64(check,
                    request_ids_begin(ids, &limits, "a", two, INT64_C(10000000000), found, NULL),
                    STATUS_OK);
    check_equal_text(check, found, "");
    request_ids_end(ids, "a", two, INT64_C(10000000000), NULL);
    request_ids_free(&ids);
}

/* The details of a trailer, read back. */
static Google__Rpc__Status *details_of(const struct trailer *trailer)
{
    return google__rpc__status__unpack(NULL, trailer->details_bytes, trailer->details);
}

static const char *type_of(const Google__Rpc__Status *status, size_t index)
{
    return index < status->n_details ? strrchr(status->details[index]->type_url, '.') + 1 : "none";
}

static void an_error_carries_its_words_and_numbers(struct check *check)
{
    struct error error;
    struct trailer trailer;

    FAIL(&error, QUEUE_FULL, TEXT("queue", "job"), INT("jobs", 64), INT("retry_ms", 1500));
    trailer_make(&error, &trailer);
    check_equal_i64(check, trailer.code, 8);
    check_equal_i64(check, trailer.pushback_ms, 1500);
    check_equal_text(check, trailer.text,
                     "the job queue holds 64 requests, its limit; try again in 1500 ms");
    Google__Rpc__Status *status = details_of(&trailer);
    check_equal_text(check, status->message, trailer.text);
    check_equal_text(check, type_of(status, 0), "ErrorInfo");
    check_equal_text(check, type_of(status, 1), "RetryInfo");
    check_equal_text(check, type_of(status, 2), "QuotaFailure");
    check_equal_u64(check, status->n_details, 3);
    Google__Rpc__ErrorInfo *info = google__rpc__error_info__unpack(
        NULL, status->details[0]->value.len, status->details[0]->value.data);
    check_equal_text(check, info->reason, "QUEUE_FULL");
    check_equal_text(check, info->domain, "bary");
    check_equal_u64(check, info->n_metadata, 3);
    check_equal_text(check, info->metadata[1]->key, "jobs");
    check_equal_text(check, info->metadata[1]->value, "64");
    google__rpc__error_info__free_unpacked(info, NULL);
    google__rpc__status__free_unpacked(status, NULL);
}

static void a_mistake_names_its_field_and_asks_for_no_retry(struct check *check)
{
    struct error error;
    struct trailer trailer;

    FAIL(&error, OUT_OF_RANGE, TEXT("what", "n_clusters"), INT("value", 0),
         TEXT("limit", "1 to 8"));
    trailer_make(&error, &trailer);
    check_equal_i64(check, trailer.pushback_ms, -1);
    Google__Rpc__Status *status = details_of(&trailer);
    check_equal_text(check, type_of(status, 1), "BadRequest");
    check_equal_u64(check, status->n_details, 2);
    google__rpc__status__free_unpacked(status, NULL);
}

static void the_largest_error_still_fits_its_trailer(struct check *check)
{
    static const char *const names[] = {"what", "count", "value", "row", "column", "f", "g", "h"};
    char text[ERROR_VALUE_BYTES];
    struct field fields[ERROR_FIELDS_MAX];
    struct error error;
    struct trailer trailer;

    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < ERROR_FIELDS_MAX; i++)
        fields[i] = TEXT(names[i], text);
    error_set(&error, STATUS_NON_FINITE, fields, ERROR_FIELDS_MAX);
    trailer_make(&error, &trailer);
    check_true(check, strlen(trailer.text) <= ERROR_TEXT_BYTES_MAX);
    check_true(check, trailer.details_bytes > 0 && trailer.details_bytes <= DETAILS_BYTES_MAX);
    Google__Rpc__Status *status = details_of(&trailer);
    check_equal_text(check, type_of(status, 0), "ErrorInfo");
    google__rpc__status__free_unpacked(status, NULL);
}

CHECKS(CLAIM(handles_are_bare_or_full), CLAIM(a_page_token_is_for_its_list_alone),
       CLAIM(a_request_id_is_a_uuid), CLAIM(a_request_id_is_remembered_for_its_time),
       CLAIM(an_error_carries_its_words_and_numbers),
       CLAIM(a_mistake_names_its_field_and_asks_for_no_retry),
       CLAIM(the_largest_error_still_fits_its_trailer))
