/* engine_model.c - a model's bytes: the same everywhere, believed only after every check. */
#include "host/cluster/model.h"

#include "host/base/checksum.h"
#include "host/base/file.h"
#include "host/base/memory.h"
#include "tests/check.h"

#define GOLDEN BARY_SOURCE_DIR "/tests/golden/model/format1.barymodel"

/* The model of the golden file: every field has a value of its own. */
static struct model *golden_model(struct check *check)
{
    static double centers[] = {0.1, -2.5, 1e150, 4, 5.5, 0x1p-1074}, history[] = {9.75, 3.5, 3.25};
    static int64_t sizes[] = {4, 0};
    static const char *const names[] = {"length", "gr\303\266\303\237e", ""};
    struct kmeans_result result = {.number = NUMBER_F32,
                                   .rows = 5,
                                   .columns = 3,
                                   .n_clusters = 2,
                                   .centers = centers,
                                   .sizes = sizes,
                                   .inertia = 3.25,
                                   .n_iter = 3,
                                   .run = 1,
                                   .n_init = 2,
                                   .init = INIT_RANDOM,
                                   .stop = STOP_TOLERANCE,
                                   .random_state = 0xfedcba9876543210u,
                                   .fingerprint =
                                       (uint128)0x0123456789abcdefu << 64 | 0x1122334455667788u,
                                   .history = history};
    struct kmeans_params params = {.max_iter = 77, .tol = 0.125, .non_finite = NON_FINITE_SKIP};
    struct model *model = NULL;

    check_equal_i64(check, model_of_result(&result, &params, names, &model, NULL), STATUS_OK);
    model->created_wall_ns = 1700000000123456789;
    return model;
}

static void models_equal(struct check *check, const struct model *got, const struct model *want)
{
    check_equal_i64(check, got->numerics, want->numerics);
    check_equal_i64(check, got->algorithm, want->algorithm);
    check_equal_i64(check, got->init, want->init);
    check_equal_i64(check, got->number, want->number);
    check_equal_i64(check, got->n_clusters, want->n_clusters);
    check_equal_i64(check, got->columns, want->columns);
    check_equal_i64(check, got->rows, want->rows);
    check_equal_i64(check, got->n_iter, want->n_iter);
    check_equal_i64(check, got->n_init, want->n_init);
    check_equal_i64(check, got->max_iter, want->max_iter);
    check_equal_bits(check, got->tol, want->tol);
    check_equal_bits(check, got->inertia, want->inertia);
    check_equal_u64(check, got->random_state, want->random_state);
    check_equal_i64(check, got->stop, want->stop);
    check_equal_i64(check, got->non_finite, want->non_finite);
    check_true(check, got->fingerprint == want->fingerprint);
    check_equal_i64(check, got->created_wall_ns, want->created_wall_ns);
    check_equal_bytes(check, got->centers, want->centers,
                      (size_t)(want->n_clusters * want->columns) * sizeof(double));
    check_equal_bytes(check, got->sizes, want->sizes, (size_t)want->n_clusters * sizeof(int64_t));
    if (check_equal_i64(check, got->history_count, want->history_count))
        check_equal_bytes(check, got->history, want->history,
                          (size_t)want->history_count * sizeof(double));
    if (check_true(check, !got->column_names == !want->column_names) && want->column_names)
        for (int64_t d = 0; d < want->columns; d++)
            check_equal_text(check, got->column_names[d], want->column_names[d]);
}

static void a_model_survives_its_bytes(struct check *check)
{
    struct model *model = golden_model(check), *again = NULL;
    void *bytes = NULL, *twice = NULL;
    size_t count = 0, twice_count = 0;

    check_equal_i64(check, model_encode(model, &bytes, &count, NULL), STATUS_OK);
    if (check_equal_i64(check, model_decode("m", bytes, count, &again, NULL), STATUS_OK)) {
        models_equal(check, again, model);
        model_encode(again, &twice, &twice_count, NULL);
        check_equal_u64(check, twice_count, count);
        check_equal_bytes(check, twice, bytes, count);
    }
    memory_free(bytes);
    memory_free(twice);
    model_unpin(&model);
    model_unpin(&again);
    check_true(check, model == NULL);
}

