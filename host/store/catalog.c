/* catalog.c - opening, closing, names, time and counts; see object.h and catalog.h. */
#include "host/store/catalog.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "host/base/clock.h"
#include "host/base/memory.h"
#include "host/jobs/ledger.h"

/* Models kept in memory between predictions: a sixteenth of the budget, 64 MiB at most. */
enum { LOADED_SHARE = 16 };
static const int64_t LOADED_BYTES_MOST = (int64_t)64 << 20;

enum status no_memory(struct error *error, const char *what, size_t bytes)
{
    return FAIL(error, OUT_OF_MEMORY, TEXT("what", what), INT("needed", bytes),
                INT("retry_ms", OUT_OF_MEMORY_RETRY_MS));
}

enum status name_check(const char *what, const char *name, struct error *error)
{
    static const char FIRST[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    static const char REST[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t bytes = strlen(name);

    if (bytes >= 1 && bytes <= NAME_BYTES_MAX && strspn(name, FIRST) >= 1 &&
        strspn(name, REST) == bytes)
        return STATUS_OK;
    return FAIL(error, OUT_OF_RANGE, TEXT("what", what), TEXT("value", name),
                TEXT("limit", "[a-z0-9][a-z0-9._-]{0,62}"));
}

bool random_name(const char *prefix, char *out, size_t bytes)
{
    uint64_t random[2];

    if (getrandom(random, sizeof random, 0) != sizeof random)
        return false;
    snprintf(out, bytes, "%s%016llx%016llx", prefix, (unsigned long long)random[0],
             (unsigned long long)random[1]);
    return true;
}

static int dataset_by_name(const void *key, const void *item)
{
    return strcmp(key, ((const struct dataset *)item)->name);
}

static int dataset_by_upload(const void *key, const void *item)
{
    return strcmp(key, ((const struct dataset *)item)->upload);
}

static int model_by_version(const void *key, const void *item)
{
    const struct stored_key *a = key;
    const struct model_row *b = &((const struct stored *)item)->row;
    int order = strcmp(a->name, b->name);

    return order ? order : (a->version > b->version) - (a->version < b->version);
}

enum status catalog_open(const char *state_folder, const struct limits *limits,
                         struct ledger *ledger, struct catalog **out, struct error *error)
{
    struct catalog *catalog = memory_zeroed(1, sizeof *catalog);
    enum status status;

    if (!catalog)
        return no_memory(error, "the catalog", sizeof *catalog);
    catalog->ledger = ledger;
    catalog->limits = *limits;
    catalog->loaded_bytes_most = ledger_budget(ledger) / LOADED_SHARE;
    if (catalog->loaded_bytes_most > LOADED_BYTES_MOST)
        catalog->loaded_bytes_most = LOADED_BYTES_MOST;
    catalog->datasets.compare = dataset_by_name;
    catalog->uploads.compare = dataset_by_upload;
    catalog->models.compare = model_by_version;
    pthread_mutex_init(&catalog->lock, NULL);
    pthread_mutex_init(&catalog->writer, NULL);
    pthread_cond_init(&catalog->changed, NULL);
    TRY(state_open(state_folder, &catalog->state, error));
    TRY(models_load(catalog, error));
    *out = catalog;
    return STATUS_OK;
out:
    catalog_close(&catalog);
    return status;
}

void catalog_close(struct catalog **catalog)
{
    struct catalog *it = *catalog;

    if (!it)
        return;
    while (it->datasets.count > 0) {
        struct dataset *dataset = it->datasets.item[it->datasets.count - 1];
        dataset_delete(it, dataset->name, NULL);
    }
    models_free(it);
    state_close(&it->state);
    index_deinit(&it->datasets);
    index_deinit(&it->uploads);
    pthread_cond_destroy(&it->changed);
    pthread_mutex_destroy(&it->lock);
    pthread_mutex_destroy(&it->writer);
    memory_free(it);
    *catalog = NULL;
}

void catalog_set_limits(struct catalog *catalog, const struct limits *limits)
{
    pthread_mutex_lock(&catalog->lock);
    catalog->limits = *limits;
    pthread_mutex_unlock(&catalog->lock);
}

void catalog_set_metrics(struct catalog *catalog, struct metrics *metrics)
{
    atomic_store(&catalog->metrics, metrics);
}

enum status catalog_room(struct catalog *catalog, struct error *error)
{
    int64_t count =
        (int64_t)(catalog->datasets.count + catalog->models.count) + catalog->models_pending;

    if (count < catalog->limits.objects)
        return STATUS_OK;
    return FAIL(error, QUOTA_OBJECTS, INT("count", count));
}

/* Under the lock: is its time over? A pin or an open stream keeps it, and counts as use. */
static bool dataset_idle(struct dataset *dataset, const struct limits *limits, int64_t now_ns)
{
    int64_t ttl_s = dataset->state == DATASET_SEALED ? dataset->ttl_s : limits->upload_idle_s;

    if (dataset_pins(dataset) > 0 || dataset->holders > 1)
        dataset->used_ns = now_ns;
    return now_ns - dataset->used_ns >= ttl_s * INT64_C(1000000000);
}

/* One that may go, or false. Deleting it takes the lock again, hence one at a time. */
static bool find_idle(struct catalog *catalog, int64_t now_ns, char name[64])
{
    bool found = false;

    pthread_mutex_lock(&catalog->lock);
    for (size_t i = 0; i < catalog->datasets.count && !found; i++) {
        struct dataset *dataset = catalog->datasets.item[i];
        found = dataset_idle(dataset, &catalog->limits, now_ns);
        if (found)
            memcpy(name, dataset->name, sizeof dataset->name);
    }
    pthread_mutex_unlock(&catalog->lock);
    return found;
}

void catalog_tick(struct catalog *catalog, int64_t now_ns)
{
    char name[64];

    while (find_idle(catalog, now_ns, name))
        dataset_delete(catalog, name, NULL);
}

void catalog_counts(struct catalog *catalog, struct catalog_counts *out)
{
    pthread_mutex_lock(&catalog->lock);
    *out = (struct catalog_counts){.datasets = (int64_t)catalog->datasets.count,
                                   .dataset_bytes = catalog->dataset_bytes,
                                   .models = (int64_t)catalog->models.count};
    pthread_mutex_unlock(&catalog->lock);
    out->upload_bytes_total = atomic_load(&catalog->upload_bytes_total);
    out->upload_crc_failures_total = atomic_load(&catalog->upload_crc_failures_total);
    out->storage_free_bytes = state_free_bytes(catalog->state);
}
