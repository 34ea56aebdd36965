/* dataset.c - datasets by name: made, found, listed, pinned, deleted. upload.c fills them, seal.c
 * turns them into tables. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "host/base/clock.h"
#include "host/base/memory.h"
#include "host/jobs/ledger.h"
#include "host/store/catalog.h"

/* Uploads may take 95 % of the budget: the rest stays for jobs, or nothing could be done with them. */
enum { UPLOADS_PERCENT = 95 };
static const int64_t TTL_MOST_S = 604800;

static const char *state_name(enum dataset_state state)
{
    static const char *const NAMES[] = {"", "OPEN", "SEALING", "SEALED", "DELETED"};

    return NAMES[state];
}

/* Everything but what the table owns. */
static void dataset_free(struct dataset *dataset)
{
    assert(!dataset->streams);
    table_unpin(&dataset->table);
    pages_free(dataset->region);
    if (dataset->reserved)
        ledger_return(dataset->catalog->ledger, dataset->reserved);
    layout_deinit(&dataset->layout);
    ranges_deinit(&dataset->held);
    pthread_mutex_destroy(&dataset->lock);
    pthread_cond_destroy(&dataset->written);
    memory_free(dataset->block_state);
    memory_free(dataset->digest);
    memory_free(dataset->column);
    memory_free(dataset);
}

void dataset_hold(struct dataset *dataset)
{
    dataset->holders++;
}

void dataset_drop(struct dataset **dataset)
{
    struct dataset *it = *dataset;

    if (!it)
        return;
    pthread_mutex_lock(&it->catalog->lock);
    bool last = --it->holders == 0;
    pthread_mutex_unlock(&it->catalog->lock);
    if (last)
        dataset_free(it);
    *dataset = NULL;
}

static enum status columns_copy(const struct column *from, int columns, struct column **out,
                                struct error *error)
{
    struct column *copy = memory_new((size_t)columns, sizeof *copy);

    if (!copy)
        return no_memory(error, "a schema", (size_t)columns * sizeof *copy);
    if (columns)
        memcpy(copy, from, (size_t)columns * sizeof *copy);
    *out = copy;
    return STATUS_OK;
}

int64_t dataset_pins(const struct dataset *dataset)
{
    return dataset->table ? __atomic_load_n(&dataset->table->pins, __ATOMIC_RELAXED) - 1 : 0;
}

enum status dataset_show(const struct dataset *dataset, struct dataset_view *out,
                         struct error *error)
{
    struct column *column = NULL;
    enum status status = columns_copy(dataset->column, dataset->columns, &column, error);

    if (status != STATUS_OK)
        return status;
    *out = (struct dataset_view){.state = dataset->state,
                                 .encoding = dataset->encoding,
                                 .columns = dataset->columns,
                                 .column = column,
                                 .rows = dataset->rows,
                                 .bytes = dataset->bytes,
                                 .pins = dataset_pins(dataset),
                                 .ttl_s = dataset->ttl_s,
                                 .created_wall_ns = dataset->created_wall_ns};
    memcpy(out->name, dataset->name, sizeof out->name);
    memcpy(out->upload, dataset->upload, sizeof out->upload);
    memcpy(out->content_hash, dataset->hash, sizeof out->content_hash);
    return STATUS_OK;
}

void dataset_view_free(struct dataset_view *view)
{
    memory_free(view->column);
    *view = (struct dataset_view){0};
}

static enum status create_check(const struct dataset_create *create, struct error *error)
{
    if (create->name && create->name[0]) {
        enum status status = name_check("the dataset's name", create->name, error);
        if (status != STATUS_OK)
            return status;
    }
    if (create->content_hash && create->content_hash[0] && !hash_text_valid(create->content_hash))
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "content_hash"),
                    TEXT("value", create->content_hash), TEXT("limit", "64 hex digits"));
    if (create->ttl_s < 0 || create->ttl_s > TTL_MOST_S)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "ttl"), INT("value", create->ttl_s),
                    TEXT("limit", "0 to 604800 s"));
    return STATUS_OK;
}

