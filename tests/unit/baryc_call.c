/* baryc_call.c - calls of the C client against a server that plays a script. */
#include "tests/unit/baryc_peer.h"

static void fail_once_then_list(struct peer *peer)
{
    Bary__V1__ListJobsResponse reply = BARY__V1__LIST_JOBS_RESPONSE__INIT;
    struct served served;

    reply.next_page_token = baryc_borrow("more");
    baryc_free(peer_expect(peer, "List", &bary__v1__list_jobs_request__descriptor, &served));
    peer_finish(peer, &served, GRPC_STATUS_RESOURCE_EXHAUSTED, "QUEUE_FULL", 20);
    peer_answer(peer, "List", &bary__v1__list_jobs_request__descriptor, &reply.base);
}

static void a_call_that_reads_is_repeated_when_the_server_asks_for_it(struct check *check)
{
    struct peer peer;
    struct baryc *bary = peer_start(&peer, check, fail_once_then_list, NULL);
    Bary__V1__ListJobsRequest request = BARY__V1__LIST_JOBS_REQUEST__INIT;
    Bary__V1__ListJobsResponse *reply = NULL;

    check_equal_i64(check, baryc_job_list(bary, &request, NULL, &reply, NULL), 0);
    check_equal_text(check, reply ? reply->next_page_token : NULL, "more");
    baryc_free(reply);
    peer_stop(&peer, &bary);
}

static void refuse_fits(struct peer *peer)
{
    int *times = peer->state;

    for (int i = 0; i < *times; i++) {
        struct served served;
        baryc_free(peer_expect(peer, "Fit", &bary__v1__fit_request__descriptor, &served));
        peer_finish(peer, &served, GRPC_STATUS_RESOURCE_EXHAUSTED, "QUEUE_FULL", 1);
    }
}

static void a_fit_is_repeated_only_with_a_request_id(struct check *check)
{
    for (int with_id = 0; with_id < 2; with_id++) {
        int times = with_id ? 3 : 1;
        struct peer peer;
        struct baryc *bary = peer_start(&peer, check, refuse_fits, &times);
        Bary__V1__FitRequest request = BARY__V1__FIT_REQUEST__INIT;
        Bary__V1__RunOptions options = BARY__V1__RUN_OPTIONS__INIT;
        Bary__V1__Job *job = NULL;
        struct baryc_error error;

        check_note(check, "with_id=%d", with_id);
        if (with_id)
            options.request_id = baryc_borrow("an id");
        request.options = &options;
        check_equal_i64(check, baryc_fit(bary, &request, NULL, &job, &error),
                        GRPC_STATUS_RESOURCE_EXHAUSTED);
        check_true(check, job == NULL);
        peer_stop(&peer, &bary);
    }
}

static void refuse_model(struct peer *peer)
{
    struct served served;

    baryc_free(peer_expect(peer, "Get", &bary__v1__get_model_request__descriptor, &served));
    peer_finish(peer, &served, GRPC_STATUS_NOT_FOUND, "MODEL_NOT_FOUND", -1);
}

static void details_of_a_status_become_the_error(struct check *check)
{
    struct peer peer;
    struct baryc *bary = peer_start(&peer, check, refuse_model, NULL);
    Bary__V1__GetModelRequest request = BARY__V1__GET_MODEL_REQUEST__INIT;
    Bary__V1__Model *model = NULL;
    struct baryc_error error;

    check_equal_i64(check, baryc_model_get(bary, &request, NULL, &model, &error),
                    GRPC_STATUS_NOT_FOUND);
    check_equal_text(check, error.reason, "MODEL_NOT_FOUND");
    check_equal_text(check, error.message, "the sentence");
    check_equal_text(check, baryc_error_field(&error, "jobs"), "64");
    check_true(check, baryc_error_field(&error, "other") == NULL);
    check_equal_i64(check, error.retry_ms, -1);
    peer_stop(&peer, &bary);
}

