/* reflection.c - see reflection.h. */
#include "rpc/reflection.h"

#include <stdio.h>
#include <string.h>

#include "google/protobuf/descriptor.pb-c.h"
#include "host/base/memory.h"

enum { SERVICES_MAX = 32, NAME_BYTES = 256 };

struct file {
    struct span bytes;
    Google__Protobuf__FileDescriptorProto *proto;
};

struct reflection {
    int files, services;
    struct file file[REFLECTION_FILES_MAX];
    const char *service[SERVICES_MAX]; /* full names, ours to free */
};

static enum status broken(struct error *error)
{
    return FAIL(error, IO, TEXT("what", "read the embedded descriptors"),
                TEXT("why", "they are damaged or too many"));
}

static enum status services_add(struct reflection *reflection,
                                const Google__Protobuf__FileDescriptorProto *proto,
                                struct error *error)
{
    char name[NAME_BYTES];

    for (size_t i = 0; i < proto->n_service; i++) {
        snprintf(name, sizeof name, "%s.%s", proto->package, proto->service[i]->name);
        if (reflection->services == SERVICES_MAX)
            return broken(error);
        reflection->service[reflection->services] = text_copy(name);
        if (!reflection->service[reflection->services])
            return FAIL(error, OUT_OF_MEMORY, TEXT("what", "reflection"), INT("needed", NAME_BYTES),
                        INT("retry_ms", 1000));
        reflection->services++;
    }
    return STATUS_OK;
}

/* The set is field 1 again and again, each a whole file. */
static enum status file_add(struct reflection *reflection, struct cursor *cursor,
                            struct error *error)
{
    struct file *file = &reflection->file[reflection->files];
    enum wire_type type;
    uint32_t number;
    uint64_t bytes;

    if (!cursor_tag(cursor, &number, &type) || number != 1 || type != WIRE_BYTES ||
        !cursor_varint(cursor, &bytes) || bytes > cursor->left ||
        reflection->files == REFLECTION_FILES_MAX)
        return broken(error);
    file->bytes = (struct span){descriptors_data + cursor->offset, bytes};
    file->proto = google__protobuf__file_descriptor_proto__unpack(NULL, bytes, file->bytes.data);
    cursor_skip(cursor, bytes);
    if (!file->proto || !file->proto->name || !file->proto->package)
        return broken(error);
    reflection->files++;
    return services_add(reflection, file->proto, error);
}

enum status reflection_new(struct reflection **out, struct error *error)
{
    const struct span span = {descriptors_data, descriptors_bytes};
    struct cursor cursor = cursor_over(&span, 1);
    struct reflection *reflection = memory_zeroed(1, sizeof *reflection);
    enum status status = STATUS_OK;

    if (!reflection)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "reflection"),
                    INT("needed", sizeof *reflection), INT("retry_ms", 1000));
    while (cursor.left > 0)
        TRY(file_add(reflection, &cursor, error));
    *out = reflection;
    return STATUS_OK;
out:
    reflection_free(&reflection);
    return status;
}

void reflection_free(struct reflection **reflection)
{
    if (!*reflection)
        return;
    for (int i = 0; i < REFLECTION_FILES_MAX; i++)
        if ((*reflection)->file[i].proto)
            google__protobuf__file_descriptor_proto__free_unpacked((*reflection)->file[i].proto,
                                                                   NULL);
    for (int i = 0; i < (*reflection)->services; i++)
        memory_free((void *)(uintptr_t)(*reflection)->service[i]);
    memory_free(*reflection);
    *reflection = NULL;
}

int reflection_services(const struct reflection *reflection, const char *const **names)
{
    *names = reflection->service;
    return reflection->services;
}

static int file_index(const struct reflection *reflection, const char *name)
{
    for (int i = 0; i < reflection->files; i++)
        if (strcmp(reflection->file[i].proto->name, name) == 0)
            return i;
    return -1;
}

/* The file, then its imports, then theirs; `taken` marks who is in already. */
static int collect(const struct reflection *reflection, int first,
                   struct span out[REFLECTION_FILES_MAX])
{
    int list[REFLECTION_FILES_MAX] = {first}, count = 1;
    uint64_t taken = UINT64_C(1) << first;

    for (int i = 0; i < count; i++) {
        const Google__Protobuf__FileDescriptorProto *proto = reflection->file[list[i]].proto;
        out[i] = reflection->file[list[i]].bytes;
        for (size_t d = 0; d < proto->n_dependency; d++) {
            int index = file_index(reflection, proto->dependency[d]);
            if (index >= 0 && !(taken & UINT64_C(1) << index)) {
                taken |= UINT64_C(1) << index;
                list[count++] = index;
            }
        }
    }
    return count;
}

int reflection_file(const struct reflection *reflection, const char *name,
                    struct span out[REFLECTION_FILES_MAX])
{
    int index = file_index(reflection, name);

    return index < 0 ? 0 : collect(reflection, index, out);
}

/* Takes `word` and a following '.' off the front; NULL: it does not stand there. */
static const char *take(const char *text, const char *word)
{
    size_t bytes = word ? strlen(word) : 0;

    if (!word || strncmp(text, word, bytes) != 0)
        return NULL;
    if (text[bytes] == '\0')
        return text + bytes;
    return text[bytes] == '.' ? text + bytes + 1 : NULL;
}

static bool enum_has(const Google__Protobuf__EnumDescriptorProto *it, const char *text)
{
    const char *rest = take(text, it->name);

    if (!rest)
        return false;
    for (size_t i = 0; i < it->n_value && *rest; i++)
        if (strcmp(it->value[i]->name, rest) == 0)
            return true;
    return *rest == '\0';
}

/* Whether `text` is this message, or a message, enum or field inside. */
static bool message_has(const Google__Protobuf__DescriptorProto *it, const char *text)
{
    const char *rest = take(text, it->name);

    if (!rest || *rest == '\0')
        return rest != NULL;
    for (size_t i = 0; i < it->n_nested_type; i++)
        if (message_has(it->nested_type[i], rest))
            return true;
    for (size_t i = 0; i < it->n_enum_type; i++)
        if (enum_has(it->enum_type[i], rest))
            return true;
    for (size_t i = 0; i < it->n_field; i++)
        if (strcmp(it->field[i]->name, rest) == 0)
            return true;
    return false;
}

static bool service_has(const Google__Protobuf__ServiceDescriptorProto *it, const char *text)
{
    const char *rest = take(text, it->name);

    if (!rest || *rest == '\0')
        return rest != NULL;
    for (size_t i = 0; i < it->n_method; i++)
        if (strcmp(it->method[i]->name, rest) == 0)
            return true;
    return false;
}

static bool file_has(const Google__Protobuf__FileDescriptorProto *it, const char *symbol)
{
    const char *rest = take(symbol, it->package);

    if (!rest || *rest == '\0')
        return false;
    for (size_t i = 0; i < it->n_message_type; i++)
        if (message_has(it->message_type[i], rest))
            return true;
    for (size_t i = 0; i < it->n_enum_type; i++)
        if (enum_has(it->enum_type[i], rest))
            return true;
    for (size_t i = 0; i < it->n_service; i++)
        if (service_has(it->service[i], rest))
            return true;
    return false;
}

int reflection_symbol(const struct reflection *reflection, const char *symbol,
                      struct span out[REFLECTION_FILES_MAX])
{
    for (int i = 0; i < reflection->files; i++)
        if (file_has(reflection->file[i].proto, symbol))
            return collect(reflection, i, out);
    return 0;
}
