/* models.c - models by name and version: kept, loaded, listed, deleted. Their bytes and rows are
 * state.c's; here is what is known of them in memory. */
#include <stdio.h>
#include <string.h>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/store/catalog.h"

static struct stored *stored_new(const struct model_row *row, bool lost)
{
    struct stored *stored = memory_zeroed(1, sizeof *stored);

    if (stored) {
        stored->row = *row;
        stored->lost = lost;
    }
    return stored;
}

static void stored_free(struct stored *stored)
{
    if (!stored)
        return;
    model_unpin(&stored->model);
    memory_free(stored);
}

static enum status load_row(void *context, const struct model_row *row, bool whole,
                            struct error *error)
{
    struct catalog *catalog = context;
    struct stored *stored = stored_new(row, !whole);

    if (!stored || !index_reserve(&catalog->models)) {
        stored_free(stored);
        return no_memory(error, "the catalog of models", sizeof *stored);
    }
    index_insert(&catalog->models, &(struct stored_key){stored->row.name, stored->row.version},
                 stored);
    if (!whole)
        LOG(LOG_ERROR, "model_lost", TEXT("model", row->name), INT("version", row->version),
            INT("bytes", row->bytes), TEXT("reason", "its file is missing or has another length"));
    return STATUS_OK;
}

enum status models_load(struct catalog *catalog, struct error *error)
{
    return state_models(catalog->state, load_row, catalog, error);
}

void models_free(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->models.count; i++)
        stored_free(catalog->models.item[i]);
    index_deinit(&catalog->models);
}

void model_view_free(struct model_view *view)
{
    model_unpin(&view->model);
    *view = (struct model_view){0};
}

static void show(const struct model_row *row, struct model_view *out)
{
    *out = (struct model_view){.version = row->version,
                               .bytes = row->bytes,
                               .created_wall_ns = row->created_wall_ns,
                               .n_clusters = row->n_clusters,
                               .columns = row->columns,
                               .rows = row->rows,
                               .n_iter = row->n_iter,
                               .number = (enum number)row->number,
                               .inertia = row->inertia};
    memcpy(out->name, row->name, sizeof out->name);
    memcpy(out->content_hash, row->sha256, sizeof out->content_hash);
}

static enum status not_found(const char *name, int64_t version, struct error *error)
{
    char text[96];

    snprintf(text, sizeof text, version ? "%s/versions/%lld" : "%s", name, (long long)version);
    return FAIL(error, MODEL_NOT_FOUND, TEXT("name", text));
}

/* Under the lock. version 0: the newest. */
static struct stored *stored_find(struct catalog *catalog, const char *name, int64_t version)
{
    struct stored_key key = {name, version ? version : INT64_MAX};

    if (version)
        return index_find(&catalog->models, &key);
    size_t after = index_after(&catalog->models, &key);
    struct stored *last = after > 0 ? catalog->models.item[after - 1] : NULL;
    return last && strcmp(last->row.name, name) == 0 ? last : NULL;
}

/* Under the lock: forgets models used longest ago until `bytes` more fit under the cap. */
static void loaded_shrink(struct catalog *catalog, int64_t bytes)
{
    while (catalog->loaded_bytes > 0 &&
           catalog->loaded_bytes + bytes > catalog->loaded_bytes_most) {
        struct stored *oldest = NULL;
        for (size_t i = 0; i < catalog->models.count; i++) {
            struct stored *stored = catalog->models.item[i];
            if (stored->model && (!oldest || stored->used_ns < oldest->used_ns))
                oldest = stored;
        }
        if (!oldest)
            return;
        catalog->loaded_bytes -= oldest->row.bytes;
        model_unpin(&oldest->model);
    }
}

/* Under the lock: keeps the model in memory if the cap allows it. */
static void loaded_keep(struct catalog *catalog, struct stored *stored, struct model *model)
{
    stored->used_ns = clock_ns();
    if (stored->model || stored->row.bytes > catalog->loaded_bytes_most)
        return;
    loaded_shrink(catalog, stored->row.bytes);
    model_pin(model);
    stored->model = model;
    catalog->loaded_bytes += stored->row.bytes;
}

/* What a write failed of, without a path of ours. */
static enum status write_failed(const char *name, enum status status, struct error *error)
{
    char what[96], why[ERROR_VALUE_BYTES];

