/* store_datasets.c - datasets from create to the last unpin. */
#include "host/base/clock.h"
#include "host/base/fault.h"
#include "host/base/memory.h"
#include "host/data/npy.h"
#include "host/store/hash.h"
#include "tests/unit/store_scene.h"

static void blocks_of_rows_become_columns(struct check *check)
{
    struct scene scene = {0};
    struct dataset_create create = blocks("iris", 1000);
    struct dataset_view view = {0};
    struct upload *upload = NULL;
    struct table *table = NULL;

    if (!scene_open(check, &scene, 64 << 20))
        return;
    check_equal_i64(check, dataset_create(scene.catalog, &create, &view, NULL), STATUS_OK);
    check_equal_i64(check, view.state, DATASET_OPEN);
    check_equal_i64(check, view.bytes, 16000);
    check_equal_i64(check, upload_open(scene.catalog, view.upload, &upload, NULL), STATUS_OK);
    for (int64_t first = 900; first >= 0; first -= 100) /* backwards: order does not matter */
        check_equal_i64(check, send_rows(upload, first, 100, 0, NULL), STATUS_OK);
    check_equal_i64(check, upload_held(upload), 1000);
    upload_close(&upload);
    check_equal_i64(check, dataset_pin(scene.catalog, "iris", &table, &scene.error),
                    STATUS_NOT_SEALED);
    struct dataset_view sealed;
    check_equal_i64(check, dataset_commit(scene.catalog, view.upload, NULL, &sealed, NULL),
                    STATUS_OK);
    check_equal_i64(check, sealed.state, DATASET_SEALED);
    check_equal_i64(check, dataset_pin(scene.catalog, "iris", &table, NULL), STATUS_OK);
    check_rows(check, table, 1000);
    dataset_view_free(&view);
    check_equal_i64(check, dataset_get(scene.catalog, "iris", &view, NULL), STATUS_OK);
    check_equal_i64(check, view.pins, 1);
    dataset_unpin(scene.catalog, "iris", &table);
    dataset_view_free(&view);
    dataset_view_free(&sealed);
    scene_close(check, &scene);
}

static void a_deleted_dataset_is_hidden_at_once_and_freed_at_its_last_unpin(struct check *check)
{
    struct scene scene = {0};
    struct dataset_create create = blocks("d", 500);
    struct dataset_view view = {0}, other = {0};
    struct upload *upload = NULL;
    struct table *table = NULL;

    if (!scene_open(check, &scene, 64 << 20))
        return;
    dataset_create(scene.catalog, &create, &view, NULL);
    upload_open(scene.catalog, view.upload, &upload, NULL);
    send_rows(upload, 0, 500, 0, NULL);
    upload_close(&upload);
    dataset_commit(scene.catalog, view.upload, NULL, &other, NULL);
    dataset_view_free(&other);
    dataset_pin(scene.catalog, "d", &table, NULL);
    int64_t reserved = ledger_reserved(scene.ledger);
    check_true(check, reserved >= 8000);
    check_equal_i64(check, dataset_delete(scene.catalog, "d", NULL), STATUS_OK);
    check_equal_i64(check, dataset_get(scene.catalog, "d", &other, &scene.error),
                    STATUS_DATASET_NOT_FOUND);
    check_equal_i64(check, ledger_reserved(scene.ledger), reserved);
    check_rows(check, table, 500); /* who holds a pin reads on */
    check_equal_i64(check, dataset_create(scene.catalog, &create, &other, NULL), STATUS_OK);
    dataset_unpin(scene.catalog, "d", &table); /* the name is another's by now */
    check_equal_i64(check, ledger_reserved(scene.ledger), reserved);
    check_equal_i64(check, dataset_delete(scene.catalog, "d", NULL), STATUS_OK);
    check_equal_i64(check, ledger_reserved(scene.ledger), 0);
    dataset_view_free(&view);
    dataset_view_free(&other);
    scene_close(check, &scene);
}

