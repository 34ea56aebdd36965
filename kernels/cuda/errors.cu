/* errors.cu - what a code of CUDA means, and the end of a device.
 *
 * A few codes say that a call was refused and nothing else happened. After any other the context is dead,
 * and later calls fail or lie: the device keeps the first such code and is never touched again. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kernels/cuda/work.h"

static bool harmless(cudaError_t code)
{
    static const int codes[] = {1, 9, 98, 209, 600, 701};

    for (int i = 0; i < (int)(sizeof codes / sizeof *codes); i++)
        if ((int)code == codes[i])
            return true;
    return false;
}

enum status cuda_check(struct device *device, cudaError_t code, const char *call)
{
    if (code == cudaSuccess)
        return STATUS_OK;
    if (code == cudaErrorMemoryAllocation || harmless(code)) {
        cudaGetLastError(); /* else the next launch would report it */
        return code == cudaErrorMemoryAllocation ? STATUS_OUT_OF_MEMORY : STATUS_BUG;
    }
    if (device->failure.reason == REASON_NONE) {
        device->failure.reason = REASON_DEVICE_LOST;
        int name = (int)strcspn(call, "("); /* without its arguments */
        snprintf(device->failure.text, sizeof device->failure.text, "%.*s: code %d, %.90s",
                 name < 60 ? name : 60, call, (int)code, cudaGetErrorString(code));
    }
    return STATUS_DEVICE_LOST;
}

enum status device_wrong(struct device *device, const char *what)
{
    if (device->failure.reason == REASON_NONE) {
        device->failure.reason = REASON_DEVICE_WRONG;
        snprintf(device->failure.text, sizeof device->failure.text, "%s", what);
    }
    return STATUS_DEVICE_LOST;
}

enum status device_enter(struct device *device)
{
    if (device->failure.reason != REASON_NONE)
        return STATUS_DEVICE_LOST;
    if (getpid() != device->owner) {
        device->failure.reason = REASON_FORKED;
        snprintf(device->failure.text, sizeof device->failure.text,
                 "process %ld opened the device, and process %ld was forked from it later",
                 (long)device->owner, (long)getpid());
        return STATUS_DEVICE_LOST;
    }
    return cuda_check(device, cudaSetDevice(device->index), "cudaSetDevice");
}

enum status device_leave(struct device *device)
{
    if (device->failure.reason != REASON_DEVICE_WRONG || getpid() != device->owner)
        return device_enter(device);
    return cudaSetDevice(device->index) == cudaSuccess ? STATUS_OK : STATUS_DEVICE_LOST;
}

void cuda_failure(const struct device *device, struct refusal *out)
{
    *out = device->failure;
}
