/* model_service.c - Get, List, Delete of kept models. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/answer.h"
#include "rpc/convert.h"
#include "rpc/method.h"
#include "rpc/names.h"

static void view_release(void *view)
{
    model_view_free(view);
    memory_free(view);
}

/* Replies with the model, whose arrays leave without a copy. Takes over the view. */
static void reply_view(struct call *call, struct model_view *view)
{
    struct keeper *keeper = keeper_new(view_release, view);
    struct arena arena;
    Bary__V1__Model *reply;

    if (!keeper) {
        view_release(view);
        fail_memory(call, "a reply");
        return;
    }
    arena_init(&arena, REPLY_ARENA_BYTES);
    reply = model_new_message(&arena, call_principal(call), view, true);
    if (reply) {
        call_reply(call, &reply->base, keeper);
    } else {
        keeper_drop(&keeper);
        fail_memory(call, "a reply");
    }
    arena_deinit(&arena);
}

static void get(struct call *call, const void *in)
{
    const Bary__V1__GetModelRequest *request = in;
    struct model_view *view = memory_zeroed(1, sizeof *view);
    int64_t version = 0;
    struct error error;
    char id[64];
    enum status status;

    if (!view) {
        fail_memory(call, "a model");
        return;
    }
    TRY(name_parse(call_principal(call), THING_MODEL, request->name, id, &version, &error));
    TRY(model_get(call_service(call)->catalog, id, version, view, &error));
    reply_view(call, view);
    return;
out:
    memory_free(view);
    call_fail(call, &error);
}

const struct handler model_get_handler = {.message = get};

static void delete_model(struct call *call, const void *in)
{
    const Bary__V1__DeleteModelRequest *request = in;
    Bary__V1__DeleteModelResponse reply = BARY__V1__DELETE_MODEL_RESPONSE__INIT;
    int64_t version = 0;
    struct error error;
    char id[64];
    enum status status;

    TRY(name_parse(call_principal(call), THING_MODEL, request->name, id, &version, &error));
    TRY(model_delete(call_service(call)->catalog, id, version, &error));
    call_reply(call, &reply.base, NULL);
    return;
out:
    call_fail(call, &error);
}

const struct handler model_delete_handler = {.message = delete_model};

static const char LIST[] = "models";

/* "m/versions/3": where the next page goes on. */
static void place_print(const struct model_view *view, char place[TOKEN_PLACE_BYTES])
{
    snprintf(place, TOKEN_PLACE_BYTES, "%s/versions/%lld", view->name, (long long)view->version);
}

static enum status place_parse(struct call *call, const char *place, char name[64],
                               int64_t *version, struct error *error)
{
    name[0] = '\0';
    *version = 0;
    if (place[0] == '\0')
        return STATUS_OK;
    return name_parse(call_principal(call), THING_MODEL, place, name, version, error);
}

static void list_reply(struct call *call, struct model_view *view, int count, bool more)
{
    Bary__V1__ListModelsResponse reply = BARY__V1__LIST_MODELS_RESPONSE__INIT;
    char token[TOKEN_BYTES], place[TOKEN_PLACE_BYTES];
    struct arena arena;
    bool good;

    arena_init(&arena, REPLY_ARENA_BYTES);
    reply.models = array_new(&arena, (size_t)count, sizeof *reply.models);
    good = reply.models != NULL;
    for (int i = 0; good && i < count; i++) {
        reply.models[i] = model_new_message(&arena, call_principal(call), &view[i], false);
        good = reply.models[i] != NULL;
        reply.n_models += good;
    }
    if (good && more && count > 0) {
        place_print(&view[count - 1], place);
        reply.next_page_token = token_print(call_principal(call), LIST, place, token);
    }
    if (good)
        call_reply(call, &reply.base, NULL);
    else
        fail_memory(call, "a reply");
    arena_deinit(&arena);
}

static void list(struct call *call, const void *in)
{
    const Bary__V1__ListModelsRequest *request = in;
    struct model_view *view = NULL;
    char place[TOKEN_PLACE_BYTES], name[64];
    int64_t version;
    int most, count = 0;
    bool more = false;
    struct error error;
    enum status status;

    TRY(page_size_check(request->page_size, PAGE_SIZE_MAX, &most, &error));
    TRY(token_parse(call_principal(call), LIST, request->page_token, place, &error));
    TRY(place_parse(call, place, name, &version, &error));
    view = memory_zeroed((size_t)most, sizeof *view);
    if (!view)
        TRY(FAIL(&error, OUT_OF_MEMORY, TEXT("what", "a list of models"),
                 INT("needed", (size_t)most * sizeof *view), INT("retry_ms", 1000)));
    TRY(model_list(call_service(call)->catalog, name, version, most, view, &count, &more, &error));
    list_reply(call, view, count, more);
out:
    for (int i = 0; i < count; i++)
        model_view_free(&view[i]);
    memory_free(view);
    if (status != STATUS_OK)
        call_fail(call, &error);
}

const struct handler model_list_handler = {.message = list};