static void creations_are_refused_in_the_right_words(struct check *check)
{
    struct scene scene = {.limits = limits_default()};
    struct dataset_create create = blocks("d", 10);
    struct dataset_view view = {0}, other = {0};
    struct column same[2] = {{"x", DTYPE_F32, 1}, {"x", DTYPE_F32, 1}};

    scene.limits.objects = 2;
    if (!scene_open(check, &scene, 1 << 20))
        return;
    check_equal_i64(check, dataset_create(scene.catalog, &create, &view, NULL), STATUS_OK);
    check_equal_i64(check, dataset_create(scene.catalog, &create, &other, NULL), STATUS_NAME_TAKEN);
    create.name = "Iris";
    check_equal_i64(check, dataset_create(scene.catalog, &create, &other, NULL),
                    STATUS_OUT_OF_RANGE);
    create = blocks("big", 62000);
    check_equal_i64(check, dataset_create(scene.catalog, &create, &other, &scene.error),
                    STATUS_MEMORY_PRESSURE);
    create.rows = (int64_t)1 << 40;
    check_equal_i64(check, dataset_create(scene.catalog, &create, &other, &scene.error),
                    STATUS_EXCEEDS_CAPACITY);
    create.rows = 0;
    check_equal_i64(check, dataset_create(scene.catalog, &create, &other, NULL),
                    STATUS_OUT_OF_RANGE);
    create = blocks("twice", 10);
    create.column = same;
    check_equal_i64(check, dataset_create(scene.catalog, &create, &other, NULL), STATUS_NAME_TAKEN);
    create = blocks("bytes", 10);
    create.bytes = 161;
    check_equal_i64(check, dataset_create(scene.catalog, &create, &other, NULL),
                    STATUS_SHAPE_MISMATCH);
    create = blocks("", 10); /* the server makes a name */
    check_equal_i64(check, dataset_create(scene.catalog, &create, &other, NULL), STATUS_OK);
    check_true(check, other.name[0] != '\0');
    dataset_view_free(&other);
    create = blocks("third", 10);
    check_equal_i64(check, dataset_create(scene.catalog, &create, &other, NULL),
                    STATUS_QUOTA_OBJECTS);
    dataset_view_free(&view);
    scene_close(check, &scene);
}

/* A .npy file in memory: read back from npy_write's. */
static void *npy_bytes(struct check *check, const char *folder, int64_t rows, size_t *bytes)
{
    char path[128];
    double *values = memory_new((size_t)rows * 2, sizeof *values);
    void *file = NULL;

    for (int64_t i = 0; i < rows * 2; i++)
        values[i] = (double)i;
    snprintf(path, sizeof path, "%s/x.npy", folder);
    check_equal_i64(check, npy_write(path, DTYPE_F64, rows, 2, values, NULL), STATUS_OK);
    FILE *in = fopen(path, "rb");
    fseek(in, 0, SEEK_END);
    *bytes = (size_t)ftell(in);
    rewind(in);
    file = memory_new(*bytes, 1);
    check_equal_u64(check, fread(file, 1, *bytes, in), *bytes);
    fclose(in);
    memory_free(values);
    return file;
}

static enum status send_bytes(struct upload *upload, const unsigned char *file, int64_t offset,
                              int64_t bytes)
{
    void *staging;
    enum status status = upload_chunk_begin(upload, offset, bytes, &staging, NULL);

    if (status != STATUS_OK)
        return status;
    memcpy(staging, file + offset, (size_t)bytes);
    return upload_chunk_end(upload, crc32c(0, file + offset, (size_t)bytes), NULL);
}

static void an_npy_file_is_parsed_at_commit(struct check *check)
{
    struct scene scene = {0};
    struct dataset_view view = {0}, sealed = {0};
    struct upload *upload = NULL;
    struct table *table = NULL;
    size_t bytes = 0;

    if (!scene_open(check, &scene, 64 << 20))
        return;
    unsigned char *file = npy_bytes(check, scene.folder, 100000, &bytes);
    struct dataset_create create = {.name = "n", .encoding = ENCODING_NPY, .bytes = (int64_t)bytes};
    check_equal_i64(check, dataset_create(scene.catalog, &create, &view, NULL), STATUS_OK);
    upload_open(scene.catalog, view.upload, &upload, NULL);
    for (int64_t at = 0; at < (int64_t)bytes; at += 300001) {
        int64_t left = (int64_t)bytes - at;
        check_equal_i64(check, send_bytes(upload, file, at, left < 300001 ? left : 300001),
                        STATUS_OK);
    }
    upload_close(&upload);
    check_equal_i64(check, dataset_commit(scene.catalog, view.upload, NULL, &sealed, NULL),
                    STATUS_OK);
    check_equal_i64(check, sealed.rows, 100000);
    check_equal_i64(check, sealed.columns, 1);
    check_equal_i64(check, sealed.column[0].width, 2);
    check_equal_i64(check, dataset_pin(scene.catalog, "n", &table, NULL), STATUS_OK);
    const double *values = table->chunk[0].data[0];
    check_equal_bits(check, values[199999], 199999);
    dataset_unpin(scene.catalog, "n", &table);
    memory_free(file);
    dataset_view_free(&view);
    dataset_view_free(&sealed);
    scene_close(check, &scene);
}

