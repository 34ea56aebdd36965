/* plugin.h - a kind of device that comes as a shared library: `<folder>/libbary_cuda.so`.
 *
 *  1. The file is opened by its absolute path and no other. It and its folder belong to root or to
 *     ourselves, and nobody else may write them: what is loaded here computes the answers.
 *  2. Whatever is wrong with it is a refusal with its reason and one sentence, never an end: a file
 *     that was cut short is refused before the loader touches pages that are not there.
 *  3. A plug-in stays loaded: a driver leaves handlers behind for the end of the process.
 *  4. Opening it touches no device; its `devices` is the first contact. */
#ifndef BARY_KERNELS_PLUGIN_H
#define BARY_KERNELS_PLUGIN_H

#include "kernels/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { PLUGIN_PATH_BYTES = 4096 };

/* The plug-in's table, or NULL and why. folder NULL or "": PLUGIN_FOLDER beside the executable's own
 * folder. PLUGIN_MISSING, PLUGIN_UNSAFE, PLUGIN_BROKEN, PLUGIN_ABI. */
#define PLUGIN_FOLDER "../lib/bary"
#define PLUGIN_FILE "libbary_cuda.so"
const struct backend *plugin_open(const char *folder, struct refusal *why);

/* "PLUGIN_MISSING" and what to do about it, by device_reason.def. Static. */
const char *device_reason_name(enum device_reason reason);
const char *device_reason_advice(enum device_reason reason);

#ifdef __cplusplus
}
#endif

#endif
