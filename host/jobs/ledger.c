/* ledger.c - see ledger.h. A few numbers under one lock. */
#include "host/jobs/ledger.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>

#include "host/base/memory.h"

/* What a refused caller is told to wait: bytes come back when a job ends or a dataset goes, and
 * both take about a second to notice. */
enum { LEDGER_RETRY_MS = 1000 };

struct ledger {
    pthread_mutex_t lock; /* guards all but `budget`; no other lock is taken under it */
    int64_t budget, reserved;
    struct device_bytes device[LEDGER_DEVICES];
};

struct ledger *ledger_new(int64_t budget_bytes)
{
    struct ledger *ledger = memory_zeroed(1, sizeof *ledger);

    if (!ledger)
        return NULL;
    pthread_mutex_init(&ledger->lock, NULL);
    ledger->budget = budget_bytes;
    return ledger;
}

void ledger_free(struct ledger **ledger)
{
    if (!*ledger)
        return;
    pthread_mutex_destroy(&(*ledger)->lock);
    memory_free(*ledger);
    *ledger = NULL;
}

enum status ledger_reserve_below(struct ledger *ledger, const char *what, int64_t bytes,
                                 int64_t most, struct error *error)
{
    assert(bytes >= 0);
    if (most > ledger->budget)
        most = ledger->budget;
    if (bytes > most)
        return FAIL(error, EXCEEDS_CAPACITY, TEXT("what", what), INT("needed", bytes),
                    INT("offered", most));
    pthread_mutex_lock(&ledger->lock);
    int64_t free = ledger->reserved < most ? most - ledger->reserved : 0;
    if (bytes <= free)
        ledger->reserved += bytes;
    pthread_mutex_unlock(&ledger->lock);
    if (bytes <= free)
        return STATUS_OK;
    return FAIL(error, MEMORY_PRESSURE, TEXT("what", what), INT("needed", bytes), INT("free", free),
                INT("budget", ledger->budget), INT("retry_ms", LEDGER_RETRY_MS));
}

enum status ledger_reserve(struct ledger *ledger, const char *what, int64_t bytes,
                           struct error *error)
{
    return ledger_reserve_below(ledger, what, bytes, ledger->budget, error);
}

void ledger_return(struct ledger *ledger, int64_t bytes)
{
    pthread_mutex_lock(&ledger->lock);
    assert(bytes >= 0 && bytes <= ledger->reserved);
    ledger->reserved -= bytes;
    pthread_mutex_unlock(&ledger->lock);
}

int64_t ledger_budget(const struct ledger *ledger)
{
    return ledger->budget;
}

int64_t ledger_reserved(struct ledger *ledger)
{
    pthread_mutex_lock(&ledger->lock);
    int64_t reserved = ledger->reserved;
    pthread_mutex_unlock(&ledger->lock);
    return reserved;
}

/* Of a device the words of its own budget, as the host's. */
static enum status device_short(const char *what, const struct need *need,
                                const struct device_bytes *device, struct error *error)
{
    bool pinned = need->device_bytes <= device->budget - device->reserved;
    int64_t needed = pinned ? need->pinned_bytes : need->device_bytes;
    int64_t budget = pinned ? device->pinned_budget : device->budget;
    int64_t reserved = pinned ? device->pinned_reserved : device->reserved;

    if (needed > budget)
        return FAIL(error, EXCEEDS_CAPACITY, TEXT("what", what), INT("needed", needed),
                    INT("offered", budget));
    return FAIL(error, MEMORY_PRESSURE, TEXT("what", what), INT("needed", needed),
                INT("free", budget - reserved), INT("budget", budget),
                INT("retry_ms", LEDGER_RETRY_MS));
}

enum status ledger_take(struct ledger *ledger, const char *what, const struct need *need,
                        struct error *error)
{
    struct device_bytes *device = &ledger->device[need->device];

    assert(need->bytes >= 0 && need->device_bytes >= 0 && need->pinned_bytes >= 0);
    pthread_mutex_lock(&ledger->lock);
    bool device_fits = need->device_bytes <= device->budget - device->reserved &&
                       need->pinned_bytes <= device->pinned_budget - device->pinned_reserved;
    bool fits = device_fits && need->bytes <= ledger->budget - ledger->reserved;
    if (fits) {
        ledger->reserved += need->bytes;
        device->reserved += need->device_bytes;
        device->pinned_reserved += need->pinned_bytes;
    }
    struct device_bytes seen = *device;
    int64_t free = ledger->budget - ledger->reserved;
    pthread_mutex_unlock(&ledger->lock);
    if (fits)
        return STATUS_OK;
    if (!device_fits)
        return device_short(what, need, &seen, error);
    if (need->bytes > ledger->budget)
        return FAIL(error, EXCEEDS_CAPACITY, TEXT("what", what), INT("needed", need->bytes),
                    INT("offered", ledger->budget));
    return FAIL(error, MEMORY_PRESSURE, TEXT("what", what), INT("needed", need->bytes),
                INT("free", free), INT("budget", ledger->budget), INT("retry_ms", LEDGER_RETRY_MS));
}

void ledger_give_back(struct ledger *ledger, struct need *need)
{
    struct device_bytes *device = &ledger->device[need->device];

    pthread_mutex_lock(&ledger->lock);
    assert(need->bytes <= ledger->reserved && need->device_bytes <= device->reserved &&
           need->pinned_bytes <= device->pinned_reserved);
    ledger->reserved -= need->bytes;
    device->reserved -= need->device_bytes;
    device->pinned_reserved -= need->pinned_bytes;
    pthread_mutex_unlock(&ledger->lock);
    *need = (struct need){.bytes = 0};
}

void ledger_offer(struct ledger *ledger, int device, int64_t bytes, int64_t pinned_bytes)
{
    pthread_mutex_lock(&ledger->lock);
    ledger->device[device].budget = bytes;
    ledger->device[device].pinned_budget = pinned_bytes;
    pthread_mutex_unlock(&ledger->lock);
}

void ledger_device(struct ledger *ledger, int device, struct device_bytes *out)
{
    pthread_mutex_lock(&ledger->lock);
    *out = ledger->device[device];
    pthread_mutex_unlock(&ledger->lock);
}
