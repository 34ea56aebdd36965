/* list.c - lists of any kind, all pages of them: a list's answer is items and the next page's token. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/remote.h"

/* The repeated field of a list's answer. */
struct items {
    size_t *count;
    ProtobufCMessage ***item;
};

static struct items items_of(ProtobufCMessage *answer)
{
    const ProtobufCFieldDescriptor *field = &answer->descriptor->fields[0];
    char *base = (char *)answer;

    return (struct items){(size_t *)(void *)(base + field->quantifier_offset),
                          (ProtobufCMessage ***)(void *)(base + field->offset)};
}

static char *token_of(ProtobufCMessage *answer)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(answer->descriptor, "next_page_token");

    return *(char **)(void *)((char *)answer + field->offset);
}

/* Moves the items of `page` behind those of `all`. False: no memory, both stay as they were. */
static bool absorb(ProtobufCMessage *all, ProtobufCMessage *page)
{
    struct items to = items_of(all), from = items_of(page);

    if (*from.count == 0)
        return true;
    ProtobufCMessage **grown =
        realloc(*to.item, (*to.count + *from.count) * sizeof(ProtobufCMessage *));
    if (!grown)
        return false;
    memcpy(grown + *to.count, *from.item, *from.count * sizeof(ProtobufCMessage *));
    *to.item = grown;
    *to.count += *from.count;
    *from.count = 0;
    free(*from.item); /* its items have moved */
    *from.item = NULL;
    return true;
}

/* All pages in the first one's message. */
static int gather(struct baryc *connection, const struct arguments *arguments,
                  const struct listing *listing, ProtobufCMessage **out, struct baryc_error *error)
{
    ProtobufCMessage *page = NULL;
    char *token = strdup("");
    int code = 0;

    while (code == 0 && token) {
        page = NULL;
        code = listing->page(connection, arguments, token, &page, error);
        free(token);
        token = code == 0 && token_of(page)[0] ? strdup(token_of(page)) : NULL;
        if (code != 0)
            break;
        if (!*out) {
            *out = page;
            continue;
        }
        bool moved = absorb(*out, page);
        baryc_free(page);
        if (!moved)
            break;
    }
    free(token);
    return code;
}

int list_all(const struct arguments *arguments, const struct listing *listing)
{
    bool json = flag_given(arguments, FLAG_JSON);
    struct baryc *connection = NULL;
    ProtobufCMessage *all = NULL;
    struct baryc_error error = {0};
    int status = connect_or_complain(arguments, &connection);

    if (status != EXIT_DONE)
        return status;
    if (gather(connection, arguments, listing, &all, &error) != 0) {
        status = complain_error(&error, json);
    } else if (json) {
        say_json(all, NULL);
    } else {
        struct items items = items_of(all);
        for (size_t i = 0; i < *items.count; i++)
            listing->row((*items.item)[i]);
    }
    baryc_free(all);
    baryc_disconnect(&connection);
    return status;
}