/* BARY_GOLDEN=write makes the file: once for each format, never again for the same one. */
static void the_golden_file_of_format_1_is_read_and_written_alike(struct check *check)
{
    struct model *want = golden_model(check), *got = NULL;
    void *bytes = NULL, *golden = NULL;
    size_t count = 0, golden_count = 0;
    struct error error;

    if (getenv("BARY_GOLDEN"))
        check_equal_i64(check, model_write_file(want, GOLDEN, &error), STATUS_OK);
    check_equal_i64(check, model_encode(want, &bytes, &count, NULL), STATUS_OK);
    if (check_equal_i64(check, file_read_all(GOLDEN, 1 << 20, &golden, &golden_count, &error),
                        STATUS_OK) &&
        check_equal_u64(check, count, golden_count))
        check_equal_bytes(check, bytes, golden, count);
    if (check_equal_i64(check, model_read_file(GOLDEN, &got, &error), STATUS_OK))
        models_equal(check, got, want);
    memory_free(bytes);
    memory_free(golden);
    model_unpin(&want);
    model_unpin(&got);
}

static double *big_centers(int64_t values)
{
    double *centers = malloc((size_t)values * sizeof *centers);

    for (int64_t i = 0; i < values; i++)
        centers[i] = (double)i / 3;
    return centers;
}

/* Fields that cross the borders of blocks, and one that ends on a border. */
static void a_model_of_many_blocks_survives(struct check *check)
{
    static const int64_t clusters[] = {4096, 14562, 14560};

    for (size_t i = 0; i < sizeof clusters / sizeof *clusters; i++) {
        double *centers = big_centers(clusters[i] * 8);
        struct model *model = NULL, *again = NULL;
        void *bytes = NULL;
        size_t count = 0;
        check_note(check, "clusters=%" PRId64, clusters[i]);
        model_of_centers(centers, clusters[i], 8, NUMBER_F64, &model, NULL);
        model_encode(model, &bytes, &count, NULL);
        if (check_equal_i64(check, model_decode("m", bytes, count, &again, NULL), STATUS_OK))
            models_equal(check, again, model);
        ((unsigned char *)bytes)[count / 2] ^= 4;
        struct model *damaged = NULL;
        check_equal_i64(check, model_decode("m", bytes, count, &damaged, NULL), STATUS_DAMAGED);
        check_true(check, damaged == NULL);
        memory_free(bytes);
        free(centers);
        model_unpin(&model);
        model_unpin(&again);
    }
}

static void damage_is_named_with_its_byte(struct check *check)
{
    struct model *model = golden_model(check), *out = NULL;
    struct error error;
    void *saved = NULL;
    size_t count = 0;

    model_encode(model, &saved, &count, NULL);
    unsigned char *bytes = malloc(count + 1);
    for (size_t at = 0; at < count; at++)
        for (int bit = 0; bit < 8; bit++) {
            memcpy(bytes, saved, count);
            bytes[at] ^= (unsigned char)(1u << bit);
            check_note(check, "byte %zu, bit %d", at, bit);
            check_equal_i64(check, model_decode("m", bytes, count, &out, &error), STATUS_DAMAGED);
            check_true(check, error_value(&error, "byte") != NULL);
        }
    memcpy(bytes, saved, count);
    for (size_t less = 0; less < count; less++)
        check_equal_i64(check, model_decode("m", bytes, less, &out, &error), STATUS_DAMAGED);
    bytes[count] = 0;
    check_equal_i64(check, model_decode("m", bytes, count + 1, &out, &error), STATUS_DAMAGED);
    check_true(check, out == NULL);
    free(bytes);
    memory_free(saved);
    model_unpin(&model);
}

static void crcs_mend(unsigned char *bytes, size_t count)
{
    uint32_t crc = crc32c(0, bytes, 24);

    memcpy(bytes + 24, &crc, sizeof crc);
    crc = crc32c(0, bytes + 28, count - 28 - 4);
    memcpy(bytes + count - 4, &crc, sizeof crc);
}

