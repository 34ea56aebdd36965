/* upload.c - a dataset's bytes onto the server: created, sent by several streams, committed.
 *
 * The whole is cut into chunks. Streams take the next chunk that is still to be sent, in ascending
 * order, and compute its crc while the one before is on its way. Chunks lie in the user's memory
 * and are lent to gRPC without a copy; a counter says when the last of them came back.
 *
 * A stream that breaks takes nothing down: when all have ended, a stream without chunks asks what
 * the server holds, and another round sends the rest. */
#include <grpc/grpc.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/call.h"
#include "clients/c/crc.h"

enum {
    STREAMS = 4,     /* hides crc and copies of one stream behind another's */
    STREAMS_MAX = 8, /* what a server lets one principal have */
    CHUNK_BYTES = 1 << 20,
    CHUNK_BYTES_MIN = 64 << 10,
    CHUNK_BYTES_MAX = 3 << 20,
    ROUNDS_MAX = 5,
    COMMITS_MAX = 60, /* of a minute each: a Commit past its deadline goes on */
    STREAM_MS = 6 * 3600 * 1000
};

/* Lives on baryc_upload's stack. Streams share it; `lock` guards what is below it. */
struct upload {
    struct baryc *connection;
    const struct baryc_upload *what;
    const struct baryc_options *options;
    const char *id;           /* upload id */
    size_t *row_bytes;        /* of each column; NULL for a file */
    int64_t units, per_chunk; /* rows, or bytes of a file: in all and in a chunk */
    int64_t chunks;
    size_t total_bytes;

    pthread_mutex_t lock;
    pthread_cond_t returned;
    unsigned char *sent; /* a byte a chunk: handed to a stream in this round, or held */
    int64_t next;        /* no chunk before it is unsent */
    int64_t lent;        /* slices that gRPC still holds */
    int64_t bytes_done;
    bool failed; /* some stream failed in this round */
    bool fatal;  /* and trying again is no use */
    struct baryc_error error;
};

static void came_back(void *context)
{
    struct upload *upload = context;

    pthread_mutex_lock(&upload->lock);
    if (--upload->lent == 0)
        pthread_cond_signal(&upload->returned);
    pthread_mutex_unlock(&upload->lock);
}

static grpc_slice lend(struct upload *upload, const void *data, size_t bytes)
{
    pthread_mutex_lock(&upload->lock);
    upload->lent++;
    pthread_mutex_unlock(&upload->lock);
    return grpc_slice_new_with_user_data((void *)(uintptr_t)data, bytes, came_back, upload);
}

static int64_t chunk_units(const struct upload *upload, int64_t chunk)
{
    int64_t first = chunk * upload->per_chunk;
    int64_t left = upload->units - first;
    return left < upload->per_chunk ? left : upload->per_chunk;
}

/* The next chunk that nobody sent, or -1: none, or no use. */
static int64_t take_chunk(struct upload *upload)
{
    int64_t chunk = -1;

    bool stop = baryc_stopped(upload->options);
    pthread_mutex_lock(&upload->lock);
    if (stop && !upload->fatal) {
        upload->failed = upload->fatal = true;
        BARYC_FAIL(&upload->error, CANCELLED, "why", "by the caller");
    }
    while (!upload->fatal && upload->next < upload->chunks && upload->sent[upload->next])
        upload->next++;
    if (!upload->fatal && upload->next < upload->chunks) {
        chunk = upload->next++;
        upload->sent[chunk] = 1;
    }
    pthread_mutex_unlock(&upload->lock);
    return chunk;
}

/* UploadRequest's fields by hand: 2 offset, 3 payload, 4 crc32c. */
static size_t put_varint(uint8_t *at, uint64_t value)
{
    size_t used = 0;

    for (; value >= 0x80; value >>= 7)
        at[used++] = (uint8_t)(value | 0x80);
    at[used++] = (uint8_t)value;
    return used;
}

