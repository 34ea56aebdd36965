/* convert_out.c - views as messages: jobs and their results. A NULL anywhere means no memory, and the
 * whole message is given up. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "rpc/convert.h"
#include "rpc/names.h"

/* With arrays of 3 MiB these leave a reply under 4 MiB. */
enum { SIZES_MAX = 65536, HISTORY_MAX = 32768 };

static Google__Protobuf__DoubleValue *real_new(struct arena *arena, double value)
{
    Google__Protobuf__DoubleValue *out = NULL;

    if (!isnan(value))
        out = message_new(arena, &google__protobuf__double_value__descriptor);
    if (out)
        out->value = value;
    return out;
}

static bool texts_fill(struct arena *arena, const char *first, size_t step, int count, size_t *n,
                       char ***out)
{
    *out = array_new(arena, (size_t)count, sizeof **out);
    *n = 0;
    for (int i = 0; *out && i < count; i++) {
        (*out)[i] = arena_text(arena, first + (size_t)i * step);
        if (!(*out)[i])
            return false;
        ++*n;
    }
    return *out != NULL;
}

Bary__V1__Report *report_new(struct arena *arena, const struct report *report)
{
    Bary__V1__Report *out = message_new(arena, &bary__v1__report__descriptor);

    if (!out)
        return NULL;
    out->backend = arena_text(arena, report->backend);
    out->device = arena_text(arena, report->device);
    out->isa = arena_text(arena, report->isa);
    out->method = arena_text(arena, report->method);
    out->threads = report->threads;
    out->queue_ns = report->stage_ns[STAGE_QUEUE];
    out->upload_ns = report->stage_ns[STAGE_UPLOAD];
    out->prepare_ns = report->stage_ns[STAGE_PREPARE];
    out->compute_ns = report->stage_ns[STAGE_COMPUTE];
    out->store_ns = report->stage_ns[STAGE_STORE];
    out->serialize_ns = report->stage_ns[STAGE_SERIALIZE];
    out->bytes_reserved = report->bytes_reserved;
    if (!out->backend || !out->device || !out->isa || !out->method ||
        !texts_fill(arena, report->warning[0], sizeof report->warning[0], report->warnings,
                    &out->n_warnings, &out->warnings) ||
        !texts_fill(arena, report->fallback[0], sizeof report->fallback[0], report->fallbacks,
                    &out->n_fallbacks, &out->fallbacks))
        return NULL;
    return out;
}

static Bary__V1__Progress *progress_new(struct arena *arena, const struct job_view *view)
{
    const struct fit_progress *progress = &view->progress;
    Bary__V1__Progress *out = message_new(arena, &bary__v1__progress__descriptor);

    if (!out)
        return NULL;
    out->stage = (Bary__V1__FitStage)progress->stage;
    out->run = progress->run;
    out->n_init = progress->n_init;
    out->iteration = progress->round;
    out->max_iter = progress->max_iter;
    out->rows_done = progress->rows_done;
    out->rows = progress->rows;
    out->inertia = real_new(arena, progress->inertia);
    out->center_shift = real_new(arena, progress->shift);
    out->fraction = progress->fraction;
    out->rows_per_second = real_new(arena, view->rows_per_second);
    out->seconds_left = real_new(arena, view->seconds_left);
    if (progress->moved >= 0) {
        out->labels_moved = message_new(arena, &google__protobuf__int64_value__descriptor);
        if (out->labels_moved)
            out->labels_moved->value = progress->moved;
    }
    return out;
}

Bary__V1__JobError *job_error_new(struct arena *arena, const struct error *error)
{
    const struct status_row *row = status_row(error->status);
    Bary__V1__JobError *out = message_new(arena, &bary__v1__job_error__descriptor);
    char text[ERROR_TEXT_BYTES_MAX + 1];

    if (!out)
        return NULL;
    out->code = arena_text(arena, row->code);
    out->reason = arena_text(arena, row->name);
    out->message = arena_text(arena, error_message(error, text, sizeof text));
    out->metadata = array_new(arena, (size_t)error->count, sizeof *out->metadata);
    if (!out->code || !out->reason || !out->message || !out->metadata)
        return NULL;
    for (int i = 0; i < error->count; i++) {
        Bary__V1__JobError__MetadataEntry *entry =
            message_new(arena, &bary__v1__job_error__metadata_entry__descriptor);
        if (!entry)
            return NULL;
        entry->key = arena_text(arena, error->fields[i].name);
        entry->value = arena_text(arena, error->fields[i].value);
        if (!entry->key || !entry->value)
            return NULL;
        out->metadata[out->n_metadata++] = entry;
    }
    return out;
}

/* What fits into a message of 3 MiB, centers first; what does not is left out and said so. */
static bool fit_arrays(struct arena *arena, const struct kmeans_result *fit, bool wanted,
                       Bary__V1__FitResult *out)
{
    int64_t centers = fit->n_clusters * fit->columns * (int64_t)sizeof(double);
    int64_t labels = fit->rows * (int64_t)sizeof(int32_t);

    out->centers_omitted = centers > INLINE_BYTES_MAX;
    if (!out->centers_omitted)
        out->cluster_centers = matrix_new(arena, BARY__V1__DTYPE__DTYPE_F64, fit->n_clusters,
                                          fit->columns, fit->centers);
    out->labels_omitted =
        fit->labels && labels + (out->centers_omitted ? 0 : centers) > INLINE_BYTES_MAX;
    if (fit->labels && wanted && !out->labels_omitted)
        out->labels = matrix_new(arena, BARY__V1__DTYPE__DTYPE_I32, fit->rows, 0, fit->labels);
    out->sizes_omitted = fit->n_clusters > SIZES_MAX;
    if (!out->sizes_omitted) {
        out->sizes = fit->sizes;
        out->n_sizes = (size_t)fit->n_clusters;
    }
    return (out->centers_omitted || out->cluster_centers) &&
           (!fit->labels || out->labels_omitted || out->labels);
}