static void answer_without_a_message(struct peer *peer)
{
    struct served served;

    baryc_free(peer_expect(peer, "Get", &bary__v1__get_model_request__descriptor, &served));
    peer_finish(peer, &served, 0, NULL, -1);
}

static bool at_once(void *context)
{
    *(int *)context += 1;
    return true;
}

static void answer_nothing(struct peer *peer)
{
    struct served served = peer_accept(peer);
    int cancelled = 0;
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};

    op.data.recv_close_on_server.cancelled = &cancelled;
    peer_op(peer, &served, &op, 1);
    check_true(peer->check, cancelled != 0);
    grpc_call_details_destroy(&served.details);
    grpc_metadata_array_destroy(&served.metadata);
    grpc_call_unref(served.call);
}

static void a_stop_withdraws_a_call(struct check *check)
{
    struct peer peer;
    struct baryc *bary = peer_start(&peer, check, answer_nothing, NULL);
    Bary__V1__GetModelRequest request = BARY__V1__GET_MODEL_REQUEST__INIT;
    Bary__V1__Model *model = NULL;
    struct baryc_error error;
    int asked = 0;
    struct baryc_options options = {.stop = at_once, .stop_context = &asked};

    check_equal_i64(check, baryc_model_get(bary, &request, &options, &model, &error),
                    GRPC_STATUS_CANCELLED);
    check_equal_text(check, error.reason, "CANCELLED");
    check_true(check, asked > 0);
    peer_stop(&peer, &bary);
}

static void a_deadline_is_an_error_with_its_time(struct check *check)
{
    struct peer peer;
    struct baryc *bary = peer_start(&peer, check, answer_nothing, NULL);
    Bary__V1__GetModelRequest request = BARY__V1__GET_MODEL_REQUEST__INIT;
    Bary__V1__Model *model = NULL;
    struct baryc_error error;
    struct baryc_options options = {.timeout_ms = 50};

    check_equal_i64(check, baryc_model_get(bary, &request, &options, &model, &error),
                    GRPC_STATUS_DEADLINE_EXCEEDED);
    check_equal_text(check, error.message, "the deadline of 50 ms passed");
    peer_stop(&peer, &bary);
}

static void an_answer_without_a_message_is_malformed(struct check *check)
{
    struct peer peer;
    struct baryc *bary = peer_start(&peer, check, answer_without_a_message, NULL);
    Bary__V1__GetModelRequest request = BARY__V1__GET_MODEL_REQUEST__INIT;
    Bary__V1__Model *model = NULL;
    struct baryc_error error;

    check_true(check, baryc_model_get(bary, &request, NULL, &model, &error) != 0);
    check_equal_text(check, error.reason, "MALFORMED");
    check_true(check, model == NULL);
    peer_stop(&peer, &bary);
}

static Bary__V1__Job job_in(Bary__V1__JobState state, uint64_t sequence)
{
    Bary__V1__Job job = BARY__V1__JOB__INIT;

    job.name = baryc_borrow("jobs/1");
    job.state = state;
    job.sequence = sequence;
    return job;
}

/* Fit; Watch that breaks off; Watch again, during which Cancel comes. */
static void run_and_cancel(struct peer *peer)
{
    Bary__V1__Job queued = job_in(BARY__V1__JOB_STATE__JOB_STATE_QUEUED, 1);
    Bary__V1__Job running = job_in(BARY__V1__JOB_STATE__JOB_STATE_RUNNING, 2);
    Bary__V1__Job cancelled = job_in(BARY__V1__JOB_STATE__JOB_STATE_CANCELLED, 3);
    Bary__V1__CancelJobResponse done = BARY__V1__CANCEL_JOB_RESPONSE__INIT;
    Bary__V1__WatchJobRequest *watch;
    struct served served, again;

    peer_answer(peer, "Fit", &bary__v1__fit_request__descriptor, &queued.base);
    watch = peer_expect(peer, "Watch", &bary__v1__watch_job_request__descriptor, &served);
    check_equal_u64(peer->check, watch->after_sequence, 1);
    baryc_free(watch);
    peer_send(peer, &served, &running.base);
    peer_finish(peer, &served, GRPC_STATUS_UNAVAILABLE, NULL, -1);
    watch = peer_expect(peer, "Watch", &bary__v1__watch_job_request__descriptor, &again);
    check_equal_u64(peer->check, watch->after_sequence, 2);
    baryc_free(watch);
    peer_answer(peer, "Cancel", &bary__v1__cancel_job_request__descriptor, &done.base);
    peer_send(peer, &again, &cancelled.base);
    peer_finish(peer, &again, 0, NULL, -1);
}

