/* dataset_service.c - Create, Commit, Get, List, Delete of datasets; Upload is in dataset_upload.c. */
#include <string.h>

#include "host/base/clock.h"
#include "rpc/answer.h"
#include "rpc/convert.h"
#include "rpc/method.h"
#include "rpc/names.h"
#include "rpc/request_ids.h"

/* Replies with the dataset and frees the view. */
static void reply_view(struct call *call, struct dataset_view *view)
{
    struct arena arena;
    Bary__V1__Dataset *reply;

    arena_init(&arena, REPLY_ARENA_BYTES);
    reply = dataset_new_message(&arena, call_principal(call), view);
    if (reply)
        call_reply(call, &reply->base, NULL);
    else
        fail_memory(call, "a reply");
    arena_deinit(&arena);
    dataset_view_free(view);
}

static enum status schema_take(const Bary__V1__Schema *schema, struct column **out,
                               struct dataset_create *create, struct error *error)
{
    size_t count = schema ? schema->n_columns : 0;
    enum status status = STATUS_OK;

    if (count > COLUMNS_MAX)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "the number of schema.columns"),
                    INT("value", count), TEXT("limit", "at most 65536"));
    *out = memory_zeroed(count, sizeof **out);
    if (!*out)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "a schema"),
                    INT("needed", count * sizeof **out), INT("retry_ms", 1000));
    for (size_t c = 0; c < count; c++) {
        const Bary__V1__Column *from = schema->columns[c];
        TRY(text_take("schema.columns.name", from->name, (*out)[c].name, sizeof(*out)[c].name,
                      error));
        TRY(enum_check("schema.columns.dtype", &bary__v1__dtype__descriptor, (int)from->dtype,
                       false, error));
        (*out)[c].dtype = (enum dtype)from->dtype;
        (*out)[c].width = from->width == 0 ? 1 : from->width;
    }
    create->columns = (int)count;
    create->column = *out;
out:
    return status;
}

static enum status create_take(const Bary__V1__CreateDatasetRequest *request,
                               struct column **column, struct dataset_create *create,
                               char request_id[64], struct error *error)
{
    int64_t ttl_ns;
    enum status status;

    TRY(request_id_check(request->request_id, request_id, error));
    TRY(enum_check("encoding", &bary__v1__encoding__descriptor, (int)request->encoding, false,
                   error));
    TRY(duration_ns("ttl", request->ttl, &ttl_ns, error));
    TRY(schema_take(request->schema, column, create, error));
    if (request->encoding == BARY__V1__ENCODING__ENCODING_NPY && request->total_bytes < 1)
        TRY(FAIL(error, OUT_OF_RANGE, TEXT("what", "total_bytes"),
                 INT("value", request->total_bytes), TEXT("limit", "at least 1, for NPY")));
    create->name = request->id;
    create->encoding = (enum encoding)request->encoding;
    create->rows = request->rows;
    create->bytes = request->total_bytes;
    create->content_hash = request->content_hash[0] ? request->content_hash : NULL;
    create->ttl_s = (ttl_ns + 999999999) / 1000000000;
out:
    return status;
}

/* The same id and body again: the dataset that it made, as it is now. */
static enum status create_once(struct service *service,
                               const Bary__V1__CreateDatasetRequest *request,
                               const struct dataset_create *create, const char *request_id,
                               struct dataset_view *out, struct error *error)
{
    struct limits limits = service_limits(service);
    Bary__V1__CreateDatasetRequest body = *request;
    int64_t now_ns = clock_ns();
    char found[64];
    uint8_t hash[32];
    enum status status;

    body.request_id = (char *)(uintptr_t) "";
    TRY(body_hash(&body.base, hash, error));
    TRY(request_ids_begin(service->request_ids, &limits, request_id, hash, now_ns, found, error));
    status = found[0] ? dataset_get(service->catalog, found, out, error)
                      : dataset_create(service->catalog, create, out, error);
    request_ids_end(service->request_ids, request_id, hash, now_ns,
                    status == STATUS_OK && !found[0] ? out->name : NULL);
out:
    return status;
}

static void create(struct call *call, const void *in)
{
    const Bary__V1__CreateDatasetRequest *request = in;
    struct service *service = call_service(call);
    struct dataset_create create = {0};
    struct dataset_view view = {0};
    struct column *column = NULL;
    char request_id[64];
    struct error error;
    enum status status;

    TRY(create_take(request, &column, &create, request_id, &error));
    if (request_id[0])
        TRY(create_once(service, request, &create, request_id, &view, &error));
    else
        TRY(dataset_create(service->catalog, &create, &view, &error));
    reply_view(call, &view);
out:
    memory_free(column);
    if (status != STATUS_OK)
        call_fail(call, &error);
}