static void a_file_that_is_no_npy_stays_open_and_says_where(struct check *check)
{
    struct scene scene = {0};
    struct dataset_create create = {.name = "n", .encoding = ENCODING_NPY, .bytes = 100};
    struct dataset_view view = {0}, other = {0};
    struct upload *upload = NULL;
    unsigned char junk[100] = "this is no numpy file";

    if (!scene_open(check, &scene, 64 << 20))
        return;
    dataset_create(scene.catalog, &create, &view, NULL);
    upload_open(scene.catalog, view.upload, &upload, NULL);
    check_equal_i64(check, send_bytes(upload, junk, 0, 100), STATUS_OK);
    upload_close(&upload);
    check_equal_i64(check, dataset_commit(scene.catalog, view.upload, NULL, &other, &scene.error),
                    STATUS_MALFORMED);
    check_equal_i64(check, dataset_get(scene.catalog, "n", &other, NULL), STATUS_OK);
    check_equal_i64(check, other.state, DATASET_OPEN);
    dataset_view_free(&view);
    dataset_view_free(&other);
    scene_close(check, &scene);
}

/* The hash by its definition in object.h, from the bytes themselves. */
static void hash_by_hand(int64_t rows, char text[65])
{
    size_t sizes[2] = {(size_t)rows * 12, (size_t)rows * 4}, used = 0;
    unsigned char *all = memory_zeroed(1 << 20, 1), digest[32];
    const unsigned char head[] = {1, 0, 0, 0, 2, 0, 0, 0};
    uint64_t units = (uint64_t)rows;

    memcpy(all, "bary content 1\n", used = 15);
    memcpy(all + used, head, 8);
    memcpy(all + used + 8, &units, 8);
    used += 16;
    for (int c = 0; c < 2; c++) {
        uint32_t length = 1, dtype = DTYPE_F32;
        uint64_t width = c == 0 ? 3 : 1;
        memcpy(all + used, &length, 4);
        all[used + 4] = (unsigned char)SCHEMA[c].name[0];
        memcpy(all + used + 5, &dtype, 4);
        memcpy(all + used + 9, &width, 8);
        used += 17;
    }
    for (int c = 0; c < 2; c++) {
        float *column = memory_new(sizes[c], 1);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t v = 0; v < (c == 0 ? 3 : 1); v++)
                column[c == 0 ? r * 3 + v : r] = value_of(r, c == 0 ? v : 3);
        for (size_t at = 0; at < sizes[c]; at += 1 << 20, used += 32) {
            size_t left = sizes[c] - at;
            hash_bytes((unsigned char *)column + at, left < 1 << 20 ? left : 1 << 20, all + used);
        }
        memory_free(column);
    }
    hash_bytes(all, used, digest);
    hash_print(digest, text);
    memory_free(all);
}

