/* store_upload.c - chunks of one or several streams: held, repeated, damaged, refused. */
#include <pthread.h>

#include "tests/unit/store_scene.h"

static void a_wrong_crc_costs_that_chunk_alone(struct check *check)
{
    struct scene scene = {0};
    struct dataset_create create = blocks("d", 300);
    struct dataset_view view = {0}, sealed = {0};
    struct upload *upload = NULL;
    struct table *table = NULL;
    struct catalog_counts counts;

    if (!scene_open(check, &scene, 64 << 20))
        return;
    dataset_create(scene.catalog, &create, &view, NULL);
    upload_open(scene.catalog, view.upload, &upload, NULL);
    check_equal_i64(check, send_rows(upload, 0, 100, 0, NULL), STATUS_OK);
    check_equal_i64(check, send_rows(upload, 100, 100, 1, &scene.error), STATUS_CHECKSUM);
    check_equal_i64(check, upload_held(upload), 100);
    check_equal_i64(check, send_rows(upload, 0, 100, 1, &scene.error), STATUS_CHECKSUM);
    check_equal_i64(check, send_rows(upload, 200, 100, 0, NULL), STATUS_OK);
    check_equal_i64(check, dataset_commit(scene.catalog, view.upload, NULL, &sealed, &scene.error),
                    STATUS_INCOMPLETE);
    check_equal_text(check, error_value(&scene.error, "byte"), "1600");
    check_equal_i64(check, send_rows(upload, 100, 100, 0, NULL), STATUS_OK);
    check_equal_i64(check, dataset_commit(scene.catalog, view.upload, NULL, &sealed, NULL),
                    STATUS_OK);
    dataset_pin(scene.catalog, "d", &table, NULL);
    check_rows(check, table, 300);
    dataset_unpin(scene.catalog, "d", &table);
    catalog_counts(scene.catalog, &counts);
    check_equal_i64(check, counts.upload_crc_failures_total, 2);
    check_equal_i64(check, counts.upload_bytes_total, 4800);
    upload_close(&upload);
    dataset_view_free(&view);
    dataset_view_free(&sealed);
    scene_close(check, &scene);
}

static void the_same_chunk_again_is_ignored_and_another_one_is_a_conflict(struct check *check)
{
    struct scene scene = {0};
    struct dataset_create create = blocks("d", 300);
    struct dataset_view view = {0};
    struct upload *upload = NULL;

    if (!scene_open(check, &scene, 64 << 20))
        return;
    dataset_create(scene.catalog, &create, &view, NULL);
    upload_open(scene.catalog, view.upload, &upload, NULL);
    check_equal_i64(check, send_rows(upload, 100, 100, 0, NULL), STATUS_OK);
    check_equal_i64(check, send_rows(upload, 100, 100, 0, NULL), STATUS_OK);
    check_equal_i64(check, send_rows(upload, 100, 100, 2, &scene.error), STATUS_UPLOAD_CONFLICT);
    check_equal_text(check, error_value(&scene.error, "offset"), "100");
    check_equal_i64(check, send_rows(upload, 50, 100, 0, NULL), STATUS_OK); /* cut otherwise */
    check_equal_i64(check, upload_held(upload), 150);
    check_equal_i64(check, send_rows(upload, 140, 100, 2, &scene.error), STATUS_UPLOAD_CONFLICT);
    check_equal_i64(check, upload_held(upload), 150); /* nothing of it was written */
    struct range range;
    check_equal_i64(check, upload_ranges(upload, &range, 1), 1);
    check_equal_i64(check, range.first, 50);
    check_equal_i64(check, range.count, 150);
    upload_close(&upload);
    dataset_view_free(&view);
    scene_close(check, &scene);
}

static void chunks_that_do_not_fit_are_refused_by_name(struct check *check)
{
    struct scene scene = {0};
    struct dataset_create create = blocks("d", 300);
    struct dataset_view view = {0};
    struct upload *upload = NULL;
    void *staging;

    if (!scene_open(check, &scene, 64 << 20))
        return;
    dataset_create(scene.catalog, &create, &view, NULL);
    upload_open(scene.catalog, view.upload, &upload, NULL);
    check_equal_i64(check, upload_chunk_begin(upload, 0, 17, &staging, &scene.error),
                    STATUS_MALFORMED);
    check_equal_i64(check, upload_chunk_begin(upload, 299, 32, &staging, &scene.error),
                    STATUS_OUT_OF_RANGE);
    check_equal_i64(check, upload_chunk_begin(upload, -1, 16, &staging, &scene.error),
                    STATUS_OUT_OF_RANGE);
    check_equal_i64(check, upload_chunk_begin(upload, 0, CHUNK_BYTES_MAX + 16, &staging, NULL),
                    STATUS_OUT_OF_RANGE);
    check_equal_i64(check, upload_chunk_begin(upload, 0, 0, &staging, NULL), STATUS_OUT_OF_RANGE);
    upload_close(&upload);
    check_equal_i64(check, upload_open(scene.catalog, "nobody", &upload, &scene.error),
                    STATUS_UPLOAD_NOT_FOUND);
    dataset_view_free(&view);
    scene_close(check, &scene);
}

struct sender {
    struct catalog *catalog;
    const char *upload;
    int number, of;
    int64_t rows;
    int failures;
};

/* Every chunk, each sender beginning elsewhere: all chunks are sent by all. */
static void *sender_main(void *opaque)
{
    struct sender *sender = opaque;
    struct upload *upload = NULL;
    int64_t chunks = sender->rows / 1000;

    if (upload_open(sender->catalog, sender->upload, &upload, NULL) != STATUS_OK) {
        sender->failures = 1;
        return NULL;
    }
    for (int64_t i = 0; i < chunks; i++) {
        int64_t chunk = (i + sender->number * chunks / sender->of) % chunks;
        sender->failures += send_rows(upload, chunk * 1000, 1000, 0, NULL) != STATUS_OK;
    }
    upload_close(&upload);
    return NULL;
}

static void several_streams_fill_one_dataset(struct check *check)
{
    enum { SENDERS = 4, ROWS = 100000 };
    struct scene scene = {0};
    struct dataset_create create = blocks("d", ROWS);
    struct dataset_view view = {0}, sealed = {0};
    struct sender sender[SENDERS];
    pthread_t thread[SENDERS];
    struct table *table = NULL;

    if (!scene_open(check, &scene, 256 << 20))
        return;
    dataset_create(scene.catalog, &create, &view, NULL);
    for (int i = 0; i < SENDERS; i++) {
        sender[i] = (struct sender){scene.catalog, view.upload, i, SENDERS, ROWS, 0};
        pthread_create(&thread[i], NULL, sender_main, &sender[i]);
    }
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(thread[i], NULL);
        check_equal_i64(check, sender[i].failures, 0);
    }
    check_equal_i64(check, dataset_commit(scene.catalog, view.upload, NULL, &sealed, NULL),
                    STATUS_OK);
    dataset_pin(scene.catalog, "d", &table, NULL);
    check_rows(check, table, ROWS);
    dataset_unpin(scene.catalog, "d", &table);
    dataset_view_free(&view);
    dataset_view_free(&sealed);
    scene_close(check, &scene);
}

CHECKS(CLAIM(a_wrong_crc_costs_that_chunk_alone),
       CLAIM(the_same_chunk_again_is_ignored_and_another_one_is_a_conflict),
       CLAIM(chunks_that_do_not_fit_are_refused_by_name), CLAIM(several_streams_fill_one_dataset))