static bool cancel_after_three(void *context, const Bary__V1__Job *job)
{
    int *turns = context;

    *turns += job->state == BARY__V1__JOB_STATE__JOB_STATE_RUNNING;
    return *turns >= 3;
}

static void a_watcher_survives_a_lost_stream_and_cancels_its_job(struct check *check)
{
    struct peer peer;
    struct baryc *bary = peer_start(&peer, check, run_and_cancel, NULL);
    Bary__V1__FitRequest request = BARY__V1__FIT_REQUEST__INIT;
    Bary__V1__Job *job = NULL;
    struct baryc_error error;
    int turns = 0;

    check_equal_i64(check,
                    baryc_fit_wait(bary, &request, NULL, cancel_after_three, &turns, &job, &error),
                    GRPC_STATUS_CANCELLED);
    check_true(check, job && job->state == BARY__V1__JOB_STATE__JOB_STATE_CANCELLED);
    baryc_free(job);
    peer_stop(&peer, &bary);
}

static void send_labels(struct peer *peer, struct served *served, int64_t first, int64_t rows)
{
    Bary__V1__ReadJobResponse reply = BARY__V1__READ_JOB_RESPONSE__INIT;
    Bary__V1__Matrix matrix = BARY__V1__MATRIX__INIT;
    int32_t labels[64];

    for (int64_t i = 0; i < rows; i++)
        labels[i] = (int32_t)(first + i);
    matrix.dtype = BARY__V1__DTYPE__DTYPE_I32;
    matrix.rows = rows;
    matrix.data.data = (uint8_t *)labels;
    matrix.data.len = (size_t)rows * 4;
    reply.first_row = first;
    reply.values = &matrix;
    peer_send(peer, served, &reply.base);
}

static void break_a_read(struct peer *peer)
{
    Bary__V1__ReadJobRequest *request;
    struct served served;

    baryc_free(peer_expect(peer, "Read", &bary__v1__read_job_request__descriptor, &served));
    send_labels(peer, &served, 0, 40);
    peer_finish(peer, &served, GRPC_STATUS_UNAVAILABLE, NULL, -1);
    request = peer_expect(peer, "Read", &bary__v1__read_job_request__descriptor, &served);
    check_equal_i64(peer->check, request->first_row, 40);
    baryc_free(request);
    send_labels(peer, &served, 40, 20);
    send_labels(peer, &served, 60, 40);
    peer_finish(peer, &served, 0, NULL, -1);
}

static void a_broken_read_goes_on_at_its_row(struct check *check)
{
    struct peer peer;
    struct baryc *bary = peer_start(&peer, check, break_a_read, NULL);
    int32_t labels[100] = {0};

    check_equal_i64(check,
                    baryc_job_read(bary, "jobs/1", BARY__V1__JOB_ARRAY__JOB_ARRAY_LABELS, labels,
                                   sizeof labels, NULL, NULL),
                    0);
    for (int i = 0; i < 100; i++)
        check_equal_i64(check, labels[i], i);
    peer_stop(&peer, &bary);
}

/* Rows and messages that came in. */
struct came {
    int64_t rows, messages;
    bool in_order;
};

