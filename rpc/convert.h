/* convert.h - messages and host structs, both ways.
 *
 * In: every function checks what it reads and its errors name the field as a client wrote it, the
 * value and the limit. Out: messages are made in an arena that goes once they are packed; what they
 * point into (a view's labels) must stay until then, or longer under a keeper. */
#ifndef BARY_RPC_CONVERT_H
#define BARY_RPC_CONVERT_H

#include "bary/v1/clustering_service.pb-c.h"
#include "bary/v1/dataset_service.pb-c.h"
#include "bary/v1/model_service.pb-c.h"
#include "host/base/memory.h"
#include "host/jobs/job.h"
#include "host/store/object.h"
#include "rpc/service.h"

struct principal;

/* In. */

/* UNKNOWN_VALUE unless the number has a name; `zero`: 0 is fine. */
enum status enum_check(const char *what, const ProtobufCEnumDescriptor *descriptor, int value,
                       bool zero, struct error *error);
/* NULL is 0. OUT_OF_RANGE: negative, malformed, over 10 years. */
enum status duration_ns(const char *what, const Google__Protobuf__Duration *duration, int64_t *out,
                        struct error *error);
/* Copies text into a field of a struct. OUT_OF_RANGE: longer than `room` - 1 bytes. */
enum status text_take(const char *what, const char *given, char *out, size_t room,
                      struct error *error);

/* Shape and bytes of an inline matrix: dtype known, rows >= 1, its bytes what they say, at most 3 MiB. */
enum status matrix_check(const char *what, const Bary__V1__Matrix *matrix, struct error *error);
/* A matrix of F32 or F64 as memory_new'ed doubles. */
enum status matrix_doubles(const char *what, const Bary__V1__Matrix *matrix, double **out,
                           struct error *error);

/* Fills table, names and rows of the request; an inline source is copied. *inline_: it was one. */
enum status source_take(struct service *service, const struct principal *principal,
                        const Bary__V1__Source *source, struct job_request *request, bool *inline_,
                        struct error *error);
enum status weights_take(const Bary__V1__Weights *weights, struct job_request *request,
                         struct error *error);
enum status placement_take(const Bary__V1__Placement *placement, struct job_request *request,
                           struct error *error);
/* request_id, tags, max_runtime; *wait_ns: 0 where there is none. */
enum status options_take(const Bary__V1__RunOptions *options, struct job_request *request,
                         int64_t *wait_ns, struct error *error);
/* The model of a reference, pinned. */
enum status model_take(struct service *service, const struct principal *principal,
                       const Bary__V1__ModelRef *reference, struct model **out,
                       struct error *error);
/* The selected rows of a dataset as doubles: centers that a message cannot hold. */
enum status dataset_doubles(struct service *service, const struct principal *principal,
                            const char *what, const Bary__V1__DatasetRef *reference, double **out,
                            int64_t *rows, int64_t *columns, enum number *number,
                            struct error *error);
/* The whole of a fit; *wait_ns as above. */
enum status fit_take(struct service *service, const struct principal *principal,
                     const Bary__V1__FitRequest *fit, struct job_request *request, int64_t *wait_ns,
                     struct error *error);
/* First centers and parameters of a fit, as far as they need no rows. */
enum status fit_params_take(struct service *service, const struct principal *principal,
                            const Bary__V1__FitRequest *fit, struct job_request *request,
                            struct error *error);
/* The whole of a batch; *wait_ns as above. */
enum status fit_batch_take(struct service *service, const struct principal *principal,
                           const Bary__V1__FitBatchRequest *batch, struct job_request *request,
                           int64_t *wait_ns, struct error *error);
/* SHA-256 of the message, for telling whether a request id comes with the same body. */
enum status body_hash(const ProtobufCMessage *message, uint8_t out[32], struct error *error);

/* Values a row of the source gives, weights left out. */
int64_t source_width(const struct job_request *request);
bool is_inline(const Bary__V1__Source *source);

/* Out: NULL is no memory. */

enum { REPLY_ARENA_BYTES = 64 << 20 };

void *message_new(struct arena *arena, const ProtobufCMessageDescriptor *descriptor);
void *array_new(struct arena *arena, size_t count, size_t size); /* zeroed */
char *arena_text(struct arena *arena, const char *text);
Google__Protobuf__Timestamp *timestamp_new(struct arena *arena, int64_t wall_ns); /* 0: NULL, too */
Bary__V1__Matrix *matrix_new(struct arena *arena, Bary__V1__DType dtype, int64_t rows,
                             int64_t columns, const void *data);
Bary__V1__Report *report_new(struct arena *arena, const struct report *report);
Bary__V1__JobError *job_error_new(struct arena *arena, const struct error *error);
/* Of a batch that went well; its arrays lie in the view. */
Bary__V1__FitBatchResult *fit_batch_new(struct arena *arena, const struct job_view *view);
/* `results`: with fit, batch or evaluate result. */
Bary__V1__Job *job_new_message(struct arena *arena, const struct principal *principal,
                               const struct job_view *view, bool results);
Bary__V1__Dataset *dataset_new_message(struct arena *arena, const struct principal *principal,
                                       const struct dataset_view *view);
/* `whole`: with centers and sizes. view->model may be NULL. */
Bary__V1__Model *model_new_message(struct arena *arena, const struct principal *principal,
                                   const struct model_view *view, bool whole);

#endif