static grpc_slice head_slice(int64_t offset, size_t bytes)
{
    uint8_t head[24];
    size_t used = 0;

    head[used++] = 2 << 3;
    used += put_varint(head + used, (uint64_t)offset);
    head[used++] = 3 << 3 | 2;
    used += put_varint(head + used, bytes);
    return grpc_slice_from_copied_buffer((const char *)head, used);
}

static grpc_slice crc_slice(uint32_t crc)
{
    const uint8_t tail[5] = {4 << 3 | 5, (uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16),
                             (uint8_t)(crc >> 24)};
    return grpc_slice_from_copied_buffer((const char *)tail, sizeof tail);
}

/* The payload's pieces: a span of the file, or one span of each column. */
static int spans_of(const struct upload *upload, int64_t chunk, int piece, const void **data,
                    size_t *bytes)
{
    size_t first = (size_t)(chunk * upload->per_chunk);
    size_t units = (size_t)chunk_units(upload, chunk);

    if (upload->what->npy) {
        *data = (const char *)upload->what->npy + first;
        *bytes = units;
        return 1;
    }
    *data = (const char *)upload->what->column[piece].data + first * upload->row_bytes[piece];
    *bytes = units * upload->row_bytes[piece];
    return upload->what->columns;
}

static grpc_byte_buffer *make_chunk(struct upload *upload, int64_t chunk, size_t *payload)
{
    int pieces = upload->what->npy ? 1 : upload->what->columns;
    grpc_slice *slice = calloc((size_t)pieces + 2, sizeof *slice);
    grpc_byte_buffer *message;
    uint32_t crc = 0;

    if (!slice)
        return NULL;
    *payload = 0;
    for (int i = 0; i < pieces; i++) {
        const void *data;
        size_t bytes;
        spans_of(upload, chunk, i, &data, &bytes);
        crc = baryc_crc32c(crc, data, bytes);
        slice[1 + i] = lend(upload, data, bytes);
        *payload += bytes;
    }
    slice[0] = head_slice(chunk * upload->per_chunk, *payload);
    slice[1 + pieces] = crc_slice(crc);
    message = grpc_raw_byte_buffer_create(slice, (size_t)pieces + 2);
    for (int i = 0; i < pieces + 2; i++)
        grpc_slice_unref(slice[i]);
    free(slice);
    return message;
}

static void count_bytes(struct upload *upload, size_t bytes)
{
    pthread_mutex_lock(&upload->lock);
    upload->bytes_done += (int64_t)bytes;
    if (upload->what->progress)
        upload->what->progress(upload->what->progress_context, upload->bytes_done,
                               (int64_t)upload->total_bytes);
    pthread_mutex_unlock(&upload->lock);
}

static void send_header(struct upload *upload, struct baryc_call *call)
{
    Bary__V1__UploadRequest header = BARY__V1__UPLOAD_REQUEST__INIT;

    baryc_call_open(upload->connection, "/bary.v1.DatasetService/Upload", STREAM_MS, call);
    header.upload_id = baryc_borrow(upload->id);
    baryc_call_send(call, baryc_pack(&header.base));
    baryc_call_wait(call, BARYC_SENT, upload->options);
}

/* Ends the messages and takes the answer: what the server holds, or NULL with the error. */
static Bary__V1__UploadResponse *finish_stream(struct upload *upload, struct baryc_call *call,
                                               struct baryc_error *error)
{
    if (!call->broken)
        baryc_call_send_end(call);
    baryc_call_receive(call);
    baryc_call_wait(call, BARYC_RECEIVED, upload->options);
    grpc_byte_buffer *reply = call->received;
    call->received = NULL;
    Bary__V1__UploadResponse *held =
        reply ? baryc_unpack(&bary__v1__upload_response__descriptor, reply) : NULL;
    int code = baryc_call_close(call, upload->options, error);
    if (code == 0 && !held)
        BARYC_FAIL(error, MALFORMED, "what", "the server's answer", "byte", "0", "why",
                   "an upload ended without one");
    if (code != 0) {
        baryc_free(held);
        held = NULL;
    }
    return held;
}