    if ((status != STATUS_STORAGE_FULL && status != STATUS_IO && status != STATUS_FILE_NOT_FOUND) ||
        !error)
        return status;
    const char *said = error_value(error, "why");
    snprintf(why, sizeof why, "%s", said ? said : "the disk refused");
    snprintf(what, sizeof what, status == STATUS_STORAGE_FULL ? "model '%s'" : "write model '%s'",
             name);
    LOG(LOG_ERROR, "model_not_kept", TEXT("model", name), TEXT("reason", why));
    return status == STATUS_STORAGE_FULL
               ? FAIL(error, STORAGE_FULL, TEXT("what", what), TEXT("why", why))
               : FAIL(error, IO, TEXT("what", what), TEXT("why", why));
}

/* Writes file and row; blocks. */
static enum status model_store(struct catalog *catalog, const char *name, const struct model *model,
                               struct model_row *row, struct error *error)
{
    unsigned char digest[DIGEST_BYTES];
    void *bytes = NULL;
    size_t count = 0;
    enum status status;

    *row = (struct model_row){.created_wall_ns = clock_wall_ns(),
                              .n_clusters = model->n_clusters,
                              .columns = model->columns,
                              .rows = model->rows,
                              .n_iter = model->n_iter,
                              .number = (int)model->number,
                              .inertia = model->inertia};
    snprintf(row->name, sizeof row->name, "%s", name);
    TRY(model_encode(model, &bytes, &count, error));
    if (!hash_bytes(bytes, count, digest))
        TRY(no_memory(error, "a model's hash", 0));
    hash_print(digest, row->sha256);
    row->bytes = (int64_t)count;
    int64_t begun = clock_ns();
    TRY(state_model_add(catalog->state, row, bytes, count, error));
    metric_observe(atomic_load(&catalog->metrics), METRIC_fsync_seconds, "",
                   (double)(clock_ns() - begun) * 1e-9);
out:
    memory_free(bytes);
    return status == STATUS_OK ? status : write_failed(name, status, error);
}

/* Room in quota and index, before anything is written. */
static enum status pending_begin(struct catalog *catalog, struct error *error)
{
    pthread_mutex_lock(&catalog->lock);
    enum status status = catalog_room(catalog, error);
    if (status == STATUS_OK)
        catalog->models_pending++;
    pthread_mutex_unlock(&catalog->lock);
    return status;
}

/* The row is durable: whatever happens here, it must become visible. */
static void pending_end(struct catalog *catalog, struct stored *stored, struct model *model)
{
    pthread_mutex_lock(&catalog->lock);
    catalog->models_pending--;
    if (stored) {
        index_insert(&catalog->models, &(struct stored_key){stored->row.name, stored->row.version},
                     stored);
        loaded_keep(catalog, stored, model);
    }
    pthread_mutex_unlock(&catalog->lock);
}

/* Under the writer's lock: no other model is added meanwhile. */
static enum status keep(struct catalog *catalog, const char *name, struct model *model,
                        struct model_row *row, struct error *error)
{
    struct stored *stored = stored_new(row, false);
    enum status status;

    pthread_mutex_lock(&catalog->lock);
    bool room = stored && index_reserve(&catalog->models);
    pthread_mutex_unlock(&catalog->lock);
    status = room ? model_store(catalog, name, model, row, error)
                  : no_memory(error, "the catalog of models", sizeof *stored);
    if (status != STATUS_OK) {
        stored_free(stored);
        stored = NULL;
    } else {
        stored->row = *row;
    }
    pending_end(catalog, stored, model);
    return status;
}

enum status model_keep(struct catalog *catalog, const char *name, struct model *model,
                       struct model_view *out, struct error *error)
{
    struct model_row row = {0};
    enum status status;

    TRY(name_check("the model's name", name, error));
    pthread_mutex_lock(&catalog->writer);
    status = pending_begin(catalog, error);
    if (status == STATUS_OK)
        status = keep(catalog, name, model, &row, error);
    pthread_mutex_unlock(&catalog->writer);
    if (status != STATUS_OK)
        goto out;
    show(&row, out);
    model_pin(model);
    out->model = model;
out:
    return status;
}

static enum status lost(const struct model_row *row, struct error *error)
{
    char what[128];

    snprintf(what, sizeof what, "model '%s' version %lld", row->name, (long long)row->version);
    return FAIL(error, DAMAGED, TEXT("what", what), INT("byte", 0),
                TEXT("why", "its file was missing or short when the server started"));
}

static enum status content_check(const struct model_row *row, const void *bytes,
                                 struct error *error)
{
    unsigned char digest[DIGEST_BYTES];
    char text[DIGEST_TEXT_BYTES], what[128];

