/* ledger.c - see ledger.h. One number under one lock. */
#include "host/jobs/ledger.h"

#include <assert.h>
#include <pthread.h>

#include "host/base/memory.h"

/* What a refused caller is told to wait: bytes come back when a job ends or a dataset goes, and
 * both take about a second to notice. */
enum { LEDGER_RETRY_MS = 1000 };

struct ledger {
    pthread_mutex_t lock; /* guards `reserved`; no other lock is taken under it */
    int64_t budget, reserved;
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
