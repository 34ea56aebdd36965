/* request_ids.c - see request_ids.h. A table of chains, and a list in order of time for forgetting. */
#include "rpc/request_ids.h"

#include <pthread.h>
#include <string.h>

#include "host/base/checksum.h"
#include "host/base/memory.h"

enum { BUCKETS = 4096 };

struct entry {
    struct entry *next, *later; /* in its chain; by time */
    char id[64], made[64];
    uint8_t hash[32];
    int64_t made_ns;
};

struct request_ids {
    pthread_mutex_t lock; /* held from begin to end; a Create takes no lock of ours inside */
    struct entry *bucket[BUCKETS];
    struct entry *oldest, *newest;
    int64_t count;
};

struct request_ids *request_ids_new(void)
{
    struct request_ids *ids = memory_zeroed(1, sizeof *ids);

    if (ids)
        pthread_mutex_init(&ids->lock, NULL);
    return ids;
}

static struct entry **chain_of(struct request_ids *ids, const char *id)
{
    return &ids->bucket[crc32c(0, id, strlen(id)) % BUCKETS];
}

static void forget_oldest(struct request_ids *ids)
{
    struct entry *entry = ids->oldest, **link = chain_of(ids, entry->id);

    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    ids->oldest = entry->later;
    if (!ids->oldest)
        ids->newest = NULL;
    ids->count--;
    memory_free(entry);
}

void request_ids_free(struct request_ids **ids)
{
    if (!*ids)
        return;
    while ((*ids)->oldest)
        forget_oldest(*ids);
    pthread_mutex_destroy(&(*ids)->lock);
    memory_free(*ids);
    *ids = NULL;
}

enum status request_ids_begin(struct request_ids *ids, const struct limits *limits, const char *id,
                              const uint8_t hash[32], int64_t now_ns, char found[64],
                              struct error *error)
{
    struct entry *entry;

    pthread_mutex_lock(&ids->lock);
    while (ids->oldest && (ids->count >= limits->finished_jobs ||
                           now_ns - ids->oldest->made_ns >= limits->finished_job_s * 1000000000))
        forget_oldest(ids);
    entry = *chain_of(ids, id);
    while (entry && strcmp(entry->id, id) != 0)
        entry = entry->next;
    found[0] = '\0';
    if (!entry)
        return STATUS_OK;
    memcpy(found, entry->made, sizeof entry->made);
    if (memcmp(entry->hash, hash, sizeof entry->hash) == 0)
        return STATUS_OK;
    pthread_mutex_unlock(&ids->lock);
    return FAIL(error, REQUEST_ID_REUSED, TEXT("request_id", id));
}

void request_ids_end(struct request_ids *ids, const char *id, const uint8_t hash[32],
                     int64_t now_ns, const char *made)
{
    struct entry *entry = made ? memory_zeroed(1, sizeof *entry) : NULL;

    if (entry) {
        struct entry **chain = chain_of(ids, id);
        strncpy(entry->id, id, sizeof entry->id - 1);
        strncpy(entry->made, made, sizeof entry->made - 1);
        memcpy(entry->hash, hash, sizeof entry->hash);
        entry->made_ns = now_ns;
        entry->next = *chain;
        *chain = entry;
        if (ids->newest)
            ids->newest->later = entry;
        else
            ids->oldest = entry;
        ids->newest = entry;
        ids->count++;
    }
    pthread_mutex_unlock(&ids->lock);
}
