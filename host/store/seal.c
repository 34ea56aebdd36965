/* seal.c - Commit: what was uploaded becomes a sealed table.
 *
 * SEALING keeps streams out (after the last copy under way), so everything here reads and moves the
 * region without a lock. What fails leaves the upload OPEN with its bytes. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "host/base/memory.h"
#include "host/data/npy.h"
#include "host/jobs/ledger.h"
#include "host/store/catalog.h"

/* Under dataset.lock: takes the block for hashing if nobody has and all its units are held. */
static bool block_take(struct dataset *dataset, const struct buffer *buffer, int64_t block)
{
    int64_t first = block * HASH_BLOCK_BYTES / buffer->unit_bytes;
    int64_t last =
        (block * HASH_BLOCK_BYTES + layout_block_bytes(buffer, block) - 1) / buffer->unit_bytes;
    unsigned char *state = &dataset->block_state[buffer->first_block + block];

    if (*state != NOT_HASHED || !ranges_hold(&dataset->held, first, last - first + 1))
        return false;
    *state = HASHING;
    return true;
}

static bool block_hash(struct dataset *dataset, const struct buffer *buffer, int64_t block)
{
    int64_t number = buffer->first_block + block;

    pthread_mutex_lock(&dataset->lock);
    bool taken = block_take(dataset, buffer, block);
    pthread_mutex_unlock(&dataset->lock);
    if (!taken)
        return true;
    bool done = hash_bytes(dataset->region->data + buffer->offset + block * HASH_BLOCK_BYTES,
                           (size_t)layout_block_bytes(buffer, block), dataset->digest[number]);
    pthread_mutex_lock(&dataset->lock);
    dataset->block_state[number] = done ? HASHED : NOT_HASHED;
    pthread_cond_broadcast(&dataset->written);
    pthread_mutex_unlock(&dataset->lock);
    return done;
}

bool dataset_hash(struct dataset *dataset, int64_t first, int64_t count)
{
    bool done = true;

    for (int b = 0; b < dataset->layout.buffers; b++) {
        const struct buffer *buffer = &dataset->layout.buffer[b];
        int64_t block = first * buffer->unit_bytes / HASH_BLOCK_BYTES;
        int64_t end = ((first + count) * buffer->unit_bytes - 1) / HASH_BLOCK_BYTES;
        for (; block <= end; block++)
            done &= block_hash(dataset, buffer, block);
    }
    return done;
}

static bool blocks_being_hashed(const struct dataset *dataset)
{
    return memchr(dataset->block_state, HASHING, (size_t)dataset->layout.blocks) != NULL;
}

static bool streams_write(const struct dataset *dataset)
{
    for (const struct upload *stream = dataset->streams; stream; stream = stream->next)
        if (stream->claim_count)
            return true;
    return false;
}

static enum status incomplete(const struct dataset *dataset, struct error *error)
{
    const struct ranges *held = &dataset->held;
    int64_t unit = dataset->layout.unit_bytes;
    int64_t gap = held->count && held->range[0].first == 0 ? held->range[0].count : 0;

    return FAIL(error, INCOMPLETE, TEXT("name", dataset->upload),
                INT("held", ranges_total(held) * unit), INT("total", dataset->layout.bytes),
                INT("byte", gap * unit));
}

/* From here on no stream writes: everything is held, so the copies under way are repeats. */
static enum status upload_shut(struct dataset *dataset, struct error *error)
{
    enum status status = STATUS_OK;

    pthread_mutex_lock(&dataset->lock);
    if (!ranges_hold(&dataset->held, 0, dataset->layout.units)) {
        status = incomplete(dataset, error);
    } else {
        dataset->closed = true;
        pthread_cond_broadcast(&dataset->written);
        while (streams_write(dataset) || blocks_being_hashed(dataset))
            pthread_cond_wait(&dataset->written, &dataset->lock);
    }
    pthread_mutex_unlock(&dataset->lock);
    return status;
}

static void upload_reopen(struct dataset *dataset)
{
    pthread_mutex_lock(&dataset->lock);
    dataset->closed = false;
    pthread_mutex_unlock(&dataset->lock);
}

static enum status hash_check(const struct dataset *dataset, const char *wanted, const char *found,
                              struct error *error)
{
    char what[128];

