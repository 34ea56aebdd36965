/* streams.cu - a copy on one stream feeds a kernel on another. Bug: 18 nothing makes the second wait. */
#include <cuda_runtime.h>

#include "tests/cuemu/planted/planted.h"

enum { THREADS = 64, COUNT = 1000 };

static __global__ void __launch_bounds__(THREADS) twice_kernel(const int *in, int *out)
{
    for (int i = (int)(blockIdx.x * THREADS + threadIdx.x); i < COUNT;
         i += (int)gridDim.x * THREADS)
        out[i] = 2 * in[i];
}

int main()
{
    cudaStream_t copy = sample_stream(), compute = sample_stream();
    struct sample<int> in(copy, COUNT), out(compute, COUNT);
    cudaEvent_t full;
    int wrong = 0;

    must(cudaEventCreateWithFlags(&full, cudaEventDisableTiming));
    for (int i = 0; i < COUNT; i++)
        in.host[i] = i;
    in.up();
    must(cudaEventRecord(full, copy));
#if BARY_PLANT != 18
    must(cudaStreamWaitEvent(compute, full, 0));
#endif
    sample_launch(compute, 4, THREADS, 0, twice_kernel, in.device, out.device);
    out.down();
    for (size_t i = 0; i < COUNT && !wrong; i++)
        wrong = judged("out", i, out.host[i], 2.0 * (double)i);
    must(cudaEventDestroy(full));
    return wrong;
}