static bool worth_another_round(const struct baryc_error *error)
{
    return strcmp(error->reason, "CHECKSUM") == 0 || baryc_worth_repeating(error);
}

static void note_failure(struct upload *upload, const struct baryc_error *error)
{
    pthread_mutex_lock(&upload->lock);
    bool fatal = !worth_another_round(error);
    if (!upload->failed || (fatal && !upload->fatal))
        upload->error = *error;
    upload->failed = true;
    upload->fatal |= fatal;
    pthread_mutex_unlock(&upload->lock);
}

static void *run_stream(void *context)
{
    struct upload *upload = context;
    struct baryc_error error = {0};
    struct baryc_call call;
    size_t bytes = 0, before = 0;

    send_header(upload, &call);
    for (int64_t chunk = take_chunk(upload); chunk >= 0; chunk = take_chunk(upload)) {
        grpc_byte_buffer *message = make_chunk(upload, chunk, &bytes);
        baryc_call_wait(&call, BARYC_SENT, upload->options);
        count_bytes(upload, before);
        before = 0;
        if (!message || call.broken) {
            if (message)
                grpc_byte_buffer_destroy(message);
            else
                baryc_call_cancel(&call);
            break;
        }
        baryc_call_send(&call, message);
        before = bytes;
    }
    baryc_call_wait(&call, BARYC_SENT, upload->options);
    count_bytes(upload, before);
    Bary__V1__UploadResponse *held = finish_stream(upload, &call, &error);
    if (!held)
        note_failure(upload, &error);
    baryc_free(held);
    return NULL;
}

static void run_round(struct upload *upload)
{
    pthread_t thread[STREAMS_MAX];
    int64_t wanted = upload->what->streams > 0 ? upload->what->streams : STREAMS;
    int started = 0;

    if (wanted > STREAMS_MAX)
        wanted = STREAMS_MAX;
    if (wanted > upload->chunks)
        wanted = upload->chunks;
    while (started < wanted - 1 && pthread_create(&thread[started], NULL, run_stream, upload) == 0)
        started++;
    run_stream(upload); /* the caller's thread is one of them, and enough if no other starts */
    while (started > 0)
        pthread_join(thread[--started], NULL);
}

static bool is_held(const Bary__V1__UploadResponse *held, int64_t first, int64_t count)
{
    for (size_t i = 0; i < held->n_held; i++)
        if (held->held[i]->first <= first &&
            first + count <= held->held[i]->first + held->held[i]->count)
            return true;
    return false;
}

/* What the server holds is sent, all else is not: chunks on a broken stream may or may not have arrived. */
static int ask_held(struct upload *upload, struct baryc_error *error)
{
    struct baryc_call call;

    send_header(upload, &call);
    Bary__V1__UploadResponse *held = finish_stream(upload, &call, error);
    if (!held)
        return error->code;
    upload->next = 0;
    upload->bytes_done = 0;
    for (int64_t i = 0; i < upload->chunks; i++) {
        int64_t units = chunk_units(upload, i);
        upload->sent[i] = is_held(held, i * upload->per_chunk, units);
        if (upload->sent[i])
            upload->bytes_done +=
                (int64_t)((double)upload->total_bytes * (double)units / (double)upload->units);
    }
    baryc_free(held);
    return 0;
}

static int send_all(struct upload *upload, struct baryc_error *error)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        upload->failed = upload->fatal = false;
        run_round(upload);
        if (!upload->failed)
            return 0;
        if (upload->fatal)
            break;
        baryc_pause(upload->connection, &upload->error, round, upload->options);
        if (ask_held(upload, &upload->error) != 0 && !baryc_worth_repeating(&upload->error))
            break;
    }
    if (error)
        *error = upload->error;
    return upload->error.code;
}

/* Before the memory may go, gRPC must have let go of it: at the latest when its keepalive finds
 * the peer dead. */
static void wait_for_slices(struct upload *upload)
{
    pthread_mutex_lock(&upload->lock);
    while (upload->lent > 0)
        pthread_cond_wait(&upload->returned, &upload->lock);
    pthread_mutex_unlock(&upload->lock);
}

