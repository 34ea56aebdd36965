/* baryc.h - a synchronous client of a Bary server, for C.
 *
 *     struct baryc *bary = NULL;
 *     struct baryc_error error;
 *     Bary__V1__Server *server = NULL;
 *     Bary__V1__GetServerRequest request = BARY__V1__GET_SERVER_REQUEST__INIT;
 *
 *     if (baryc_connect("127.0.0.1:7433", 0, &bary, &error) != 0 ||
 *         baryc_server_get(bary, &request, NULL, &server, &error) != 0)
 *         fprintf(stderr, "%s\n", error.message);
 *     baryc_free(server);
 *     baryc_disconnect(&bary);
 *
 * Messages are those that protobuf-c makes of proto/bary/v1: what a field means is said there.
 *
 *  1. Every function that may fail returns 0 or gRPC's number of a status code. It then fills
 *     *error (NULL is fine) and leaves its other outputs as they were.
 *  2. A connection may be used by any number of threads at once: every call has a completion queue
 *     of its own. baryc_disconnect comes after the last of them has returned.
 *  3. Messages that a call hands out are the caller's, for baryc_free. What a call is given is
 *     borrowed until it returns.
 *  4. Nothing is sent twice unless that is harmless: calls that only read, and calls that carry a
 *     request id, are repeated when the server was unreachable or asked for a later try.
 *  5. After fork a child may only exec. Signals are left alone; a handler may not call anything here.
 */
#ifndef BARY_CLIENTS_C_BARYC_H
#define BARY_CLIENTS_C_BARYC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define delete delete_ /* protobuf-c names a member after the method Delete */
#endif
#include "bary/v1/clustering_service.pb-c.h"
#include "bary/v1/dataset_service.pb-c.h"
#include "bary/v1/job_service.pb-c.h"
#include "bary/v1/model_service.pb-c.h"
#include "bary/v1/server_service.pb-c.h"
#include "bary/v1/types.pb-c.h"
#ifdef __cplusplus
#undef delete
extern "C" {
#endif

struct baryc;

/* Why a call ended badly. Owns nothing: copied and dropped freely. */
enum { BARYC_FIELDS_MAX = 12 };
struct baryc_error {
    int code;           /* gRPC's number; 0: no error */
    char reason[48];    /* "TOO_FEW_ROWS": a row of proto/status.def; "": the server named none */
    char message[1200]; /* one sentence for people */
    int64_t retry_ms;   /* the same call may succeed after so long; -1: it will not */
    int fields;         /* every number of the sentence, by name */
    struct {
        char name[24];
        char value[256];
    } field[BARYC_FIELDS_MAX];
};

/* The value of a field of the error, or NULL. Borrowed from *error. */
const char *baryc_error_field(const struct baryc_error *error, const char *name);

/* "INVALID_ARGUMENT" of 3, and back (-1: no such code). */
const char *baryc_code_name(int code);
int baryc_code_number(const char *name);

/* How a call is made; NULL and zeros mean the defaults. */
struct baryc_options {
    int64_t timeout_ms;   /* of each attempt; 0: 30 s. The server caps unary calls at 60 s */
    int attempts;         /* of what may be repeated (rule 4); 0: 3 */
    bool (*stop)(void *); /* asked every 100 ms; true withdraws the call: CANCELLED */
    void *stop_context;
};

/* address: "HOST:PORT" or "unix:/path". Waits until the server answers, trying again until
 * timeout_ms have passed; 0: one try, of at most 10 s. UNREACHABLE says why; OUT_OF_RANGE: no address. */
int baryc_connect(const char *address, int64_t timeout_ms, struct baryc **out,
                  struct baryc_error *error);
void baryc_disconnect(struct baryc **connection); /* sets it to NULL; NULL is fine */

/* Gives a message back that a call handed out. NULL is fine. */
void baryc_free(void *message);

/* baryc_NAME(connection, request, options, &response, error): one function for each unary method. */
#define BARYC_METHOD(name, path, request, request_c, response, response_c, repeat)    \
    int baryc_##name(struct baryc *connection, const Bary__V1__##request *,           \
                     const struct baryc_options *options, Bary__V1__##response **out, \
                     struct baryc_error *error);
