/* fixed.cu - runs the device arithmetic of kernels/cuda/fixed.h and block.h over values of a test. One
 * thread a value, so that nothing but the arithmetic is in question. */
#include "tests/cuda/fixed.h"

#include <math.h>
#include <string.h>

#include "kernels/cuda/block.h"
#include "kernels/cuda/fixed.h"

namespace
{

struct fixed_arguments {
    const double *x, *w;
    const int32_t *label;
    int128 *out;
    int count;
    int32_t L;
    int64_t first;
    struct column_scale scale;
    double down_weight;
};

__device__ int128 joined(struct digits digits)
{
    return digits_join(digits.hi, digits.lo);
}

__device__ int128 fingerprint_joined(int64_t row, int32_t label)
{
    uint32_t word[FIXED_WORDS];

    fingerprint_words(row, label, word);
    return (int128)((uint128)word[0] | (uint128)word[1] << 32 | (uint128)word[2] << 64 |
                    (uint128)word[3] << 96);
}

enum kind { SCALED, WEIGHTED, TERM, FINGERPRINT };

template <int KIND>
__global__ void __launch_bounds__(128, 1)
    fixed_kernel(const __grid_constant__ struct fixed_arguments a)
{
    for (int i = (int)(blockIdx.x * 128 + threadIdx.x); i < a.count; i += (int)gridDim.x * 128) {
        if (KIND == SCALED)
            a.out[i] = joined(fixed_scaled(a.x[i], a.scale));
        else if (KIND == WEIGHTED)
            a.out[i] = joined(fixed_weighted(a.x[i], a.w[i] * a.down_weight, a.scale));
        else if (KIND == TERM)
            a.out[i] = joined(fixed_term(a.x[i], a.L));
        else
            a.out[i] = fingerprint_joined(a.first + i, a.label[i]);
    }
}

/* The device memory of a call. */
struct room {
    char *base;
    double *x, *w;
    int32_t *label;
    int128 *out;
    cudaStream_t stream;
};

bool room_open(struct room *room)
{
    const size_t doubles = FIXED_VALUES_MOST * sizeof(double);

    if (cudaStreamCreateWithFlags(&room->stream, cudaStreamNonBlocking) != cudaSuccess ||
        cudaMalloc((void **)&room->base, 5 * doubles) != cudaSuccess)
        return false;
    room->out = (int128 *)room->base;
    room->x = (double *)(room->base + 2 * doubles);
    room->w = room->x + FIXED_VALUES_MOST;
    room->label = (int32_t *)(room->w + FIXED_VALUES_MOST);
    return true;
}

void room_close(struct room *room)
{
    cudaFree(room->base);
    cudaStreamDestroy(room->stream);
}

bool put(struct room *room, void *to, const void *from, size_t bytes)
{
    return !from ||
           cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, room->stream) == cudaSuccess;
}

/* Runs the kernel over the values and brings the results back. */
bool run(void (*kernel)(const struct fixed_arguments), struct fixed_arguments a, int128 *out)
{
    struct room room = {};
    cudaLaunchConfig_t config = {};
    size_t n = (size_t)a.count;
    bool well = room_open(&room) && put(&room, room.x, a.x, n * sizeof(double)) &&
                put(&room, room.w, a.w, n * sizeof(double)) &&
                put(&room, room.label, a.label, n * sizeof(int32_t));

    a.x = room.x;
    a.w = room.w;
    a.label = room.label;
    a.out = room.out;
    config.gridDim = dim3(3);
    config.blockDim = dim3(128);
    config.stream = room.stream;
    well = well && cudaLaunchKernelEx(&config, kernel, a) == cudaSuccess &&
           cudaMemcpyAsync(out, room.out, n * sizeof *out, cudaMemcpyDeviceToHost, room.stream) ==
               cudaSuccess &&
           cudaStreamSynchronize(room.stream) == cudaSuccess;
    room_close(&room);
    return well;
}

struct column_scale scale_of(int32_t L)
{
    return {ldexp(1, 40 - L), ldexp(1, L - 40), ldexp(1, 80 - L), ldexp(1, -L)};
}

