/* streams.cu - a copy on one stream feeds a kernel on another, into memory that the other has zeroed.
 *
 * Bugs: 18 nothing makes the kernel wait for the copy; 21 the event that the copy waits for is recorded
 * before the zeros are queued. */
#include <cuda_runtime.h>

#include "tests/cuemu/planted/planted.h"

enum { THREADS = 64, COUNT = 1024 };

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
    cudaEvent_t full, zeroed;
    int wrong = 0;

    must(cudaEventCreateWithFlags(&full, cudaEventDisableTiming));
    must(cudaEventCreateWithFlags(&zeroed, cudaEventDisableTiming));
#if BARY_PLANT == 21
    must(cudaEventRecord(zeroed, compute));
#endif
    must(cudaMemsetAsync(in.device, 0, COUNT * sizeof *in.device, compute));
#if BARY_PLANT != 21
    must(cudaEventRecord(zeroed, compute));
#endif
    must(cudaStreamWaitEvent(copy, zeroed, 0));
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
    must(cudaEventDestroy(zeroed));
    return wrong;
}
