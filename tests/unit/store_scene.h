/* store_scene.h - what tests of datasets share: a catalog over a folder of its own, and rows to send. */
#ifndef BARY_TESTS_UNIT_STORE_SCENE_H
#define BARY_TESTS_UNIT_STORE_SCENE_H

#include <stdlib.h>

#include "host/base/checksum.h"
#include "host/base/log.h"
#include "host/jobs/ledger.h"
#include "host/store/object.h"
#include "tests/check.h"

struct scene {
    char folder[64];
    struct limits limits;
    struct ledger *ledger;
    struct catalog *catalog;
    struct error error;
};

__attribute__((unused)) static bool scene_open(struct check *check, struct scene *scene,
                                               int64_t budget)
{
    log_set_level(LOG_SILENT);
    if (scene->limits.objects == 0)
        scene->limits = limits_default();
    snprintf(scene->folder, sizeof scene->folder, "/tmp/bary-store-XXXXXX");
    scene->ledger = ledger_new(budget);
    return check_true(check, mkdtemp(scene->folder) != NULL) &&
           check_equal_i64(check,
                           catalog_open(scene->folder, &scene->limits, scene->ledger,
                                        &scene->catalog, &scene->error),
                           STATUS_OK);
}

__attribute__((unused)) static void scene_close(struct check *check, struct scene *scene)
{
    char command[128];

    catalog_close(&scene->catalog);
    check_equal_i64(check, ledger_reserved(scene->ledger), 0);
    ledger_free(&scene->ledger);
    snprintf(command, sizeof command, "rm -rf '%s'", scene->folder);
    check_equal_i64(check, system(command), 0);
}

/* Two columns: a vector of three floats and one scalar; 16 bytes a row. */
__attribute__((unused)) static const struct column SCHEMA[] = {{"x", DTYPE_F32, 3},
                                                               {"w", DTYPE_F32, 1}};

__attribute__((unused)) static struct dataset_create blocks(const char *name, int64_t rows)
{
    return (struct dataset_create){
        .name = name, .encoding = ENCODING_BLOCKS, .columns = 2, .column = SCHEMA, .rows = rows};
}

/* Value c of row r; the fourth is the second column. */
__attribute__((unused)) static float value_of(int64_t row, int64_t c)
{
    return (float)(row * 4 + c);
}

/* Rows [first, first + count) as a chunk: all of the first column, then all of the second. */
__attribute__((unused)) static void chunk_fill(float *out, int64_t first, int64_t count)
{
    for (int64_t r = 0; r < count; r++) {
        for (int64_t c = 0; c < 3; c++)
            out[r * 3 + c] = value_of(first + r, c);
        out[count * 3 + r] = value_of(first + r, 3);
    }
}

__attribute__((unused)) static enum status send_rows(struct upload *upload, int64_t first,
                                                     int64_t count, int damage, struct error *error)
{
    size_t bytes = (size_t)count * 16;
    float *chunk = malloc(bytes);
    void *staging;
    uint32_t crc;
    enum status status;

    chunk_fill(chunk, first, count);
    if (damage == 2)
        chunk[0] += 1; /* other bytes, right crc */
    crc = crc32c(0, chunk, bytes) + (damage == 1);
    TRY(upload_chunk_begin(upload, first, (int64_t)bytes, &staging, error));
    memcpy(staging, chunk, bytes);
    TRY(upload_chunk_end(upload, crc, error));
out:
    free(chunk);
    return status;
}

__attribute__((unused)) static void check_rows(struct check *check, const struct table *table,
                                               int64_t rows)
{
    const float *x = table->chunk[0].data[0], *w = table->chunk[0].data[1];
    int64_t wrong = 0;

    check_equal_i64(check, table->rows, rows);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < 3; c++)
            wrong += x[r * 3 + c] != value_of(r, c);
        wrong += w[r] != value_of(r, 3);
    }
    check_equal_i64(check, wrong, 0);
}

#endif
