/* tile.cu - each thread sums what its whole block loaded, tile by tile.
 *
 * Bugs: 1 no barrier after a tile's load; 2 none before it is overwritten; 4 a barrier in a branch;
 * 5 a return before a barrier; 8 a shared index one too far; 9 a launch with too little shared memory;
 * 11 a global read one too far. */
#include <cuda_runtime.h>

#include "tests/cuemu/planted/planted.h"

enum { THREADS = 64, TILES = 5, COUNT = THREADS * TILES - 3 };

struct tile {
    float value[THREADS];
};

static __global__ void __launch_bounds__(THREADS)
    tile_kernel(const float *values, int count, float *sums)
{
    struct tile &tile = *block_shared<struct tile>();
    int thread = (int)threadIdx.x;
    float sum = 0;

    for (int first = 0; first < count; first += THREADS) {
        int at = first + thread;
#if BARY_PLANT == 5
        if (at >= count)
            return;
#endif
#if BARY_PLANT == 11
        float value = at <= count ? values[at] : 0;
        tile.value[thread] = at < count ? value : 0;
#else
        tile.value[thread] = at < count ? values[at] : 0;
#endif
#if BARY_PLANT != 1
        __syncthreads();
#endif
        for (int i = 0; i < THREADS; i++)
#if BARY_PLANT == 8
            sum += (float)(i + 1) * tile.value[i + 1];
#else
            sum += (float)(i + 1) * tile.value[i];
#endif
#if BARY_PLANT == 4
        if (thread < THREADS / 2)
            __syncthreads();
#elif BARY_PLANT != 2
        __syncthreads();
#endif
    }
    sums[thread] = sum;
}

int main()
{
    cudaStream_t stream = sample_stream();
    struct sample<float> values(stream, COUNT), sums(stream, THREADS);
    float want = 0;
    int wrong = 0;

    for (int i = 0; i < COUNT; i++) {
        values.host[i] = (float)(i % 13);
        want += (float)(i % THREADS + 1) * (float)(i % 13); /* small integers: exact in any order */
    }
    values.up();
    sample_launch(stream, 1, THREADS, sizeof(struct tile) - (BARY_PLANT == 9 ? 64 : 0), tile_kernel,
                  values.device, COUNT, sums.device);
    sums.down();
    for (size_t i = 0; i < THREADS && !wrong; i++)
        wrong = judged("sum", i, sums.host[i], want);
    return wrong;
}