static Bary__V1__FitResult *fit_new(struct arena *arena, const struct principal *principal,
                                    const struct job_view *view)
{
    const struct job_result *result = view->result;
    const struct kmeans_result *fit = &result->fit;
    Bary__V1__FitResult *out = message_new(arena, &bary__v1__fit_result__descriptor);
    unsigned char *fingerprint = array_new(arena, sizeof fit->fingerprint, 1);
    char name[HANDLE_BYTES] = "";

    if (!out || !fingerprint || !fit_arrays(arena, fit, true, out))
        return NULL;
    if (result->model[0])
        name_print(principal, THING_MODEL, result->model, result->model_version, name);
    out->model = arena_text(arena, name);
    memcpy(fingerprint, &fit->fingerprint, sizeof fit->fingerprint);
    out->label_fingerprint = (ProtobufCBinaryData){sizeof fit->fingerprint, fingerprint};
    out->inertia = fit->inertia;
    out->n_iter = fit->n_iter;
    out->history_omitted = fit->history && fit->n_iter > HISTORY_MAX;
    out->history = fit->history;
    out->n_history = fit->history && !out->history_omitted ? (size_t)fit->n_iter : 0;
    out->stop = (Bary__V1__StopReason)fit->stop;
    out->random_state = fit->random_state;
    out->numerics_version = NUMERICS_VERSION;
    out->dtype =
        fit->number == NUMBER_F32 ? BARY__V1__DTYPE__DTYPE_F32 : BARY__V1__DTYPE__DTYPE_F64;
    out->rows = fit->rows;
    out->columns = fit->columns;
    out->n_clusters = fit->n_clusters;
    out->run = fit->run;
    out->n_init = fit->n_init;
    out->init = (Bary__V1__Init)fit->init;
    out->empty_clusters = fit->empty;
    out->rows_skipped = fit->skipped;
    return out->model ? out : NULL;
}

static Bary__V1__EvaluateResult *evaluate_new(struct arena *arena, const struct job_result *result)
{
    Bary__V1__EvaluateResult *out = message_new(arena, &bary__v1__evaluate_result__descriptor);

    if (!out)
        return NULL;
    out->inertia = result->inertia.inertia;
    out->rows = result->rows;
    out->sizes_omitted = result->n_clusters > SIZES_MAX;
    if (!out->sizes_omitted) {
        out->inertia_per_cluster = result->inertia.per_cluster;
        out->n_inertia_per_cluster = result->inertia.per_cluster ? (size_t)result->n_clusters : 0;
        out->sizes = result->inertia.sizes;
        out->n_sizes = result->inertia.sizes ? (size_t)result->n_clusters : 0;
    }
    return out;
}

static bool result_fill(struct arena *arena, const struct principal *principal,
                        const struct job_view *view, Bary__V1__Job *out)
{
    if (!view->result)
        return true;
    if (view->kind == JOB_FIT) {
        out->result_case = BARY__V1__JOB__RESULT_FIT;
        out->fit = fit_new(arena, principal, view);
        return out->fit != NULL;
    }
    if (view->kind == JOB_FIT_BATCH) {
        out->result_case = BARY__V1__JOB__RESULT_BATCH;
        out->batch = fit_batch_new(arena, view);
        return out->batch != NULL;
    }
    if (view->kind == JOB_EVALUATE) {
        out->result_case = BARY__V1__JOB__RESULT_EVALUATE;
        out->evaluate = evaluate_new(arena, view->result);
        return out->evaluate != NULL;
    }
    return true;
}

Bary__V1__Job *job_new_message(struct arena *arena, const struct principal *principal,
                               const struct job_view *view, bool results)
{
    Bary__V1__Job *out = message_new(arena, &bary__v1__job__descriptor);
    char name[HANDLE_BYTES];

    if (!out)
        return NULL;
    out->name = arena_text(arena, name_print(principal, THING_JOB, view->name, 0, name));
    out->dataset = arena_text(
        arena,
        view->dataset[0] ? name_print(principal, THING_DATASET, view->dataset, 0, name) : "");
    out->kind = (Bary__V1__JobKind)view->kind;
    out->state = (Bary__V1__JobState)view->state;
    out->sequence = view->sequence;
    out->queue_position = view->queue_position;
    out->progress = progress_new(arena, view);
    out->created = timestamp_new(arena, view->created_wall_ns);
    out->started = timestamp_new(arena, view->started_wall_ns);
    out->ended = timestamp_new(arena, view->ended_wall_ns);
    out->report = report_new(arena, &view->report);
    if (view->state == JOB_FAILED || view->state == JOB_CANCELLED)
        out->error = job_error_new(arena, &view->error);
    if (!out->name || !out->dataset || !out->progress || !out->report ||
        !texts_fill(arena, view->tags[0], sizeof view->tags[0], view->tag_count, &out->n_tags,
                    &out->tags) ||
        (results && !result_fill(arena, principal, view, out)))
        return NULL;
    return out;
}
