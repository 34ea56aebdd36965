/* remote.h - what every command that asks a server shares. */
#ifndef BARY_CLIENTS_CLI_REMOTE_H
#define BARY_CLIENTS_CLI_REMOTE_H

#include "clients/cli/commands.h"
#include "clients/cli/files.h"
#include "clients/cli/say.h"

/* Calls that Ctrl-C withdraws. */
extern const struct baryc_options stoppable;

/* Connects as --address, BARY_ADDRESS or the default say. */
int open_server(const struct arguments *arguments, struct baryc **out, struct baryc_error *error);

/* The same, or a sentence on stderr and the exit status that it means. */
int connect_or_complain(const struct arguments *arguments, struct baryc **out);

/* --device, --threads and --forbid-fallback. */
void read_placement(const struct arguments *arguments, Bary__V1__Placement *out);

/* How a list is asked for page by page, and how one of its items is shown. */
struct listing {
    int (*page)(struct baryc *connection, const struct arguments *arguments, char *token,
                ProtobufCMessage **out, struct baryc_error *error);
    void (*row)(const ProtobufCMessage *item);
};

/* Prints all pages: as one JSON message, or a line an item. Returns the exit status. */
int list_all(const struct arguments *arguments, const struct listing *listing);

/* Uploads a .npy file; `weight` (path NULL: none) rides along as column "sample_weight". */
int upload_array(struct baryc *connection, struct array *array, struct array *weight,
                 const char *id, int64_t ttl_s, struct progress_line *progress, char **name,
                 struct baryc_error *error);
/* Deletes a dataset of ours and frees its name; whether that worked is of no interest. NULL is fine. */
void drop_dataset(struct baryc *connection, char **name);

/* What follows "namespaces/default/KIND/" of a name. */
const char *short_name(const char *name);

#endif