static int commit(struct upload *upload, Bary__V1__Dataset **out, struct baryc_error *error)
{
    Bary__V1__CommitDatasetRequest request = BARY__V1__COMMIT_DATASET_REQUEST__INIT;
    struct baryc_options options = {.timeout_ms = 55000};
    struct baryc_error last = {0};
    int code = 0;

    if (upload->options)
        options.stop = upload->options->stop, options.stop_context = upload->options->stop_context;
    request.upload_id = baryc_borrow(upload->id);
    for (int i = 0; i < COMMITS_MAX; i++) {
        code = baryc_dataset_commit(upload->connection, &request, &options, out, &last);
        if (code != GRPC_STATUS_DEADLINE_EXCEEDED || baryc_stopped(&options))
            break;
    }
    if (code != 0 && error)
        *error = last;
    return code;
}

size_t baryc_dtype_bytes(Bary__V1__DType dtype)
{
    static const unsigned char bytes[] = {0, 4, 8, 2, 2, 1, 2, 4, 8, 1, 2, 4, 8, 1};
    return (size_t)dtype < sizeof bytes ? bytes[dtype] : 0;
}

static size_t clamp_chunk(size_t bytes)
{
    if (bytes == 0)
        return CHUNK_BYTES;
    return bytes < CHUNK_BYTES_MIN   ? CHUNK_BYTES_MIN
           : bytes > CHUNK_BYTES_MAX ? CHUNK_BYTES_MAX
                                     : bytes;
}

static int bad_shape(struct baryc_error *error, const char *found, const char *expected)
{
    return BARYC_FAIL(error, SHAPE_MISMATCH, "what", "the upload", "found", found, "expected",
                      expected);
}

/* Bytes of a row of each column and of the whole, with every product checked. */
static int measure_columns(struct upload *upload, struct baryc_error *error)
{
    const struct baryc_upload *what = upload->what;
    size_t row = 0;

    if (what->columns < 1 || what->rows < 1)
        return bad_shape(error, "no rows or no columns", "at least one of both");
    upload->row_bytes = calloc((size_t)what->columns, sizeof *upload->row_bytes);
    if (!upload->row_bytes)
        return BARYC_FAIL(error, OUT_OF_MEMORY, "what", "an upload", "needed", "some", "retry_ms",
                          "1000");
    for (int i = 0; i < what->columns; i++) {
        size_t width = what->column[i].width > 0 ? (size_t)what->column[i].width : 1;
        size_t size = baryc_dtype_bytes(what->column[i].dtype);
        if (size == 0 || __builtin_mul_overflow(width, size, &upload->row_bytes[i]) ||
            __builtin_add_overflow(row, upload->row_bytes[i], &row))
            return bad_shape(error, "a column of unknown type or impossible width",
                             "known types and widths");
    }
    if (row > CHUNK_BYTES_MAX)
        return bad_shape(error, "a row of more than 3 MiB", "rows that fit a chunk");
    if (__builtin_mul_overflow(row, (size_t)what->rows, &upload->total_bytes) ||
        upload->total_bytes > INT64_MAX)
        return bad_shape(error, "more bytes than a number holds", "fewer");
    int64_t rows = (int64_t)(clamp_chunk(what->chunk_bytes) / row);
    upload->units = what->rows;
    upload->per_chunk = rows > 0 ? rows : 1;
    return 0;
}

static int measure(struct upload *upload, struct baryc_error *error)
{
    if (!upload->what->npy) {
        int code = measure_columns(upload, error);
        if (code != 0)
            return code;
    } else {
        if (upload->what->npy_bytes == 0)
            return bad_shape(error, "an empty file", "a .npy file");
        upload->total_bytes = upload->what->npy_bytes;
        upload->units = (int64_t)upload->what->npy_bytes;
        upload->per_chunk = (int64_t)clamp_chunk(upload->what->chunk_bytes);
    }
    upload->chunks = (upload->units - 1) / upload->per_chunk + 1;
    upload->sent = calloc((size_t)upload->chunks, 1);
    return upload->sent ? 0
                        : BARYC_FAIL(error, OUT_OF_MEMORY, "what", "an upload", "needed", "some",
                                     "retry_ms", "1000");
}