    if (!hash_bytes(bytes, (size_t)row->bytes, digest))
        return no_memory(error, "a model's hash", 0);
    hash_print(digest, text);
    if (hash_text_equal(text, row->sha256))
        return STATUS_OK;
    snprintf(what, sizeof what, "model '%s' version %lld", row->name, (long long)row->version);
    return FAIL(error, DAMAGED, TEXT("what", what), INT("byte", 0),
                TEXT("why", "its bytes have another SHA-256 than when they were stored"));
}

/* The model from its file; blocks. model_decode names the byte of a bad block, the hash covers the rest. */
static enum status model_read(struct catalog *catalog, const struct model_row *row,
                              struct model **out, struct error *error)
{
    char what[128];
    void *bytes = NULL;
    struct model *model = NULL;
    enum status status;

    snprintf(what, sizeof what, "model '%s' version %lld", row->name, (long long)row->version);
    TRY(state_model_read(catalog->state, row, &bytes, error));
    TRY(model_decode(what, bytes, (size_t)row->bytes, &model, error));
    TRY(content_check(row, bytes, error));
    *out = model;
    model = NULL;
out:
    model_unpin(&model);
    memory_free(bytes);
    if (status == STATUS_DAMAGED)
        LOG(LOG_ERROR, "model_damaged", TEXT("model", row->name), INT("version", row->version));
    return status;
}

enum status model_get(struct catalog *catalog, const char *name, int64_t version,
                      struct model_view *out, struct error *error)
{
    struct model_row row = {0};
    struct model *model = NULL;
    enum status status = STATUS_OK;

    pthread_mutex_lock(&catalog->lock);
    struct stored *stored = stored_find(catalog, name, version);
    if (!stored) {
        status = not_found(name, version, error);
    } else if (stored->lost) {
        status = lost(&stored->row, error);
    } else {
        row = stored->row;
        model = stored->model;
        stored->used_ns = clock_ns();
        if (model)
            model_pin(model);
    }
    pthread_mutex_unlock(&catalog->lock);
    if (status == STATUS_OK && !model) {
        TRY(model_read(catalog, &row, &model, error));
        pthread_mutex_lock(&catalog->lock);
        stored =
            stored_find(catalog, row.name, row.version); /* it may have been deleted meanwhile */
        if (stored)
            loaded_keep(catalog, stored, model);
        pthread_mutex_unlock(&catalog->lock);
    }
    if (status == STATUS_OK) {
        show(&row, out);
        out->model = model;
    }
out:
    return status;
}

/* Takes one version (0: the newest) out of the catalog. False: none is left. */
static bool stored_take(struct catalog *catalog, const char *name, int64_t version, char file[40])
{
    pthread_mutex_lock(&catalog->lock);
    struct stored *stored = stored_find(catalog, name, version);
    if (stored) {
        index_remove(&catalog->models, &(struct stored_key){name, stored->row.version});
        if (stored->model)
            catalog->loaded_bytes -= stored->row.bytes;
        memcpy(file, stored->row.file, sizeof stored->row.file);
    }
    pthread_mutex_unlock(&catalog->lock);
    bool found = stored != NULL;
    stored_free(stored);
    return found;
}

/* Under the writer's lock: rows first, durably, then what is known of them, then the files. */
static enum status delete (struct catalog *catalog, const char *name, int64_t version,
                           struct error *error) {
    char file[40]; enum status status;

    pthread_mutex_lock(&catalog->lock); bool found = stored_find(catalog, name, version) != NULL;
    pthread_mutex_unlock(&catalog->lock); if (!found) return not_found(name, version, error);
    status = state_model_remove(catalog->state, name, version, error);
    if (status != STATUS_OK) return write_failed(name, status, error);
    while (stored_take(catalog, name, version, file)){state_file_remove(catalog->state, file);
                                                      if (version) break;}
return STATUS_OK;
}

enum status model_delete(struct catalog *catalog, const char *name, int64_t version,
                         struct error *error)
{
    pthread_mutex_lock(&catalog->writer);
    enum status status = delete (catalog, name, version, error);
    pthread_mutex_unlock(&catalog->writer);
    return status;
}

enum status model_list(struct catalog *catalog, const char *after_name, int64_t after_version,
                       int most, struct model_view *out, int *count, bool *more,
                       struct error *error)
{
    int written = 0;

    (void)error;
    pthread_mutex_lock(&catalog->lock);
    size_t at = after_name && after_name[0]
                    ? index_after(&catalog->models, &(struct stored_key){after_name, after_version})
                    : 0;
    for (; at < catalog->models.count && written < most; at++)
        show(&((struct stored *)catalog->models.item[at])->row, &out[written++]);
    *more = at < catalog->models.count;
    pthread_mutex_unlock(&catalog->lock);
    *count = written;
    return STATUS_OK;
}