    if (!wanted || !wanted[0] || hash_text_equal(wanted, found))
        return STATUS_OK;
    snprintf(what, sizeof what, "the content of dataset '%s'", dataset->name);
    return FAIL(error, CHECKSUM, TEXT("what", what), TEXT("found", found),
                TEXT("expected", wanted));
}

static enum status content_hash(struct dataset *dataset, const char *wanted,
                                char text[DIGEST_TEXT_BYTES], struct error *error)
{
    const struct column *column = dataset->encoding == ENCODING_BLOCKS ? dataset->column : NULL;
    enum status status;

    if (!dataset_hash(dataset, 0, dataset->layout.units) ||
        !hash_dataset(dataset->encoding, &dataset->layout, column,
                      (const unsigned char(*)[DIGEST_BYTES])dataset->digest, text))
        return no_memory(error, "a content hash", 0);
    TRY(hash_check(dataset, dataset->wanted_hash, text, error));
    TRY(hash_check(dataset, wanted, text, error));
out:
    return status;
}

/* Bytes that go back to the ledger when a table goes, and what the table itself wanted done then. */
struct hold {
    struct ledger *ledger;
    int64_t bytes;
    void (*release)(void *);
    void *owner;
};

static void hold_release(void *opaque)
{
    struct hold *hold = opaque;

    if (hold->release)
        hold->release(hold->owner);
    ledger_return(hold->ledger, hold->bytes);
    memory_free(hold);
}

static enum status table_of_blocks(struct dataset *dataset, struct table **out, struct error *error)
{
    const struct layout *layout = &dataset->layout;
    const void **data = memory_new((size_t)layout->buffers, sizeof *data);
    enum status status;

    if (!data)
        return no_memory(error, "a table", (size_t)layout->buffers * sizeof *data);
    for (int b = 0; b < layout->buffers; b++)
        data[b] = dataset->region->data + layout->buffer[b].offset;
    status = table_of_columns(dataset->columns, dataset->column, dataset->rows, data, pages_free,
                              dataset->region, out, error);
    memory_free(data);
    return status;
}

/* Fortran order is copied into row-major memory, which wants as many bytes once more. */
static enum status npy_extra(struct dataset *dataset, struct error *error)
{
    struct npy_header header;
    char what[128];
    enum status status;

    snprintf(what, sizeof what, "dataset '%s'", dataset->name);
    TRY(npy_parse(what, dataset->region->data,
                  dataset->region->bytes < (size_t)dataset->bytes ? dataset->region->bytes
                                                                  : (size_t)dataset->bytes,
                  &header, error));
    if (!header.fortran)
        return STATUS_OK;
    TRY(ledger_reserve(dataset->catalog->ledger, what, dataset->bytes, error));
    dataset->reserved += dataset->bytes;
out:
    return status;
}

static enum status table_of_npy(struct dataset *dataset, struct table **out, struct error *error)
{
    char what[128];
    enum status status;

    snprintf(what, sizeof what, "dataset '%s'", dataset->name);
    TRY(npy_extra(dataset, error));
    TRY(npy_table(what, dataset->region->data, (size_t)dataset->bytes, pages_free, dataset->region,
                  out, error));
out:
    return status;
}

/* The table, which then owns the region and its reservation. */
static enum status table_make(struct dataset *dataset, struct table **out, struct error *error)
{
    struct hold *hold = memory_new(1, sizeof *hold);
    int64_t reserved = dataset->reserved;
    struct table *table = NULL;
    enum status status;

    if (!hold)
        return no_memory(error, "a table", sizeof *hold);
    pages_seal(dataset->region);
    status = dataset->encoding == ENCODING_NPY ? table_of_npy(dataset, &table, error)
                                               : table_of_blocks(dataset, &table, error);
    if (status != STATUS_OK) {
        if (dataset->reserved > reserved)
            ledger_return(dataset->catalog->ledger, dataset->reserved - reserved);
        dataset->reserved = reserved;
        memory_free(hold);
        return status;
    }
    *hold = (struct hold){.ledger = dataset->catalog->ledger,
                          .bytes = dataset->reserved,
                          .release = table->release,
                          .owner = table->owner};
    table->release = hold_release;
    table->owner = hold;
    dataset->region = NULL;
    dataset->reserved = 0;
    *out = table;
    return STATUS_OK;
}