static enum status names_fill(struct dataset *dataset, const char *name, struct error *error)
{
    bool drawn = random_name("", dataset->upload, sizeof dataset->upload);

    if (name && name[0])
        snprintf(dataset->name, sizeof dataset->name, "%s", name);
    else
        drawn = drawn && random_name("dataset-", dataset->name, sizeof dataset->name);
    return drawn ? STATUS_OK
                 : FAIL(error, IO, TEXT("what", "draw a name"), TEXT("why", "no random bytes"));
}

/* Under the lock. */
static enum status insert_check(struct catalog *catalog, const char *name, struct error *error)
{
    if (index_find(&catalog->datasets, name))
        return FAIL(error, NAME_TAKEN, TEXT("what", "dataset"), TEXT("name", name));
    return catalog_room(catalog, error);
}

static enum status insert(struct catalog *catalog, struct dataset *dataset,
                          struct dataset_view *out, struct error *error)
{
    enum status status;

    pthread_mutex_lock(&catalog->lock);
    TRY(insert_check(catalog, dataset->name, error));
    if (!index_reserve(&catalog->datasets) || !index_reserve(&catalog->uploads))
        TRY(no_memory(error, "the catalog", sizeof(void *)));
    TRY(dataset_show(dataset, out, error));
    index_insert(&catalog->datasets, dataset->name, dataset);
    index_insert(&catalog->uploads, dataset->upload, dataset);
    catalog->dataset_bytes += dataset->bytes;
out:
    pthread_mutex_unlock(&catalog->lock);
    return status;
}

/* Bytes first, in the ledger, then the memory itself. */
static enum status dataset_reserve(struct dataset *dataset, struct error *error)
{
    struct ledger *ledger = dataset->catalog->ledger;
    const struct layout *layout = &dataset->layout;
    int64_t digests = layout->blocks * (DIGEST_BYTES + 1);
    char what[96];
    enum status status;

    snprintf(what, sizeof what, "dataset '%s'", dataset->name);
    TRY(ledger_reserve_below(ledger, what, layout->region_bytes + digests,
                             ledger_budget(ledger) / 100 * UPLOADS_PERCENT, error));
    dataset->reserved = layout->region_bytes + digests;
    dataset->region = pages_new((size_t)layout->region_bytes);
    dataset->block_state = memory_zeroed((size_t)layout->blocks, 1);
    dataset->digest = memory_new((size_t)layout->blocks, DIGEST_BYTES);
    if (!dataset->region || !dataset->block_state || !dataset->digest)
        TRY(no_memory(error, what, (size_t)dataset->reserved));
out:
    return status;
}

static struct dataset *dataset_new(struct catalog *catalog, const struct dataset_create *create)
{
    struct dataset *dataset = memory_zeroed(1, sizeof *dataset);

    if (!dataset)
        return NULL;
    dataset->catalog = catalog;
    dataset->encoding = create->encoding;
    dataset->holders = 1;
    dataset->state = DATASET_OPEN;
    dataset->created_wall_ns = clock_wall_ns();
    dataset->used_ns = clock_ns();
    snprintf(dataset->wanted_hash, sizeof dataset->wanted_hash, "%s",
             create->content_hash ? create->content_hash : "");
    pthread_mutex_init(&dataset->lock, NULL);
    pthread_cond_init(&dataset->written, NULL);
    return dataset;
}

static enum status dataset_describe(struct dataset *dataset, const struct dataset_create *create,
                                    struct error *error)
{
    enum status status;

    TRY(names_fill(dataset, create->name, error));
    TRY(layout_init(&dataset->layout, create, error));
    dataset->bytes = dataset->layout.bytes;
    if (create->encoding == ENCODING_BLOCKS) {
        TRY(columns_copy(create->column, create->columns, &dataset->column, error));
        dataset->columns = create->columns;
        dataset->rows = create->rows;
    }
    pthread_mutex_lock(&dataset->catalog->lock);
    dataset->ttl_s = create->ttl_s ? create->ttl_s : dataset->catalog->limits.dataset_ttl_s;
    status = insert_check(dataset->catalog, dataset->name, error); /* before memory is taken */
    pthread_mutex_unlock(&dataset->catalog->lock);
out:
    return status;
}