struct block_arguments {
    const int64_t *value;
    struct block_results
        *out; /* one a thread would be too much: the last thread's, checked by all */
    int64_t *before;
    int *differ;
};

struct block_shared_memory {
    long long scratch[WARP];
    double maxima[WARP];
};

/* Every thread must have the same results; those of the last one go out. */
__global__ void __launch_bounds__(1024, 1)
    block_kernel(const __grid_constant__ struct block_arguments a)
{
    auto &s = *block_shared<struct block_shared_memory>();
    long long value = a.value[threadIdx.x], whole;
    long long sum = block_reduce<add>(value, s.scratch);
    long long most = block_reduce<largest>(value, s.scratch);
    long long little = block_reduce<least>(value, s.scratch);
    double farthest = block_reduce<largest>((double)value, s.maxima);

    a.before[threadIdx.x] = block_scan(value, s.scratch, &whole);
    if (whole != sum)
        atomicAdd(a.differ, 1);
    if (threadIdx.x + 1 == blockDim.x) {
        a.out->sum = sum;
        a.out->most = most;
        a.out->least = little;
        a.out->whole = whole;
        a.out->farthest = farthest;
    }
}

} // namespace

bool device_fixed_scaled(const double *x, int count, int32_t L, int128 *out)
{
    struct fixed_arguments a = {};

    a.x = x;
    a.count = count;
    a.scale = scale_of(L);
    return run(fixed_kernel<SCALED>, a, out);
}

bool device_fixed_weighted(const double *x, const double *w, int count, int32_t L, int32_t L_w,
                           int128 *out)
{
    struct fixed_arguments a = {};

    a.x = x;
    a.w = w;
    a.count = count;
    a.scale = scale_of(L);
    a.down_weight = ldexp(1, -L_w);
    return run(fixed_kernel<WEIGHTED>, a, out);
}

bool device_fixed_term(const double *t, int count, int32_t L, int128 *out)
{
    struct fixed_arguments a = {};

    a.x = t;
    a.count = count;
    a.L = L;
    return run(fixed_kernel<TERM>, a, out);
}

bool device_fingerprints(int64_t first, const int32_t *labels, int count, uint128 *out)
{
    struct fixed_arguments a = {};

    a.label = labels;
    a.count = count;
    a.first = first;
    return run(fixed_kernel<FINGERPRINT>, a, (int128 *)out);
}

bool device_block(const int64_t *value, int threads, struct block_results *out)
{
    const size_t bytes = sizeof *out + 2 * 1024 * sizeof(int64_t) + 64;
    struct block_arguments a;
    cudaLaunchConfig_t config = {};
    struct room room = {};
    char *base = NULL;
    int differ = 0;
    bool well = room_open(&room) && cudaMalloc((void **)&base, bytes) == cudaSuccess &&
                cudaMemsetAsync(base, 0, bytes, room.stream) == cudaSuccess;

    a.out = (struct block_results *)base;
    a.before = (int64_t *)(base + sizeof *out);
    a.value = a.before + 1024;
    a.differ = (int *)(base + bytes - 64);
    config.gridDim = dim3(1);
    config.blockDim = dim3((unsigned)threads);
    config.dynamicSmemBytes = sizeof(struct block_shared_memory);
    config.stream = room.stream;
    well = well && put(&room, (void *)a.value, value, (size_t)threads * sizeof *value) &&
           cudaLaunchKernelEx(&config, block_kernel, a) == cudaSuccess &&
           cudaMemcpyAsync(out, a.out, sizeof *out, cudaMemcpyDeviceToHost, room.stream) ==
               cudaSuccess &&
           cudaMemcpyAsync(out->before, a.before, (size_t)threads * sizeof(int64_t),
                           cudaMemcpyDeviceToHost, room.stream) == cudaSuccess &&
           cudaMemcpyAsync(&differ, a.differ, sizeof differ, cudaMemcpyDeviceToHost, room.stream) ==
               cudaSuccess &&
           cudaStreamSynchronize(room.stream) == cudaSuccess;
    cudaFree(base);
    room_close(&room);
    return well && differ == 0;
}