static void predict_first_values(struct peer *peer)
{
    struct came *came = peer->state;
    struct served served = peer_accept(peer);
    Bary__V1__PredictRequest *request;

    while ((request = peer_receive(peer, &served, &bary__v1__predict_request__descriptor))) {
        const Bary__V1__Matrix *rows = request->source->matrix;
        const float *values = (const void *)rows->data.data;
        Bary__V1__PredictResponse reply = BARY__V1__PREDICT_RESPONSE__INIT;
        for (int64_t i = 0; i < rows->rows; i++)
            came->in_order &= values[i * rows->columns] == (float)(came->rows + i);
        check_true(peer->check, (request->model != NULL) == (came->messages == 0));
        reply.first_row = came->rows;
        reply.rows = rows->rows;
        came->rows += rows->rows;
        came->messages++;
        baryc_free(request);
        peer_send(peer, &served, &reply.base);
    }
    peer_finish(peer, &served, 0, NULL, -1);
}

static bool count_rows(void *context, const Bary__V1__PredictResponse *reply)
{
    int64_t *rows = context;

    bool wrong = reply->first_row != *rows;
    *rows += reply->rows;
    return wrong;
}

static void a_large_matrix_is_cut_into_messages_in_row_order(struct check *check)
{
    enum { ROWS = 300000, COLUMNS = 3 };
    struct came came = {.in_order = true};
    struct peer peer;
    struct baryc *bary = peer_start(&peer, check, predict_first_values, &came);
    Bary__V1__PredictRequest request = BARY__V1__PREDICT_REQUEST__INIT;
    Bary__V1__ModelRef model = BARY__V1__MODEL_REF__INIT;
    Bary__V1__Source source = BARY__V1__SOURCE__INIT;
    Bary__V1__Matrix matrix = BARY__V1__MATRIX__INIT;
    float *values = calloc((size_t)ROWS * COLUMNS, sizeof *values);
    int64_t rows = 0;

    for (int i = 0; i < ROWS; i++)
        values[i * COLUMNS] = (float)i;
    matrix.dtype = BARY__V1__DTYPE__DTYPE_F32;
    matrix.rows = ROWS;
    matrix.columns = COLUMNS;
    matrix.data = (ProtobufCBinaryData){(size_t)ROWS * COLUMNS * 4, (uint8_t *)values};
    model.model_case = BARY__V1__MODEL_REF__MODEL_NAME;
    model.name = baryc_borrow("m");
    source.source_case = BARY__V1__SOURCE__SOURCE_MATRIX;
    source.matrix = &matrix;
    request.model = &model;
    request.source = &source;
    check_equal_i64(check, baryc_predict_stream(bary, &request, NULL, count_rows, &rows, NULL), 0);
    check_equal_i64(check, rows, ROWS);
    check_true(check, came.in_order);
    check_equal_i64(check, came.messages, 4);
    free(values);
    peer_stop(&peer, &bary);
}

static void an_address_is_checked_and_silence_explained(struct check *check)
{
    static const char *const bad[] = {"",       "host",       "host:",      ":1",
                                      "host:0", "host:70000", "http://a:1", "unix:"};
    struct baryc *bary = NULL;
    struct baryc_error error;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        check_note(check, "address=%s", bad[i]);
        check_equal_i64(check, baryc_connect(bad[i], 0, &bary, &error),
                        GRPC_STATUS_INVALID_ARGUMENT);
    }
    check_equal_i64(check, baryc_connect("127.0.0.1:1", 0, &bary, &error), GRPC_STATUS_UNAVAILABLE);
    check_equal_text(check, error.message,
                     "no server answers at '127.0.0.1:1': Connection refused");
    check_true(check, bary == NULL);
}

CHECKS(CLAIM(a_call_that_reads_is_repeated_when_the_server_asks_for_it),
       CLAIM(a_fit_is_repeated_only_with_a_request_id), CLAIM(details_of_a_status_become_the_error),
       CLAIM(a_stop_withdraws_a_call), CLAIM(a_deadline_is_an_error_with_its_time),
       CLAIM(an_answer_without_a_message_is_malformed),
       CLAIM(a_watcher_survives_a_lost_stream_and_cancels_its_job),
       CLAIM(a_broken_read_goes_on_at_its_row),
       CLAIM(a_large_matrix_is_cut_into_messages_in_row_order),
       CLAIM(an_address_is_checked_and_silence_explained))
