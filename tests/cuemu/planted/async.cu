/* async.cu - a ring of two tiles, filled behind the threads' back.
 *
 * Bugs: 16 the last wait is for one group too few; 17 a tile is refilled without a barrier. */
#include <cuda_runtime.h>

#include "tests/cuemu/planted/planted.h"

enum { THREADS = 64, TILES = 5, EACH = 4, TILE = THREADS * EACH };

struct ring {
    float tile[2][TILE];
};

static __device__ void fetch(struct ring &ring, const float *values, int tile)
{
    int at = (int)threadIdx.x * EACH;
    cp_async16(&ring.tile[tile % 2][at], values + tile * TILE + at);
    cp_async_commit();
}

static __device__ void arrive(int tile)
{
#if BARY_PLANT == 16
    (void)tile;
    cp_async_wait<1>();
#else
    if (tile + 1 < TILES)
        cp_async_wait<1>();
    else
        cp_async_wait<0>();
#endif
}

static __global__ void __launch_bounds__(THREADS) ring_kernel(const float *values, float *sums)
{
    struct ring &ring = *block_shared<struct ring>();
    int thread = (int)threadIdx.x;
    float sum = 0;

    fetch(ring, values, 0);
    for (int tile = 0; tile < TILES; tile++) {
        if (tile + 1 < TILES)
            fetch(ring, values, tile + 1);
        arrive(tile);
        __syncthreads();
        for (int i = 0; i < EACH; i++) /* what another thread fetched */
            sum += ring.tile[tile % 2][(thread * 7 + 5) % THREADS * EACH + i];
#if BARY_PLANT != 17
        __syncthreads();
#endif
    }
#if BARY_PLANT == 16
    cp_async_wait<0>();
#endif
    sums[thread] = sum;
}

int main()
{
    cudaStream_t stream = sample_stream();
    struct sample<float> values(stream, TILES * TILE), sums(stream, THREADS);
    int wrong = 0;

    for (int i = 0; i < TILES * TILE; i++)
        values.host[i] = (float)(i % 97);
    values.up();
    sample_launch(stream, 1, THREADS, sizeof(struct ring), ring_kernel, values.device, sums.device);
    sums.down();
    for (int thread = 0; thread < THREADS && !wrong; thread++) {
        double want = 0;
        for (int tile = 0; tile < TILES; tile++)
            for (int i = 0; i < EACH; i++)
                want += values.host[tile * TILE + (thread * 7 + 5) % THREADS * EACH + i];
        wrong = judged("sum", (size_t)thread, sums.host[thread], want);
    }
    return wrong;
}
