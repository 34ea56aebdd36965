/* host.cu - a sum comes back to the host. Bug: 20 the host reads it where it lies, on the device. */
#include <cuda_runtime.h>

#include "tests/cuemu/planted/planted.h"

static __global__ void sum_kernel(int *out)
{
    atomicAdd(out, (int)threadIdx.x);
}

int main()
{
    cudaStream_t stream = sample_stream();
    struct sample<int> sum(stream, 1);

    sum.up();
    sample_launch(stream, 1, 32, 0, sum_kernel, sum.device);
    sum.down();
#if BARY_PLANT == 20
    return judged("sum", 0, *sum.device, 496);
#else
    return judged("sum", 0, *sum.host, 496);
#endif
}