static int create_columns(struct upload *upload, Bary__V1__CreateDatasetRequest *request,
                          Bary__V1__Dataset **out, struct baryc_error *error)
{
    const struct baryc_upload *what = upload->what;
    Bary__V1__Schema schema = BARY__V1__SCHEMA__INIT;
    Bary__V1__Column *column = calloc((size_t)what->columns, sizeof *column);
    Bary__V1__Column **list = calloc((size_t)what->columns, sizeof *list);
    int code;

    for (int i = 0; column && list && i < what->columns; i++) {
        column[i] = (Bary__V1__Column)BARY__V1__COLUMN__INIT;
        if (what->column[i].name)
            column[i].name = baryc_borrow(what->column[i].name);
        column[i].dtype = what->column[i].dtype;
        column[i].width = what->column[i].width;
        list[i] = &column[i];
    }
    schema.n_columns = (size_t)what->columns;
    schema.columns = list;
    request->schema = &schema;
    request->rows = what->rows;
    request->encoding = BARY__V1__ENCODING__ENCODING_BLOCKS;
    if (column && list)
        code = baryc_dataset_create(upload->connection, request, upload->options, out, error);
    else
        code = BARYC_FAIL(error, OUT_OF_MEMORY, "what", "a schema", "needed", "some", "retry_ms",
                          "1000");
    free(column);
    free(list);
    return code;
}

static int create(struct upload *upload, Bary__V1__Dataset **out, struct baryc_error *error)
{
    Bary__V1__CreateDatasetRequest request = BARY__V1__CREATE_DATASET_REQUEST__INIT;
    Google__Protobuf__Duration ttl = GOOGLE__PROTOBUF__DURATION__INIT;
    char id[37];

    baryc_uuid(id);
    request.request_id = id;
    if (upload->what->id)
        request.id = baryc_borrow(upload->what->id);
    if (upload->what->ttl_s > 0) {
        ttl.seconds = upload->what->ttl_s;
        request.ttl = &ttl;
    }
    request.total_bytes = (int64_t)upload->total_bytes;
    if (!upload->what->npy)
        return create_columns(upload, &request, out, error);
    request.encoding = BARY__V1__ENCODING__ENCODING_NPY;
    return baryc_dataset_create(upload->connection, &request, upload->options, out, error);
}

/* A failed upload leaves nothing behind; if this fails too, the server forgets it by itself. */
static void remove_dataset(struct baryc *connection, char *name)
{
    Bary__V1__DeleteDatasetRequest request = BARY__V1__DELETE_DATASET_REQUEST__INIT;
    Bary__V1__DeleteDatasetResponse *response = NULL;
    struct baryc_options options = {.timeout_ms = 5000, .attempts = 1};

    request.name = name;
    baryc_dataset_delete(connection, &request, &options, &response, NULL);
    baryc_free(response);
}

int baryc_upload(struct baryc *connection, const struct baryc_upload *what,
                 const struct baryc_options *options, Bary__V1__Dataset **out,
                 struct baryc_error *error)
{
    struct upload upload = {.connection = connection,
                            .what = what,
                            .options = options,
                            .lock = PTHREAD_MUTEX_INITIALIZER,
                            .returned = PTHREAD_COND_INITIALIZER};
    Bary__V1__Dataset *open = NULL;
    int code = measure(&upload, error);

    if (code == 0)
        code = create(&upload, &open, error);
    if (code == 0) {
        upload.id = open->upload_id;
        code = send_all(&upload, error);
        if (code == 0)
            code = commit(&upload, out, error);
        wait_for_slices(&upload);
        if (code != 0)
            remove_dataset(connection, open->name);
    }
    baryc_free(open);
    free(upload.sent);
    free(upload.row_bytes);
    pthread_mutex_destroy(&upload.lock);
    pthread_cond_destroy(&upload.returned);
    return code;
}
