/* reflection_service.c - grpc.reflection v1 and v1alpha: the same messages under two names, so both
 * are answered in the words of v1. */
#include <string.h>

#include "grpc/reflection/v1/reflection.pb-c.h"
#include "grpc/reflection/v1alpha/reflection.pb-c.h"
#include "rpc/answer.h"
#include "rpc/convert.h"
#include "rpc/method.h"
#include "rpc/reflection.h"

enum { CODE_NOT_FOUND = 5, CODE_UNIMPLEMENTED = 12 };

typedef Grpc__Reflection__V1__ServerReflectionRequest asked;
typedef Grpc__Reflection__V1__ServerReflectionResponse replied;
#define ASKED(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define REPLIED(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

static bool fill_error(struct arena *arena, replied *reply, int code, const char *text)
{
    Grpc__Reflection__V1__ErrorResponse *error =
        message_new(arena, &grpc__reflection__v1__error_response__descriptor);

    if (!error)
        return false;
    error->error_code = code;
    error->error_message = (char *)(uintptr_t)text;
    reply->error_response = error;
    reply->message_response_case = REPLIED(ERROR_RESPONSE);
    return true;
}

static bool fill_files(struct arena *arena, replied *reply, const struct span *file, int count)
{
    Grpc__Reflection__V1__FileDescriptorResponse *files;

    if (count == 0)
        return fill_error(arena, reply, CODE_NOT_FOUND, "no such file or symbol");
    files = message_new(arena, &grpc__reflection__v1__file_descriptor_response__descriptor);
    if (files)
        files->file_descriptor_proto =
            array_new(arena, (size_t)count, sizeof *files->file_descriptor_proto);
    if (!files || !files->file_descriptor_proto)
        return false;
    for (int i = 0; i < count; i++)
        files->file_descriptor_proto[files->n_file_descriptor_proto++] =
            (ProtobufCBinaryData){file[i].bytes, (uint8_t *)(uintptr_t)file[i].data};
    reply->file_descriptor_response = files;
    reply->message_response_case = REPLIED(FILE_DESCRIPTOR_RESPONSE);
    return true;
}

static bool fill_services(struct arena *arena, const struct reflection *reflection, replied *reply)
{
    Grpc__Reflection__V1__ListServiceResponse *list =
        message_new(arena, &grpc__reflection__v1__list_service_response__descriptor);
    const char *const *names;
    int count = reflection_services(reflection, &names);

    if (list)
        list->service = array_new(arena, (size_t)count, sizeof *list->service);
    if (!list || !list->service)
        return false;
    for (int i = 0; i < count; i++) {
        Grpc__Reflection__V1__ServiceResponse *one =
            message_new(arena, &grpc__reflection__v1__service_response__descriptor);
        if (!one)
            return false;
        one->name = (char *)(uintptr_t)names[i];
        list->service[list->n_service++] = one;
    }
    reply->list_services_response = list;
    reply->message_response_case = REPLIED(LIST_SERVICES_RESPONSE);
    return true;
}

static bool fill(struct arena *arena, const struct reflection *reflection, const asked *request,
                 replied *reply)
{
    struct span file[REFLECTION_FILES_MAX];

    switch (request->message_request_case) {
    case ASKED(LIST_SERVICES):
        return fill_services(arena, reflection, reply);
    case ASKED(FILE_BY_FILENAME):
        return fill_files(arena, reply, file,
                          reflection_file(reflection, request->file_by_filename, file));
    case ASKED(FILE_CONTAINING_SYMBOL):
        return fill_files(arena, reply, file,
                          reflection_symbol(reflection, request->file_containing_symbol, file));
    case ASKED(FILE_CONTAINING_EXTENSION):
    case ASKED(ALL_EXTENSION_NUMBERS_OF_TYPE):
        return fill_error(arena, reply, CODE_NOT_FOUND, "there are no extensions");
    default:
        return fill_error(arena, reply, CODE_UNIMPLEMENTED, "no such question");
    }
}

static void message(struct call *call, const void *in)
{
    replied reply = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    asked request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    const ProtobufCMessage base = request.base;
    struct arena arena;

    if (!in) {
        call_finish(call);
        return;
    }
    request = *(const asked *)in;
    request.base = base; /* a v1alpha message has the same fields in the same places */
    _Static_assert(sizeof(asked) == sizeof(Grpc__Reflection__V1alpha__ServerReflectionRequest), "");
    arena_init(&arena, REPLY_ARENA_BYTES);
    reply.valid_host = request.host;
    reply.original_request = &request;
    if (fill(&arena, call_service(call)->reflection, &request, &reply))
        call_send(call, &reply.base, NULL);
    else
        fail_memory(call, "a reply");
    arena_deinit(&arena);
}

const struct handler reflection_handler = {.message = message, .sent = call_read};
