/* reflection.h - the descriptors of every .proto file, embedded, found by file name or by symbol.
 *
 * Made once, then read by any thread. */
#ifndef BARY_RPC_REFLECTION_H
#define BARY_RPC_REFLECTION_H

#include <stddef.h>

#include "host/base/error.h"
#include "rpc/wire.h"

/* A FileDescriptorSet; written by the build. */
extern const unsigned char descriptors_data[];
extern const size_t descriptors_bytes;

struct reflection;
enum status reflection_new(struct reflection **out, struct error *error);
void reflection_free(struct reflection **reflection);

int reflection_services(const struct reflection *reflection, const char *const **names);

/* The file's bytes and then those of what it imports, each once; returns how many, 0: there is no such. */
enum { REFLECTION_FILES_MAX = 64 };
int reflection_file(const struct reflection *reflection, const char *name,
                    struct span out[REFLECTION_FILES_MAX]);
int reflection_symbol(const struct reflection *reflection, const char *symbol,
                      struct span out[REFLECTION_FILES_MAX]);

#endif
