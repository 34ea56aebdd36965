/* selftest.h - before a device is offered: small passes of every kind, compared with ref by bytes.
 *
 * Every backend but ref runs it in open. A plug-in has its own copy of ref linked in. */
#ifndef BARY_KERNELS_SELFTEST_H
#define BARY_KERNELS_SELFTEST_H

#include "kernels/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* True: the backend gives the bytes of ref on this device, and no call failed. */
bool selftest_passes(const struct backend *tested, struct device *device);

#ifdef __cplusplus
}
#endif

#endif