const struct handler dataset_create_handler = {.message = create};

static void commit(struct call *call, const void *in)
{
    const Bary__V1__CommitDatasetRequest *request = in;
    struct dataset_view view = {0};
    struct error error;
    enum status status;

    status = dataset_commit(call_service(call)->catalog, request->upload_id,
                            request->content_hash[0] ? request->content_hash : NULL, &view, &error);
    if (status == STATUS_OK)
        reply_view(call, &view);
    else
        call_fail(call, &error);
}

const struct handler dataset_commit_handler = {.message = commit};

static void get(struct call *call, const void *in)
{
    const Bary__V1__GetDatasetRequest *request = in;
    struct dataset_view view = {0};
    struct error error;
    char id[64];
    enum status status;

    TRY(name_parse(call_principal(call), THING_DATASET, request->name, id, NULL, &error));
    TRY(dataset_get(call_service(call)->catalog, id, &view, &error));
    reply_view(call, &view);
    return;
out:
    call_fail(call, &error);
}

const struct handler dataset_get_handler = {.message = get};

static void delete_dataset(struct call *call, const void *in)
{
    const Bary__V1__DeleteDatasetRequest *request = in;
    Bary__V1__DeleteDatasetResponse reply = BARY__V1__DELETE_DATASET_RESPONSE__INIT;
    struct error error;
    char id[64];
    enum status status;

    TRY(name_parse(call_principal(call), THING_DATASET, request->name, id, NULL, &error));
    TRY(dataset_delete(call_service(call)->catalog, id, &error));
    call_reply(call, &reply.base, NULL);
    return;
out:
    call_fail(call, &error);
}

const struct handler dataset_delete_handler = {.message = delete_dataset};

static const char LIST[] = "datasets";

/* As many as 3 MiB hold. */
static bool list_fill(struct call *call, struct arena *arena, const struct dataset_view *view,
                      int count, bool more, Bary__V1__ListDatasetsResponse *reply, char *token)
{
    size_t bytes = 0;

    reply->datasets = array_new(arena, (size_t)count, sizeof *reply->datasets);
    for (int i = 0; reply->datasets && i < count && bytes <= INLINE_BYTES_MAX; i++) {
        Bary__V1__Dataset *dataset = dataset_new_message(arena, call_principal(call), &view[i]);
        if (!dataset)
            return false;
        bytes += protobuf_c_message_get_packed_size(&dataset->base);
        if (i > 0 && bytes > INLINE_BYTES_MAX)
            break;
        reply->datasets[reply->n_datasets++] = dataset;
    }
    if (reply->n_datasets > 0 && (more || (int)reply->n_datasets < count))
        reply->next_page_token =
            token_print(call_principal(call), LIST, view[reply->n_datasets - 1].name, token);
    return reply->datasets != NULL;
}

static void list_reply(struct call *call, const struct dataset_view *view, int count, bool more)
{
    Bary__V1__ListDatasetsResponse reply = BARY__V1__LIST_DATASETS_RESPONSE__INIT;
    char token[TOKEN_BYTES];
    struct arena arena;

    arena_init(&arena, REPLY_ARENA_BYTES);
    if (list_fill(call, &arena, view, count, more, &reply, token))
        call_reply(call, &reply.base, NULL);
    else
        fail_memory(call, "a reply");
    arena_deinit(&arena);
}

static void list(struct call *call, const void *in)
{
    const Bary__V1__ListDatasetsRequest *request = in;
    struct dataset_view *view = NULL;
    char after[TOKEN_PLACE_BYTES];
    int most, count = 0;
    bool more = false;
    struct error error;
    enum status status;

    TRY(page_size_check(request->page_size, PAGE_SIZE_MAX, &most, &error));
    TRY(token_parse(call_principal(call), LIST, request->page_token, after, &error));
    view = memory_zeroed((size_t)most, sizeof *view);
    if (!view)
        TRY(FAIL(&error, OUT_OF_MEMORY, TEXT("what", "a list of datasets"),
                 INT("needed", (size_t)most * sizeof *view), INT("retry_ms", 1000)));
    TRY(dataset_list(call_service(call)->catalog, after, most, view, &count, &more, &error));
    list_reply(call, view, count, more);
out:
    for (int i = 0; i < count; i++)
        dataset_view_free(&view[i]);
    memory_free(view);
    if (status != STATUS_OK)
        call_fail(call, &error);
}

const struct handler dataset_list_handler = {.message = list};