enum status dataset_create(struct catalog *catalog, const struct dataset_create *create,
                           struct dataset_view *out, struct error *error)
{
    struct dataset *dataset = NULL;
    enum status status;

    TRY(create_check(create, error));
    dataset = dataset_new(catalog, create);
    if (!dataset)
        TRY(no_memory(error, "a dataset", sizeof *dataset));
    TRY(dataset_describe(dataset, create, error));
    TRY(dataset_reserve(dataset, error));
    TRY(insert(catalog, dataset, out, error));
    return STATUS_OK; /* the index holds it now */
out:
    if (dataset)
        dataset_free(dataset);
    return status;
}

static enum status not_found(const char *name, struct error *error)
{
    return FAIL(error, DATASET_NOT_FOUND, TEXT("name", name));
}

enum status dataset_get(struct catalog *catalog, const char *name, struct dataset_view *out,
                        struct error *error)
{
    pthread_mutex_lock(&catalog->lock);
    struct dataset *dataset = index_find(&catalog->datasets, name);
    enum status status = dataset ? dataset_show(dataset, out, error) : not_found(name, error);
    pthread_mutex_unlock(&catalog->lock);
    return status;
}

enum status dataset_delete(struct catalog *catalog, const char *name, struct error *error)
{
    pthread_mutex_lock(&catalog->lock);
    struct dataset *dataset = index_remove(&catalog->datasets, name);
    if (dataset) {
        index_remove(&catalog->uploads, dataset->upload);
        catalog->dataset_bytes -= dataset->bytes;
        dataset->state = DATASET_DELETED;
    }
    pthread_mutex_unlock(&catalog->lock);
    if (!dataset)
        return not_found(name, error);
    dataset_drop(&dataset);
    return STATUS_OK;
}

enum status dataset_pin(struct catalog *catalog, const char *name, struct table **out,
                        struct error *error)
{
    enum status status = STATUS_OK;

    pthread_mutex_lock(&catalog->lock);
    struct dataset *dataset = index_find(&catalog->datasets, name);
    if (!dataset) {
        status = not_found(name, error);
    } else if (dataset->state != DATASET_SEALED) {
        status =
            FAIL(error, NOT_SEALED, TEXT("name", name), TEXT("state", state_name(dataset->state)));
    } else {
        dataset->used_ns = clock_ns();
        table_pin(dataset->table);
        *out = dataset->table;
    }
    pthread_mutex_unlock(&catalog->lock);
    return status;
}

void dataset_unpin(struct catalog *catalog, const char *name, struct table **table)
{
    if (!*table)
        return;
    pthread_mutex_lock(&catalog->lock);
    struct dataset *dataset = index_find(&catalog->datasets, name);
    if (dataset && dataset->table == *table) /* else the name is another's by now */
        dataset->used_ns = clock_ns();
    pthread_mutex_unlock(&catalog->lock);
    table_unpin(table); /* may be the last one: outside of the lock */
}

enum status dataset_list(struct catalog *catalog, const char *after, int most,
                         struct dataset_view *out, int *count, bool *more, struct error *error)
{
    enum status status = STATUS_OK;
    int written = 0;

    pthread_mutex_lock(&catalog->lock);
    size_t at = after && after[0] ? index_after(&catalog->datasets, after) : 0;
    for (; at < catalog->datasets.count && written < most && status == STATUS_OK; at++) {
        status = dataset_show(catalog->datasets.item[at], &out[written], error);
        written += status == STATUS_OK;
    }
    *more = at < catalog->datasets.count;
    pthread_mutex_unlock(&catalog->lock);
    while (status != STATUS_OK && written > 0)
        dataset_view_free(&out[--written]);
    *count = written;
    return status;
}
