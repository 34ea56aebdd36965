/* check_collectives.cu - barriers, shuffles, votes, matches and reductions give what CUDA's do. */
#include <cuda_runtime.h>

#include <stdint.h>

#include "kernels/cuda/ptx.h"
#include "tests/check.h"
#include "tests/cuemu/sample.h"

enum { FULL = -1, LANES = 32, THREADS = 96 };

/* What a lane brings: neither sorted nor symmetric. */
static __device__ unsigned brought(unsigned lane)
{
    return (lane * 2654435761u) ^ (lane << 7);
}

template <class T>
struct shuffled {
    T index, up, down, with;
};
template <class T>
static __global__ void shuffle_kernel(struct shuffled<T> *out, int by, int width)
{
    unsigned lane = threadIdx.x % LANES;
    T value = (T)brought(lane);
    out[threadIdx.x].index = __shfl_sync(FULL, value, by, width);
    out[threadIdx.x].up = __shfl_up_sync(FULL, value, (unsigned)by, width);
    out[threadIdx.x].down = __shfl_down_sync(FULL, value, (unsigned)by, width);
    out[threadIdx.x].with = __shfl_xor_sync(FULL, value, by, width);
}

/* By the words of the CUDA C++ programming guide, written apart from the emulator's. */
template <class T>
static void check_shuffle(struct check *check, const struct shuffled<T> *got, int by, int width)
{
    for (int i = 0; i < THREADS; i++) {
        int lane = i % LANES, place = lane % width, section = lane - place;
        int up = place >= by ? lane - by : lane, down = place + by < width ? lane + by : lane;
        int with = (lane ^ by) < section + width ? lane ^ by : lane;
        check_note(check, "lane=%d by=%d width=%d bytes=%zu", lane, by, width, sizeof(T));
        check_true(check, got[i].index == (T)brought((unsigned)(section + by % width)));
        check_true(check, got[i].up == (T)brought((unsigned)up));
        check_true(check, got[i].down == (T)brought((unsigned)down));
        check_true(check, got[i].with == (T)brought((unsigned)with));
    }
}

template <class T>
static void shuffle_all(struct check *check)
{
    cudaStream_t stream = sample_stream();
    for (int width = 1; width <= LANES; width *= 2)
        for (int by = 0; by < LANES; by += by < 4 ? 1 : 7) {
            struct sample<struct shuffled<T>> out(stream, THREADS);
            sample_launch(stream, 1, THREADS, 0, shuffle_kernel<T>, out.device, by, width);
            out.down();
            check_shuffle(check, out.host, by, width);
        }
    must(cudaStreamDestroy(stream));
}
static void shuffles_move_values_of_32_and_64_bits(struct check *check)
{
    shuffle_all<unsigned>(check);
    shuffle_all<unsigned long long>(check);
    shuffle_all<double>(check);
    shuffle_all<float>(check);
}

CHECKS(CLAIM(shuffles_move_values_of_32_and_64_bits))
