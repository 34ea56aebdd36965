/* strand.c - see strand.h. */
#include "rpc/strand.h"

#include <string.h>

#include "host/base/memory.h"

enum { THREADS_MAX = 64 };

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t posted;
    struct strand *first, *last;
    bool stopping;
    int threads;
    pthread_t thread[THREADS_MAX];
};

static unsigned strand_take(struct strand *strand)
{
    unsigned step;

    pthread_mutex_lock(&strand->lock);
    step = strand->waiting & -strand->waiting;
    strand->waiting &= ~step;
    pthread_mutex_unlock(&strand->lock);
    return step;
}

/* True: nothing waits, and whoever posts next starts anew. */
static bool strand_rest(struct strand *strand)
{
    bool rest;

    pthread_mutex_lock(&strand->lock);
    rest = strand->waiting == 0;
    if (rest)
        strand->running = false;
    pthread_mutex_unlock(&strand->lock);
    return rest;
}

/* Each step may give back the owner's last reference; one is held by `running` itself (step 0). */
static void strand_run(struct strand *strand)
{
    do {
        unsigned step;
        while ((step = strand_take(strand)) != 0)
            strand->run(strand, step);
    } while (!strand_rest(strand));
    strand->run(strand, 0);
}

/* False: the pool has stopped. */
static bool pool_push(struct pool *pool, struct strand *strand)
{
    bool stopped;

    strand->next = NULL;
    pthread_mutex_lock(&pool->lock);
    stopped = pool->stopping;
    if (!stopped) {
        if (pool->last)
            pool->last->next = strand;
        else
            pool->first = strand;
        pool->last = strand;
        pthread_cond_signal(&pool->posted);
    }
    pthread_mutex_unlock(&pool->lock);
    return !stopped;
}

/* NULL: the pool stops and nothing is queued. */
static struct strand *pool_pop(struct pool *pool)
{
    struct strand *strand;

    pthread_mutex_lock(&pool->lock);
    while (!pool->first && !pool->stopping)
        pthread_cond_wait(&pool->posted, &pool->lock);
    strand = pool->first;
    if (strand)
        pool->first = strand->next;
    if (!pool->first)
        pool->last = NULL;
    pthread_mutex_unlock(&pool->lock);
    return strand;
}

static void *pool_thread(void *data)
{
    struct strand *strand;

    while ((strand = pool_pop(data)) != NULL)
        strand_run(strand);
    return NULL;
}

enum status pool_start(int threads, const char *name, struct pool **out, struct error *error)
{
    struct pool *pool = memory_zeroed(1, sizeof *pool);

    if (!pool)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "a pool of threads"),
                    INT("needed", sizeof *pool), INT("retry_ms", 1000));
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->posted, NULL);
    for (int i = 0; i < threads && i < THREADS_MAX; i++) {
        int failed = pthread_create(&pool->thread[i], NULL, pool_thread, pool);
        if (failed) {
            pool_free(&pool);
            return FAIL(error, IO, TEXT("what", "start a thread"), TEXT("why", strerror(failed)));
        }
        pthread_setname_np(pool->thread[i], name);
        pool->threads++;
    }
    *out = pool;
    return STATUS_OK;
}

void pool_stop(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->posted);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->threads; i++)
        pthread_join(pool->thread[i], NULL);
    pool->threads = 0;
}

void pool_free(struct pool **pool)
{
    if (!*pool)
        return;
    pool_stop(*pool);
    pthread_cond_destroy(&(*pool)->posted);
    pthread_mutex_destroy(&(*pool)->lock);
    memory_free(*pool);
    *pool = NULL;
}

void strand_init(struct strand *strand, void (*run)(struct strand *strand, unsigned step))
{
    *strand = (struct strand){.run = run};
    pthread_mutex_init(&strand->lock, NULL);
}

void strand_deinit(struct strand *strand)
{
    pthread_mutex_destroy(&strand->lock);
}

void strand_post(struct strand *strand, unsigned step, bool here,
                 void (*reference)(struct strand *strand))
{
    bool start;

    pthread_mutex_lock(&strand->lock);
    strand->waiting |= step;
    start = !strand->running;
    if (start) {
        strand->running = true;
        reference(strand);
    }
    pthread_mutex_unlock(&strand->lock);
    if (!start)
        return;
    if (here || !pool_push(strand->pool, strand))
        strand_run(strand);
}