static void cuts_of_chunks_do_not_show_in_the_content_hash(struct check *check)
{
    enum { ROWS = 200000 };
    static const int64_t CUTS[] = {196608, 65536, 99991};
    struct scene scene = {0};
    char want[65];

    if (!scene_open(check, &scene, 64 << 20))
        return;
    hash_by_hand(ROWS, want);
    for (size_t i = 0; i < sizeof CUTS / sizeof CUTS[0]; i++) {
        struct dataset_create create = blocks("d", ROWS);
        struct dataset_view view = {0}, sealed = {0};
        struct upload *upload = NULL;
        create.content_hash = want;
        check_note(check, "chunks of %lld rows", (long long)CUTS[i]);
        check_equal_i64(check, dataset_create(scene.catalog, &create, &view, NULL), STATUS_OK);
        upload_open(scene.catalog, view.upload, &upload, NULL);
        for (int64_t at = 0; at < ROWS; at += CUTS[i])
            check_equal_i64(
                check, send_rows(upload, at, ROWS - at < CUTS[i] ? ROWS - at : CUTS[i], 0, NULL),
                STATUS_OK);
        upload_close(&upload);
        check_equal_i64(check, dataset_commit(scene.catalog, view.upload, want, &sealed, NULL),
                        STATUS_OK);
        check_equal_text(check, sealed.content_hash, want);
        dataset_delete(scene.catalog, "d", NULL);
        dataset_view_free(&view);
        dataset_view_free(&sealed);
    }
    scene_close(check, &scene);
}

static void another_content_hash_is_refused(struct check *check)
{
    struct scene scene = {0};
    struct dataset_create create = blocks("d", 10);
    struct dataset_view view = {0}, sealed = {0};
    struct upload *upload = NULL;
    const char *zeros = "0000000000000000000000000000000000000000000000000000000000000000";

    if (!scene_open(check, &scene, 64 << 20))
        return;
    create.content_hash = "short";
    check_equal_i64(check, dataset_create(scene.catalog, &create, &view, NULL),
                    STATUS_OUT_OF_RANGE);
    create.content_hash = NULL;
    dataset_create(scene.catalog, &create, &view, NULL);
    upload_open(scene.catalog, view.upload, &upload, NULL);
    send_rows(upload, 0, 10, 0, NULL);
    upload_close(&upload);
    check_equal_i64(check, dataset_commit(scene.catalog, view.upload, zeros, &sealed, NULL),
                    STATUS_CHECKSUM);
    check_equal_i64(check, dataset_get(scene.catalog, "d", &sealed, NULL), STATUS_OK);
    check_equal_i64(check, sealed.state, DATASET_OPEN);
    dataset_view_free(&sealed);
    check_equal_i64(check, dataset_commit(scene.catalog, view.upload, NULL, &sealed, NULL),
                    STATUS_OK);
    dataset_view_free(&sealed);
    check_equal_i64(check, dataset_commit(scene.catalog, view.upload, NULL, &sealed, NULL),
                    STATUS_OK); /* again: harmless */
    check_equal_i64(check, upload_open(scene.catalog, view.upload, &upload, NULL),
                    STATUS_ALREADY_SEALED);
    dataset_view_free(&view);
    dataset_view_free(&sealed);
    scene_close(check, &scene);
}

static void what_nobody_uses_goes_after_its_ttl(struct check *check)
{
    struct scene scene = {0};
    struct dataset_create create = blocks("d", 10);
    struct dataset_view view = {0}, other = {0};
    struct upload *upload = NULL;
    struct table *table = NULL;
    const int64_t second = 1000000000;

    if (!scene_open(check, &scene, 64 << 20))
        return;
    create.ttl_s = 100;
    dataset_create(scene.catalog, &create, &view, NULL);
    upload_open(scene.catalog, view.upload, &upload, NULL);
    send_rows(upload, 0, 10, 0, NULL);
    upload_close(&upload);
    dataset_commit(scene.catalog, view.upload, NULL, &other, NULL);
    dataset_view_free(&other);
    dataset_pin(scene.catalog, "d", &table, NULL);
    int64_t now = clock_ns();
    catalog_tick(scene.catalog, now + 1000 * second); /* pinned: it stays, and is in use */
    dataset_unpin(scene.catalog, "d", &table);
    now = clock_ns();
    catalog_tick(scene.catalog, now + 99 * second);
    check_equal_i64(check, dataset_get(scene.catalog, "d", &other, NULL), STATUS_OK);
    dataset_view_free(&other);
    catalog_tick(scene.catalog, now + 101 * second);
    check_equal_i64(check, dataset_get(scene.catalog, "d", &other, NULL), STATUS_DATASET_NOT_FOUND);
    create.name = "open";
    dataset_view_free(&view);
    dataset_create(scene.catalog, &create, &view, NULL);
    catalog_tick(scene.catalog, clock_ns() + 899 * second);
    check_equal_i64(check, dataset_get(scene.catalog, "open", &other, NULL), STATUS_OK);
    dataset_view_free(&other);
    catalog_tick(scene.catalog, clock_ns() + 901 * second);
    check_equal_i64(check, dataset_get(scene.catalog, "open", &other, NULL),
                    STATUS_DATASET_NOT_FOUND);
    dataset_view_free(&view);
    scene_close(check, &scene);
}

