/* baryc_upload.c - uploads of the C client against a server that plays a script. */
#include "clients/c/crc.h"
#include "tests/unit/baryc_peer.h"

enum { CHUNK = 64 << 10 };

static void crc_of_the_standard_string(struct check *check)
{
    check_equal_u64(check, baryc_crc32c(0, "123456789", 9), 0xe3069283u);
    check_equal_u64(check, baryc_crc32c(baryc_crc32c(0, "1234", 4), "56789", 5), 0xe3069283u);
    check_equal_u64(check, baryc_crc32c(0, "", 0), 0);
}

/* What the server holds of an upload. */
struct held {
    unsigned char *bytes;
    size_t count, unit; /* bytes in a unit of offset */
    int chunks, twice;  /* chunks that came, and that came although they were held */
    unsigned char taken[64];
};

static void take(struct peer *peer, struct held *held, const Bary__V1__UploadRequest *chunk)
{
    size_t at = (size_t)chunk->offset * held->unit;

    check_equal_u64(peer->check, chunk->crc32c,
                    baryc_crc32c(0, chunk->payload.data, chunk->payload.len));
    if (!check_true(peer->check, at + chunk->payload.len <= held->count))
        return;
    memcpy(held->bytes + at, chunk->payload.data, chunk->payload.len);
    held->twice += held->taken[at / CHUNK];
    held->taken[at / CHUNK] = 1;
    held->chunks++;
}

static void create(struct peer *peer)
{
    Bary__V1__Dataset open = BARY__V1__DATASET__INIT;

    open.name = baryc_borrow("datasets/d");
    open.upload_id = baryc_borrow("u1");
    peer_answer(peer, "Create", &bary__v1__create_dataset_request__descriptor, &open.base);
}

static void commit(struct peer *peer)
{
    Bary__V1__Dataset sealed = BARY__V1__DATASET__INIT;

    sealed.name = baryc_borrow("datasets/d");
    sealed.state = BARY__V1__DATASET_STATE__DATASET_STATE_SEALED;
    peer_answer(peer, "Commit", &bary__v1__commit_dataset_request__descriptor, &sealed.base);
}

/* One stream: its header, then chunks until their end or until `most` came. */
static struct served stream(struct peer *peer, struct held *held, int most)
{
    struct served served;
    Bary__V1__UploadRequest *message =
        peer_expect(peer, "Upload", &bary__v1__upload_request__descriptor, &served);

    check_equal_text(peer->check, message ? message->upload_id : NULL, "u1");
    baryc_free(message);
    while (most-- > 0 &&
           (message = peer_receive(peer, &served, &bary__v1__upload_request__descriptor))) {
        take(peer, held, message);
        baryc_free(message);
    }
    return served;
}

/* Answers with the ranges that are held. */
static void answer_held(struct peer *peer, struct served *served, struct held *held)
{
    Bary__V1__UploadResponse reply = BARY__V1__UPLOAD_RESPONSE__INIT;
    Bary__V1__RowRange range[64], *list[64];

    for (size_t i = 0; i * CHUNK < held->count; i++) {
        if (!held->taken[i])
            continue;
        range[reply.n_held] = (Bary__V1__RowRange)BARY__V1__ROW_RANGE__INIT;
        range[reply.n_held].first = (int64_t)(i * CHUNK / held->unit);
        range[reply.n_held].count = (int64_t)(CHUNK / held->unit);
        list[reply.n_held] = &range[reply.n_held];
        reply.n_held++;
    }
    reply.held = list;
    peer_send(peer, served, &reply.base);
    peer_finish(peer, served, 0, NULL, -1);
}

static void damage_one_chunk(struct peer *peer)
{
    struct held *held = peer->state;
    struct served served;

    create(peer);
    served = stream(peer, held, 2);
    held->taken[1] = 0; /* as if its crc were wrong */
    peer_finish(peer, &served, GRPC_STATUS_DATA_LOSS, "CHECKSUM", -1);
    served = stream(peer, held, 64); /* a header alone asks what is held */
    check_equal_i64(peer->check, held->chunks, 2);
    answer_held(peer, &served, held);
    served = stream(peer, held, 64);
    answer_held(peer, &served, held);
    commit(peer);
}

