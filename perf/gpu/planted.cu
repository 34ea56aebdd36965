/* planted.cu - five bugs that NVIDIA's sanitizers must report, else their silence means nothing.
 *
 * planted NAME [wrong]: runs one small kernel, right or with its bug. check.sh runs each both ways under
 * the tool that should see it: the right one must be silent. */
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kernels/cuda/ptx.h"

enum { THREADS = 128, COUNT = 1024 };

struct tile {
    int value[THREADS];
};

struct arguments {
    const int *in;
    int *out;
    bool wrong;
};

/* Reads what another thread stored; wrong: without a barrier between. */
static __global__ void race(const __grid_constant__ struct arguments a)
{
    auto &s = *block_shared<struct tile>();
    int t = (int)threadIdx.x;

    s.value[t] = a.in[t];
    if (!a.wrong)
        __syncthreads();
    a.out[t] = s.value[(t + 64) % THREADS];
}

/* Wrong: the last thread reads past the end of `in`. */
static __global__ void beyond(const __grid_constant__ struct arguments a)
{
    for (int i = (int)threadIdx.x; i < COUNT; i += THREADS)
        a.out[i] = a.in[a.wrong ? i + 1 : i];
}

/* Wrong: an index in shared memory runs past what the launch gave. */
static __global__ void shared_beyond(const __grid_constant__ struct arguments a)
{
    auto &s = *block_shared<struct tile>();
    int t = (int)threadIdx.x;

    *(&s.value[t] + (a.wrong ? THREADS : 0)) = a.in[t];
    __syncthreads();
    a.out[t] = s.value[t];
}

/* Wrong: half of the block waits at a barrier that the others never reach. */
static __global__ void divergent(const __grid_constant__ struct arguments a)
{
    if (!a.wrong || threadIdx.x < 48)
        __syncthreads();
    a.out[threadIdx.x] = a.in[threadIdx.x];
}

/* Wrong: it reads memory that nobody wrote. */
static __global__ void unwritten(const __grid_constant__ struct arguments a)
{
    a.out[threadIdx.x] = a.wrong ? a.out[COUNT / 2 + threadIdx.x] + 1 : a.in[threadIdx.x];
}

static const struct planted {
    const char *name;
    void (*kernel)(struct arguments);
} bugs[] = {{"race", race},
            {"beyond", beyond},
            {"shared_beyond", shared_beyond},
            {"divergent", divergent},
            {"unwritten", unwritten}};

static int run(const struct planted &planted, bool wrong)
{
    int *in, *out, host[COUNT];
    cudaLaunchConfig_t config{};

    for (int i = 0; i < COUNT; i++)
        host[i] = i;
    config.gridDim = dim3(1);
    config.blockDim = dim3(THREADS);
    config.dynamicSmemBytes = sizeof(struct tile);
    if (cudaMalloc(&in, sizeof host) != cudaSuccess ||
        cudaMalloc(&out, sizeof host) != cudaSuccess ||
        cudaMemcpy(in, host, sizeof host, cudaMemcpyHostToDevice) != cudaSuccess)
        return 2;
    cudaError_t code = cudaLaunchKernelEx(&config, planted.kernel, arguments{in, out, wrong});
    if (code == cudaSuccess)
        code = cudaDeviceSynchronize();
    std::printf("%s %s: %s\n", planted.name, wrong ? "wrong" : "right", cudaGetErrorString(code));
    cudaFree(in);
    cudaFree(out);
    return code == cudaSuccess ? 0 : 3;
}

int main(int argc, char **argv)
{
    for (const struct planted &planted : bugs)
        if (argc > 1 && std::strcmp(argv[1], planted.name) == 0)
            return run(planted, argc > 2 && std::strcmp(argv[2], "wrong") == 0);
    std::fprintf(stderr, "usage: planted race|beyond|shared_beyond|divergent|unwritten [wrong]\n");
    return 2;
}