static void lists_come_in_pages_by_name(struct check *check)
{
    struct scene scene = {0};
    struct dataset_view view[4] = {0};
    const char *names[] = {"c", "a", "d", "b"};
    int count = 0;
    bool more = false;

    if (!scene_open(check, &scene, 64 << 20))
        return;
    for (int i = 0; i < 4; i++) {
        struct dataset_create create = blocks(names[i], 10);
        dataset_create(scene.catalog, &create, &view[0], NULL);
        dataset_view_free(&view[0]);
    }
    check_equal_i64(check, dataset_list(scene.catalog, "", 3, view, &count, &more, NULL),
                    STATUS_OK);
    check_equal_i64(check, count, 3);
    check_true(check, more);
    check_equal_text(check, view[2].name, "c");
    for (int i = 0; i < count; i++)
        dataset_view_free(&view[i]);
    check_equal_i64(check, dataset_list(scene.catalog, "c", 3, view, &count, &more, NULL),
                    STATUS_OK);
    check_equal_i64(check, count, 1);
    check_true(check, !more);
    check_equal_text(check, view[0].name, "d");
    dataset_view_free(&view[0]);
    scene_close(check, &scene);
}

#ifdef BARY_FAULTS
/* One dataset's whole life; true when nothing failed. */
static bool life(struct scene *scene)
{
    struct dataset_create create = blocks("d", 300);
    struct dataset_view view = {0}, sealed = {0};
    struct upload *upload = NULL;
    enum status status;

    TRY(dataset_create(scene->catalog, &create, &view, &scene->error));
    TRY(upload_open(scene->catalog, view.upload, &upload, &scene->error));
    TRY(send_rows(upload, 0, 200, 0, &scene->error));
    TRY(send_rows(upload, 100, 200, 0, &scene->error));
    TRY(dataset_commit(scene->catalog, view.upload, NULL, &sealed, &scene->error));
out:
    upload_close(&upload);
    dataset_view_free(&view);
    dataset_view_free(&sealed);
    dataset_delete(scene->catalog, "d", NULL);
    return status == STATUS_OK;
}
#endif

static void no_failed_allocation_leaves_anything_behind(struct check *check)
{
#ifdef BARY_FAULTS
    struct scene scene = {0};
    char spec[64];
    bool done = false;

    if (!scene_open(check, &scene, 64 << 20))
        return;
    for (int nth = 1; nth < 200 && !done; nth++) {
        check_note(check, "BARY_FAULT=memory:%d:fail", nth);
        snprintf(spec, sizeof spec, "memory:%d:fail", nth);
        fault_set(spec);
        done = life(&scene);
        fault_set(NULL);
        if (!done)
            check_equal_i64(check, scene.error.status, STATUS_OUT_OF_MEMORY);
        check_equal_i64(check, ledger_reserved(scene.ledger), 0);
    }
    check_true(check, done);
    fault_set("region:1:fail");
    check_true(check, !life(&scene));
    fault_set(NULL);
    check_true(check, life(&scene));
    scene_close(check, &scene);
#else
    check_skip(check, "built without BARY_FAULTS");
#endif
}

CHECKS(CLAIM(blocks_of_rows_become_columns),
       CLAIM(a_deleted_dataset_is_hidden_at_once_and_freed_at_its_last_unpin),
       CLAIM(creations_are_refused_in_the_right_words), CLAIM(an_npy_file_is_parsed_at_commit),
       CLAIM(a_file_that_is_no_npy_stays_open_and_says_where),
       CLAIM(cuts_of_chunks_do_not_show_in_the_content_hash),
       CLAIM(another_content_hash_is_refused), CLAIM(what_nobody_uses_goes_after_its_ttl),
       CLAIM(lists_come_in_pages_by_name), CLAIM(no_failed_allocation_leaves_anything_behind))