#include "clients/c/methods.def"
#undef BARYC_METHOD

/* One column of rows in memory: row r is `width` values at data + r * width * size of dtype. */
struct baryc_column {
    const char *name;
    Bary__V1__DType dtype;
    int64_t width;
    const void *data;
};

/* What becomes a dataset: the bytes of a .npy file, or columns of `rows` rows. */
struct baryc_upload {
    const char *id; /* NULL: the server makes one */
    int64_t ttl_s;  /* idle time after which the server forgets it; 0: its default */
    const void *npy;
    size_t npy_bytes;
    const struct baryc_column *column; /* when npy is NULL */
    int columns;
    int64_t rows;
    int streams;        /* parallel streams; 0: 4 */
    size_t chunk_bytes; /* 64 KiB to 3 MiB; 0: 1 MiB. Chunks of columns hold whole rows */
    /* Called one at a time, from threads of the upload's own. NULL: never. */
    void (*progress)(void *context, int64_t bytes, int64_t total);
    void *progress_context;
};

/* Creates, uploads and commits. The memory is sent from where it lies, so it must stay and stay
 * unchanged until this returns. Chunks that were lost or damaged on the way are sent again. When it
 * fails, nothing is left on the server. */
int baryc_upload(struct baryc *connection, const struct baryc_upload *what,
                 const struct baryc_options *options, Bary__V1__Dataset **out,
                 struct baryc_error *error);

/* Told a job's newest state at once, at every change, and every 100 ms in between; true cancels the
 * job. The job is borrowed until it returns. */
typedef bool baryc_watcher(void *context, const Bary__V1__Job *job);

/* Fits and waits for the job's end. A request without a request id gets one. *out is the job
 * whenever there is one, also when it FAILED or was CANCELLED, which this returns as its error.
 * options: of each single call. */
int baryc_fit_wait(struct baryc *connection, const Bary__V1__FitRequest *request,
                   const struct baryc_options *options, baryc_watcher *watcher, void *context,
                   Bary__V1__Job **out, struct baryc_error *error);

/* The same for a batch: a problem's failure is in its result, not an error of this. */
int baryc_fit_batch_wait(struct baryc *connection, const Bary__V1__FitBatchRequest *request,
                         const struct baryc_options *options, baryc_watcher *watcher, void *context,
                         Bary__V1__Job **out, struct baryc_error *error);

/* The same for a job that runs already. *out as above. */
int baryc_job_watch(struct baryc *connection, const char *name, const struct baryc_options *options,
                    baryc_watcher *watcher, void *context, Bary__V1__Job **out,
                    struct baryc_error *error);

/* A finished fit's or batch's labels (I32), centers (F64) or sizes (I64), whole, into `bytes` bytes. SHAPE_MISMATCH: the
 * job has more or fewer. */
int baryc_job_read(struct baryc *connection, const char *name, Bary__V1__JobArray array, void *into,
                   size_t bytes, const struct baryc_options *options, struct baryc_error *error);

/* Told every reply in row order, with first_row counted over the whole; true withdraws the call. */
typedef bool baryc_reader(void *context, const Bary__V1__PredictResponse *reply);

/* Predicts any number of rows by PredictStream: a matrix of any size is cut into messages. A stream
 * has no deadline unless options name one. */
int baryc_predict_stream(struct baryc *connection, const Bary__V1__PredictRequest *request,
                         const struct baryc_options *options, baryc_reader *reader, void *context,
                         struct baryc_error *error);

/* Text for a message's field: protobuf-c's fields are not const, though a request is only read. */
static inline char *baryc_borrow(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* Bytes of one value; 0: no such type. */
size_t baryc_dtype_bytes(Bary__V1__DType dtype);

/* A random version 4 UUID, for request ids. */
void baryc_uuid(char out[37]);

#ifdef __cplusplus
}
#endif

#endif
