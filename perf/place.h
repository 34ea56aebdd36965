/* place.h - where a measured program computes: a device by the name of its backend, or of a plug-in's folder. */
#ifndef BARY_PERF_PLACE_H
#define BARY_PERF_PLACE_H

#include "kernels/backend.h"

struct place {
    const struct backend *backend;
    struct device *device;
    struct device_info info;
};

/* "cpu", "ref", or an absolute folder that holds libbary_cuda.so. threads 0: what the machine offers.
 * False: the reason is on standard error. */
bool place_open(const char *name, int threads, struct place *out);
void place_close(struct place *place);

/* Whether a name is in the list; in an empty list every name is. */
bool name_wanted(const char *name, int count, char **names);

#endif