/* Makes it visible as SEALED. */
static void publish(struct dataset *dataset, struct table *table, struct column *column,
                    const char *hash)
{
    pthread_mutex_lock(&dataset->catalog->lock);
    memory_free(dataset->column);
    dataset->column = column;
    dataset->columns = table->columns;
    dataset->rows = table->rows;
    dataset->table = table;
    memcpy(dataset->hash, hash, sizeof dataset->hash);
    pthread_mutex_unlock(&dataset->catalog->lock);
}

static enum status seal(struct dataset *dataset, const char *wanted, struct error *error)
{
    int columns = dataset->encoding == ENCODING_NPY ? 1 : dataset->columns; /* NPY is one matrix */
    char hash[DIGEST_TEXT_BYTES];
    struct column *column = NULL;
    struct table *table = NULL;
    enum status status;

    TRY(upload_shut(dataset, error));
    TRY(content_hash(dataset, wanted, hash, error));
    column = memory_new((size_t)columns, sizeof *column);
    if (!column)
        TRY(no_memory(error, "a schema", (size_t)columns * sizeof *column));
    TRY(table_make(dataset, &table, error)); /* nothing can fail after it: it owns the region now */
    assert(table->columns == columns);
    memcpy(column, table->column, (size_t)columns * sizeof *column);
    publish(dataset, table, column, hash);
    return STATUS_OK;
out:
    memory_free(column);
    upload_reopen(dataset);
    return status;
}

/* Waits while another Commit works on it. True: this one shall seal it. */
static enum status seal_turn(struct dataset *dataset, bool *mine, struct error *error)
{
    struct catalog *catalog = dataset->catalog;

    pthread_mutex_lock(&catalog->lock);
    while (dataset->state == DATASET_SEALING)
        pthread_cond_wait(&catalog->changed, &catalog->lock);
    enum dataset_state state = dataset->state;
    *mine = state == DATASET_OPEN;
    if (*mine)
        dataset->state = DATASET_SEALING;
    pthread_mutex_unlock(&catalog->lock);
    return state == DATASET_DELETED ? FAIL(error, UPLOAD_NOT_FOUND, TEXT("name", dataset->upload))
                                    : STATUS_OK;
}

/* A Delete meanwhile wins. */
static void seal_end(struct dataset *dataset, bool sealed)
{
    pthread_mutex_lock(&dataset->catalog->lock);
    if (dataset->state == DATASET_SEALING)
        dataset->state = sealed ? DATASET_SEALED : DATASET_OPEN;
    pthread_cond_broadcast(&dataset->catalog->changed);
    pthread_mutex_unlock(&dataset->catalog->lock);
}

static enum status show(struct dataset *dataset, const char *wanted, struct dataset_view *out,
                        struct error *error)
{
    enum status status;

    pthread_mutex_lock(&dataset->catalog->lock);
    status = dataset->state == DATASET_SEALED
                 ? hash_check(dataset, wanted, dataset->hash, error)
                 : FAIL(error, UPLOAD_NOT_FOUND, TEXT("name", dataset->upload));
    if (status == STATUS_OK)
        status = dataset_show(dataset, out, error);
    pthread_mutex_unlock(&dataset->catalog->lock);
    return status;
}

enum status dataset_commit(struct catalog *catalog, const char *upload_id, const char *wanted,
                           struct dataset_view *out, struct error *error)
{
    struct dataset *dataset = NULL;
    enum status status;
    bool mine = false;

    if (wanted && wanted[0] && !hash_text_valid(wanted))
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "content_hash"), TEXT("value", wanted),
                    TEXT("limit", "64 hex digits"));
    TRY(upload_find(catalog, upload_id, &dataset, error));
    TRY(seal_turn(dataset, &mine, error));
    if (mine) {
        status = seal(dataset, wanted, error);
        seal_end(dataset, status == STATUS_OK);
        if (status != STATUS_OK)
            goto out;
    }
    TRY(show(dataset, wanted, out, error));
out:
    dataset_drop(&dataset);
    return status;
}