static void a_damaged_chunk_is_sent_again_and_no_other(struct check *check)
{
    enum { BYTES = 5 * CHUNK };
    struct held held = {.bytes = calloc(1, BYTES), .count = BYTES, .unit = 1};
    unsigned char *file = malloc(BYTES);
    struct baryc_upload what = {
        .npy = file, .npy_bytes = BYTES, .streams = 1, .chunk_bytes = CHUNK};
    Bary__V1__Dataset *dataset = NULL;
    struct peer peer;
    struct baryc *bary = peer_start(&peer, check, damage_one_chunk, &held);

    for (size_t i = 0; i < BYTES; i++)
        file[i] = (unsigned char)(i * 7 + i / 251);
    check_equal_i64(check, baryc_upload(bary, &what, NULL, &dataset, NULL), 0);
    check_equal_bytes(check, held.bytes, file, BYTES);
    check_equal_i64(check, held.chunks, 6); /* 5, and the damaged one again */
    check_equal_i64(check, held.twice, 0);
    baryc_free(dataset);
    peer_stop(&peer, &bary);
    free(file);
    free(held.bytes);
}

static void take_all(struct peer *peer)
{
    struct held *held = peer->state;

    create(peer);
    struct served served = stream(peer, held, 64);
    answer_held(peer, &served, held);
    commit(peer);
}

static void take_four_streams(struct peer *peer)
{
    struct held *held = peer->state;

    create(peer);
    for (int i = 0; i < 4; i++) {
        struct served served = stream(peer, held, 64);
        answer_held(peer, &served, held);
    }
    commit(peer);
}

/* Called by any of the streams, one at a time. */
static void note_bytes(void *context, int64_t bytes, int64_t total)
{
    int64_t *most = context;

    *most = bytes >= *most && bytes <= total ? bytes : -1;
}

static void four_streams_carry_every_chunk_once(struct check *check)
{
    enum { BYTES = 30 * CHUNK + 17 };
    struct held held = {.bytes = calloc(1, BYTES), .count = BYTES, .unit = 1};
    unsigned char *file = malloc(BYTES);
    int64_t most = 0;
    struct baryc_upload what = {.npy = file,
                                .npy_bytes = BYTES,
                                .chunk_bytes = CHUNK,
                                .progress = note_bytes,
                                .progress_context = &most};
    Bary__V1__Dataset *dataset = NULL;
    struct peer peer;
    struct baryc *bary = peer_start(&peer, check, take_four_streams, &held);

    for (size_t i = 0; i < BYTES; i++)
        file[i] = (unsigned char)(i * 7 + i / 251);
    check_equal_i64(check, baryc_upload(bary, &what, NULL, &dataset, NULL), 0);
    check_equal_bytes(check, held.bytes, file, BYTES);
    check_equal_i64(check, held.chunks, 31);
    check_equal_i64(check, held.twice, 0);
    check_equal_i64(check, most, BYTES);
    baryc_free(dataset);
    peer_stop(&peer, &bary);
    free(file);
    free(held.bytes);
}

