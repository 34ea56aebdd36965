/* embedded.h - a device in this process: opened as asked, and left for the next one when it fails.
 *
 * For callers without jobs: bary.h and `bary --local`. The same ladder as the server's, on one thread: rows
 * on the GPU, small tiles, streamed, the CPU. A step down runs the work again from its beginning; the
 * bits are the same. There is no watch: a GPU that hangs hangs its caller. */
#ifndef BARY_HOST_EMBEDDED_H
#define BARY_HOST_EMBEDDED_H

#include <pthread.h>

#include "host/cluster/fit.h"

struct embedded_options {
    const char *backend; /* NULL, "auto": what ends first; "gpu", "cpu", "ref" */
    const char *
        backend_dir; /* of the GPU plug-in; NULL: BARY_BACKEND_DIR of the environment, else plugin.h's */
    int index;       /* of the GPU */
    const char *isa; /* NULL: the best */
    int threads;     /* 0: what the machine offers */
    bool forbid_fallback;
    /* Told of each step: "cuda:0 -> cpu: DEVICE_LOST (why)". NULL: nobody asks. */
    void (*fallback)(void *context, const char *step);
    void *context;
};

struct embedded {
    struct embedded_options options; /* its texts are borrowed until it is closed */
    const struct backend *backend;
    struct device *device;
    enum residency residency;
    bool gpu;
    pthread_t owner; /* of a GPU: the one thread that may use it */
};

/* What a caller wants to do with it, for "auto": so many passes over rows of this shape. NULL: unknown, and
 * then a GPU that opens is taken. */
struct embedded_work {
    struct shape shape;
    double passes;
};

/* NO_DEVICE, UNSUPPORTED, UNKNOWN_VALUE, OUT_OF_RANGE, DEVICE_LOST (its self-test failed). */
enum status embedded_open(const struct embedded_options *options, const struct embedded_work *work,
                          struct embedded *out, struct error *error);
void embedded_close(struct embedded *device); /* a zeroed one is fine */

/* Does `body` on the device: its backend, its device, its residency. When that ends in DEVICE_LOST or, on a
 * GPU, in OUT_OF_MEMORY it is done again one step further down, until none is left or none is allowed. */
enum status embedded_run(struct embedded *device,
                         enum status (*body)(const struct embedded *device, void *context,
                                             struct error *error),
                         void *context, struct error *error);

#endif
