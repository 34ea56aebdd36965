/* device.cc - how many devices, and what they are. */
#include <stdio.h>

#include "tests/cuemu/state.h"

using namespace cuemu;

enum { L2_BYTES = 50 << 20, PROCESSOR_SHARED = 228 << 10, OLD_DRIVER = 11040 };

cudaError_t cudaDriverGetVersion(int *out)
{
    entry entry(CALL_DEVICE);
    /* Without a driver it succeeds with 0; it is how one tells no driver from an old one. */
    *out = settings.driver == DRIVER_NONE || settings.driver == DRIVER_STUB ? 0
           : settings.driver == DRIVER_OLD                                  ? OLD_DRIVER
                                                                            : CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *out)
{
    *out = CUDART_VERSION;
    return cudaSuccess;
}

/* On failure it leaves *out unwritten, as CUDA's does. */
cudaError_t cudaGetDeviceCount(int *out)
{
    entry entry(CALL_DEVICE);
    if (!entry.refused)
        *out = (int)settings.devices;
    return entry.refused;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *out, int device)
{
    entry entry(CALL_DEVICE);
    if (entry.refused)
        return entry.refused;
    if (device < 0 || device >= settings.devices)
        return entry.answer(cudaErrorInvalidDevice);
    *out = {};
    snprintf(out->name, sizeof out->name, "%s", settings.name);
    out->totalGlobalMem = settings.memory;
    out->sharedMemPerBlock = SHARED_DEFAULT;
    out->sharedMemPerBlockOptin = SHARED_MOST;
    out->sharedMemPerMultiprocessor = PROCESSOR_SHARED;
    out->reservedSharedMemPerBlock = 1024;
    out->regsPerBlock = out->regsPerMultiprocessor = 65536;
    out->warpSize = 32;
    out->maxThreadsPerBlock = THREADS_MOST;
    out->maxThreadsPerMultiProcessor = 2048;
    out->maxBlocksPerMultiProcessor = 32;
    out->multiProcessorCount = (int)settings.processors;
    out->maxThreadsDim[0] = out->maxThreadsDim[1] = THREADS_MOST;
    out->maxThreadsDim[2] = 64;
    out->maxGridSize[0] = GRID_MOST;
    out->maxGridSize[1] = out->maxGridSize[2] = 65535;
    out->major = (int)(settings.arch / 10);
    out->minor = (int)(settings.arch % 10);
    out->l2CacheSize = L2_BYTES;
    out->asyncEngineCount = 2;
    out->memoryBusWidth = 5120;
    out->unifiedAddressing = out->concurrentKernels = 1;
    out->pciBusID = device + 1;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *out, enum cudaDeviceAttr attribute, int device)
{
    const struct {
        enum cudaDeviceAttr attribute;
        long value;
    } known[] = {
        {cudaDevAttrMaxThreadsPerBlock, THREADS_MOST},
        {cudaDevAttrMaxSharedMemoryPerBlock, SHARED_DEFAULT},
        {cudaDevAttrWarpSize, 32},
        {cudaDevAttrMultiProcessorCount, settings.processors},
        {cudaDevAttrComputeMode,
         settings.driver == DRIVER_BUSY ? cudaComputeModeExclusiveProcess : cudaComputeModeDefault},
        {cudaDevAttrL2CacheSize, L2_BYTES},
        {cudaDevAttrMaxThreadsPerMultiProcessor, 2048},
        {cudaDevAttrAsyncEngineCount, 2},
        {cudaDevAttrComputeCapabilityMajor, settings.arch / 10},
        {cudaDevAttrComputeCapabilityMinor, settings.arch % 10},
        {cudaDevAttrMaxSharedMemoryPerMultiprocessor, PROCESSOR_SHARED},
        {cudaDevAttrMaxSharedMemoryPerBlockOptin, SHARED_MOST},
    };
    entry entry(CALL_DEVICE);
    if (entry.refused)
        return entry.refused;
    if (device < 0 || device >= settings.devices)
        return entry.answer(cudaErrorInvalidDevice);
    for (const auto &row : known)
        if (row.attribute == attribute) {
            *out = (int)row.value;
            return cudaSuccess;
        }
    return entry.answer(cudaErrorInvalidValue);
}

cudaError_t cudaDeviceGetPCIBusId(char *out, int bytes, int device)
{
    entry entry(CALL_DEVICE);
    if (entry.refused)
        return entry.refused;
    if (device < 0 || device >= settings.devices || bytes < 13)
        return entry.answer(device < 0 || device >= settings.devices ? cudaErrorInvalidDevice
                                                                     : cudaErrorInvalidValue);
    snprintf(out, (size_t)bytes, "0000:%02x:00.0", (unsigned)device + 1);
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    entry entry(CALL_CONTEXT);
    if (entry.refused)
        return entry.refused;
    if (device < 0 || device >= settings.devices)
        return entry.answer(cudaErrorInvalidDevice);
    current_device_set(device);
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *out)
{
    entry entry(CALL_DEVICE);
    if (!entry.refused)
        *out = current_device();
    return entry.refused;
}