/* Whoever writes the bytes can make a crc: no length in them is believed, no value out of range. */
static void forged_bytes_are_refused_or_make_a_sound_model(struct check *check)
{
    static const unsigned char odd[] = {0, 1, 0x7f, 0x80, 0xff};
    struct model *model = golden_model(check);
    void *saved = NULL;
    size_t count = 0, refused = 0;

    model_encode(model, &saved, &count, NULL);
    unsigned char *bytes = malloc(count);
    for (size_t at = 8; at < count - 4; at++)
        for (size_t i = 0; i < sizeof odd; i++) {
            struct model *out = NULL;
            memcpy(bytes, saved, count);
            bytes[at] = odd[i];
            crcs_mend(bytes, count);
            check_note(check, "byte %zu is %u", at, odd[i]);
            enum status status = model_decode("m", bytes, count, &out, NULL);
            refused += status != STATUS_OK;
            check_true(check, (status == STATUS_OK) == (out != NULL));
            check_true(check, status == STATUS_OK || status == STATUS_DAMAGED ||
                                  status == STATUS_UNSUPPORTED);
            model_unpin(&out);
        }
    check_true(check, refused > 400);
    free(bytes);
    memory_free(saved);
    model_unpin(&model);
}

/* Half a terabyte of centers is refused for its length, before anybody asks for the memory. */
static void a_forged_shape_takes_no_memory(struct check *check)
{
    const int64_t clusters = 1 << 20, columns = 65536;
    struct model *model = NULL, *out = NULL;
    struct error error;
    void *bytes = NULL;
    size_t count = 0;

    model_of_centers((const double[]){1, 2}, 1, 2, NUMBER_F64, &model, NULL);
    model_encode(model, &bytes, &count, NULL);
    memcpy((char *)bytes + 28 + 24, &clusters, sizeof clusters);
    memcpy((char *)bytes + 28 + 32, &columns, sizeof columns);
    crcs_mend(bytes, count);
    check_equal_i64(check, model_decode("m", bytes, count, &out, &error), STATUS_DAMAGED);
    check_equal_text(check, error_value(&error, "why"), "a length is beyond its end");
    memory_free(bytes);
    model_unpin(&model);
}

static void a_newer_format_is_unsupported(struct check *check)
{
    struct model *model = golden_model(check), *out = NULL;
    struct error error;
    void *bytes = NULL;
    size_t count = 0;

    model_encode(model, &bytes, &count, NULL);
    ((unsigned char *)bytes)[8] = 2;
    crcs_mend(bytes, count);
    check_equal_i64(check, model_decode("m", bytes, count, &out, &error), STATUS_UNSUPPORTED);
    check_equal_text(check, error_value(&error, "why"), "it has format 2, this program reads 1");
    memory_free(bytes);
    model_unpin(&model);
}

static void centers_out_of_range_make_no_model(struct check *check)
{
    double centers[] = {1, 2, NAN, 4};
    struct model *model = NULL;
    struct error error;

    check_equal_i64(check, model_of_centers(centers, 2, 2, NUMBER_F64, &model, &error),
                    STATUS_NON_FINITE);
    check_equal_text(check, error_value(&error, "row"), "1");
    centers[2] = 1e151;
    check_equal_i64(check, model_of_centers(centers, 2, 2, NUMBER_F64, &model, &error),
                    STATUS_ROW_OUT_OF_RANGE);
    check_equal_i64(check, model_of_centers(centers, 0, 2, NUMBER_F64, &model, &error),
                    STATUS_OUT_OF_RANGE);
    check_equal_i64(check, model_of_centers(centers, 2, 0, NUMBER_F64, &model, &error),
                    STATUS_OUT_OF_RANGE);
    check_true(check, model == NULL);
}

static void the_last_pin_frees_a_model(struct check *check)
{
    struct model *model = golden_model(check), *also = model;

    model_pin(also);
    model_unpin(&model);
    check_equal_i64(check, also->n_clusters, 2);
    model_unpin(&also);
    model_unpin(&also); /* NULL is fine */
}

CHECKS(CLAIM(a_model_survives_its_bytes),
       CLAIM(the_golden_file_of_format_1_is_read_and_written_alike),
       CLAIM(a_model_of_many_blocks_survives), CLAIM(damage_is_named_with_its_byte),
       CLAIM(forged_bytes_are_refused_or_make_a_sound_model), CLAIM(a_forged_shape_takes_no_memory),
       CLAIM(a_newer_format_is_unsupported), CLAIM(centers_out_of_range_make_no_model),
       CLAIM(the_last_pin_frees_a_model))
