/* launch.cc - kernels from outside: what a launch may ask for, and attributes. */
#include "tests/cuemu/state.h"

namespace cuemu
{
namespace
{

/* Kernels that were allowed more than 48 KiB of dynamic shared memory. Process lifetime. */
enum { KERNELS_MOST = 1024, REGISTERS = 64, PROCESSOR_THREADS = 2048, PROCESSOR_BLOCKS = 32 };
struct {
    const void *kernel;
    size_t bytes;
} allowed[KERNELS_MOST];
int allowed_count;

size_t shared_most(const void *kernel)
{
    for (int i = 0; i < allowed_count; i++)
        if (allowed[i].kernel == kernel)
            return allowed[i].bytes;
    return SHARED_DEFAULT;
}

void config_check(const struct cudaLaunchConfig_t *config, const void *kernel)
{
    dim3 grid = config->gridDim, block = config->blockDim;
    uint64_t threads = (uint64_t)block.x * block.y * block.z;
    if (!kernel)
        found("launch of no kernel");
    if (threads < 1 || threads > THREADS_MOST || block.z > 64)
        found("launch of blocks of %u x %u x %u threads; 1 to %d", block.x, block.y, block.z,
              THREADS_MOST);
    if (threads % 32 != 0)
        found("launch of blocks of %llu threads, which is no multiple of 32",
              (unsigned long long)threads);
    if (grid.x < 1 || grid.x > GRID_MOST || grid.y < 1 || grid.y > 65535 || grid.z < 1 ||
        grid.z > 65535)
        found("launch of a grid of %u x %u x %u blocks; 1 to %d x 65535 x 65535", grid.x, grid.y,
              grid.z, GRID_MOST);
    if (config->dynamicSmemBytes > SHARED_MOST)
        found("launch with %zu bytes of shared memory; a block has %d at most",
              config->dynamicSmemBytes, SHARED_MOST);
    if (config->dynamicSmemBytes > shared_most(kernel))
        found("launch with %zu bytes of shared memory, the kernel may have %zu "
              "(cudaFuncAttributeMaxDynamicSharedMemorySize)",
              config->dynamicSmemBytes, shared_most(kernel));
    for (unsigned i = 0; i < config->numAttrs; i++)
        if (config->attrs[i].id != cudaLaunchAttributeIgnore)
            found("launch attribute %d is not one that the emulator knows", config->attrs[i].id);
}

} // namespace

cudaError_t launch(const struct cudaLaunchConfig_t *config, const void *kernel, struct call *call)
{
    struct entry entry(CALL_LAUNCH);
    if (entry.refused) {
        delete call;
        return entry.refused;
    }
    config_check(config, kernel);
    return stream_launch(config, kernel, call);
}

} // namespace cuemu

using namespace cuemu;

cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute attribute, int value)
{
    struct entry entry(CALL_FUNCTION);
    if (entry.refused || attribute != cudaFuncAttributeMaxDynamicSharedMemorySize)
        return entry.refused;
    if (value < 0 || value > SHARED_MOST)
        return entry.answer(cudaErrorInvalidValue);
    for (int i = 0; i < allowed_count; i++)
        if (allowed[i].kernel == kernel) {
            allowed[i].bytes = (size_t)value;
            return cudaSuccess;
        }
    if (allowed_count == KERNELS_MOST)
        found("attributes of more than %d kernels", KERNELS_MOST);
    allowed[allowed_count++] = {kernel, (size_t)value};
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *out, const void *kernel)
{
    struct entry entry(CALL_FUNCTION);
    if (entry.refused)
        return entry.refused;
    if (!kernel)
        return entry.answer(cudaErrorInvalidDeviceFunction);
    *out = {};
    out->maxThreadsPerBlock = THREADS_MOST;
    out->numRegs = REGISTERS;
    out->ptxVersion = out->binaryVersion = (int)settings.arch;
    out->maxDynamicSharedSizeBytes = (int)shared_most(kernel);
    return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *out, const void *kernel, int threads,
                                                          size_t shared_bytes)
{
    struct entry entry(CALL_FUNCTION);
    if (entry.refused)
        return entry.refused;
    if (threads < 1 || threads > THREADS_MOST)
        return entry.answer(cudaErrorInvalidValue);
    size_t by_threads = (size_t)(PROCESSOR_THREADS / threads);
    size_t by_shared =
        (SHARED_MOST + 1024) / (shared_bytes + 1024); /* 1 KiB a block is the driver's */
    size_t blocks = by_threads < by_shared ? by_threads : by_shared;
    blocks = blocks > PROCESSOR_BLOCKS ? (size_t)PROCESSOR_BLOCKS : blocks;
    *out = shared_bytes > shared_most(kernel) ? 0 : (int)blocks;
    return cudaSuccess;
}
