/* sample.h - what the emulator's own tests launch with. */
#ifndef BARY_TESTS_CUEMU_SAMPLE_H
#define BARY_TESTS_CUEMU_SAMPLE_H

#include <cuda_runtime.h>

#include <stdio.h>
#include <stdlib.h>
#include <utility>

/* The emulator reads its environment again, and forgets what it counted and what broke. */
extern "C" void cuemu_restart(void);

/* One setting for the claims that follow; NULL: none. */
static inline void sample_setting(const char *name, const char *value)
{
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
    cuemu_restart();
}

/* Nothing here may fail: a program that goes on after an error would claim nothing. */
static inline void must(cudaError_t code)
{
    if (code == cudaSuccess)
        return;
    fprintf(stderr, "unexpected: %s\n", cudaGetErrorName(code));
    exit(3);
}

/* A stream of its own, and a buffer on the device with a copy on the host. */
static inline cudaStream_t sample_stream()
{
    cudaStream_t stream;
    must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return stream;
}

template <class T>
struct sample {
    T *device, *host;
    size_t count;
    cudaStream_t stream;

    sample(cudaStream_t stream, size_t count) : count(count), stream(stream)
    {
        must(cudaMalloc(&device, count * sizeof(T)));
        must(cudaHostAlloc(&host, count * sizeof(T), cudaHostAllocDefault));
        for (size_t i = 0; i < count; i++)
            host[i] = T();
    }
    ~sample()
    {
        must(cudaFree(device));
        must(cudaFreeHost(host));
    }
    sample(const sample &) = delete;
    sample &operator=(const sample &) = delete;
    void up()
    {
        must(cudaMemcpyAsync(device, host, count * sizeof(T), cudaMemcpyHostToDevice, stream));
    }
    void down()
    {
        must(cudaMemcpyAsync(host, device, count * sizeof(T), cudaMemcpyDeviceToHost, stream));
        must(cudaStreamSynchronize(stream));
    }
};

template <class... P, class... A>
static inline void sample_launch(cudaStream_t stream, unsigned blocks, unsigned threads,
                                 size_t shared, void (*kernel)(P...), A &&...arguments)
{
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(blocks);
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared;
    config.stream = stream;
    must(cudaLaunchKernelEx(&config, kernel, std::forward<A>(arguments)...));
}

#endif
