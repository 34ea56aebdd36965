/* warp.cu - a warp adds up through shared memory. Bug: 10 no __syncwarp between its lanes. */
#include <cuda_runtime.h>

#include "tests/cuemu/planted/planted.h"

enum { LANES = 32, WARPS = 2, THREADS = LANES * WARPS };

struct halves {
    int value[THREADS];
};

static __device__ void lanes_meet()
{
#if BARY_PLANT != 10
    __syncwarp();
#endif
}

static __global__ void __launch_bounds__(THREADS) warp_kernel(int *sums)
{
    struct halves &halves = *block_shared<struct halves>();
    int thread = (int)threadIdx.x, lane = thread % LANES;

    halves.value[thread] = thread;
    for (int step = LANES / 2; step > 0; step /= 2) {
        lanes_meet();
        int other = lane + step < LANES ? halves.value[thread + step] : 0;
        lanes_meet();
        halves.value[thread] += other;
    }
    if (lane == 0)
        sums[thread / LANES] = halves.value[thread];
}

int main()
{
    cudaStream_t stream = sample_stream();
    struct sample<int> sums(stream, WARPS);
    int wrong = 0;

    sample_launch(stream, 1, THREADS, sizeof(struct halves), warp_kernel, sums.device);
    sums.down();
    for (size_t i = 0; i < WARPS && !wrong; i++)
        wrong =
            judged("sum", i, sums.host[i], (double)(LANES * (LANES - 1) / 2 + LANES * LANES * i));
    return wrong;
}