static void columns_travel_as_blocks_of_whole_rows(struct check *check)
{
    enum { ROWS = 20000, ROW = 3 * 4 + 8, ROWS_A_CHUNK = CHUNK / ROW };
    struct held held = {.bytes = calloc(ROWS, ROW), .count = (size_t)ROWS * ROW, .unit = ROW};
    float *x = malloc(ROWS * 3 * sizeof *x);
    double *w = malloc(ROWS * sizeof *w);
    struct baryc_column column[2] = {{"x", BARY__V1__DTYPE__DTYPE_F32, 3, x},
                                     {"w", BARY__V1__DTYPE__DTYPE_F64, 1, w}};
    struct baryc_upload what = {
        .column = column, .columns = 2, .rows = ROWS, .streams = 1, .chunk_bytes = CHUNK};
    Bary__V1__Dataset *dataset = NULL;
    struct peer peer;
    struct baryc *bary = peer_start(&peer, check, take_all, &held);

    for (int i = 0; i < ROWS; i++) {
        x[3 * i] = x[3 * i + 1] = x[3 * i + 2] = (float)i;
        w[i] = -i;
    }
    check_equal_i64(check, baryc_upload(bary, &what, NULL, &dataset, NULL), 0);
    for (int first = 0; first < ROWS; first += ROWS_A_CHUNK) {
        int rows = ROWS - first < ROWS_A_CHUNK ? ROWS - first : ROWS_A_CHUNK;
        const unsigned char *block = held.bytes + (size_t)first * ROW;
        check_note(check, "first=%d", first);
        check_equal_bytes(check, block, (unsigned char *)(x + 3 * first), (size_t)rows * 12);
        check_equal_bytes(check, block + (size_t)rows * 12, (unsigned char *)(w + first),
                          (size_t)rows * 8);
    }
    baryc_free(dataset);
    peer_stop(&peer, &bary);
    free(x);
    free(w);
    free(held.bytes);
}

static void refuse_for_good(struct peer *peer)
{
    struct held *held = peer->state;
    Bary__V1__DeleteDatasetResponse gone = BARY__V1__DELETE_DATASET_RESPONSE__INIT;

    create(peer);
    struct served served = stream(peer, held, 1);
    peer_finish(peer, &served, GRPC_STATUS_ALREADY_EXISTS, "UPLOAD_CONFLICT", -1);
    peer_answer(peer, "Delete", &bary__v1__delete_dataset_request__descriptor, &gone.base);
}

static void a_failed_upload_leaves_no_dataset(struct check *check)
{
    enum { BYTES = 3 * CHUNK };
    struct held held = {.bytes = calloc(1, BYTES), .count = BYTES, .unit = 1};
    unsigned char *file = calloc(1, BYTES);
    struct baryc_upload what = {
        .npy = file, .npy_bytes = BYTES, .streams = 1, .chunk_bytes = CHUNK};
    Bary__V1__Dataset *dataset = NULL;
    struct baryc_error error;
    struct peer peer;
    struct baryc *bary = peer_start(&peer, check, refuse_for_good, &held);

    check_equal_i64(check, baryc_upload(bary, &what, NULL, &dataset, &error),
                    GRPC_STATUS_ALREADY_EXISTS);
    check_equal_text(check, error.reason, "UPLOAD_CONFLICT");
    check_true(check, dataset == NULL);
    peer_stop(&peer, &bary);
    free(file);
    free(held.bytes);
}

static void impossible_uploads_are_refused_before_any_call(struct check *check)
{
    struct baryc_column column = {"x", BARY__V1__DTYPE__DTYPE_F64, INT64_MAX / 4, "x"};
    struct baryc_upload wide = {.column = &column, .columns = 1, .rows = 4};
    struct baryc_upload empty = {.npy = "", .npy_bytes = 0};
    Bary__V1__Dataset *dataset = NULL;
    struct baryc_error error;

    check_true(check, baryc_upload(NULL, &wide, NULL, &dataset, &error) != 0);
    check_equal_text(check, error.reason, "SHAPE_MISMATCH");
    check_true(check, baryc_upload(NULL, &empty, NULL, &dataset, &error) != 0);
    check_equal_text(check, error.reason, "SHAPE_MISMATCH");
}

CHECKS(CLAIM(crc_of_the_standard_string), CLAIM(a_damaged_chunk_is_sent_again_and_no_other),
       CLAIM(four_streams_carry_every_chunk_once), CLAIM(columns_travel_as_blocks_of_whole_rows),
       CLAIM(a_failed_upload_leaves_no_dataset),
       CLAIM(impossible_uploads_are_refused_before_any_call))
