/* last_block.cu - each block leaves a sum, the last to take a ticket adds them up.
 * Bug: 14 no __threadfence before the ticket. */
#include <cuda_runtime.h>

#include "tests/cuemu/planted/planted.h"

enum { BLOCKS = 8, COUNT = 4001 };

struct last {
    int sum;
    unsigned ticket;
};

static __global__ void last_block_kernel(const int *values, int *part, unsigned *tickets, int *out)
{
    struct last &last = *block_shared<struct last>();
    int thread = (int)threadIdx.x, threads = (int)blockDim.x;

    if (thread == 0)
        last.sum = 0;
    __syncthreads();
    for (int i = (int)blockIdx.x * threads + thread; i < COUNT; i += BLOCKS * threads)
        atomicAdd(&last.sum, values[i]);
    __syncthreads();
    if (thread == 0) {
        part[blockIdx.x] = last.sum;
#if BARY_PLANT != 14
        __threadfence();
#endif
        last.ticket = atomicAdd(tickets, 1u);
        __threadfence();
    }
    __syncthreads();
    if (last.ticket == BLOCKS - 1 && thread == 0) {
        int whole = 0;
        for (int i = 0; i < BLOCKS; i++)
            whole += part[i];
        *out = whole;
    }
}

int main(int argc, char **argv)
{
    unsigned threads = argc > 1 ? (unsigned)strtol(argv[1], nullptr, 10) : 128;
    cudaStream_t stream = sample_stream();
    struct sample<int> values(stream, COUNT), part(stream, BLOCKS), out(stream, 1);
    struct sample<unsigned> tickets(stream, 1);
    int want = 0;

    for (int i = 0; i < COUNT; i++)
        want += values.host[i] = i % 17;
    values.up();
    tickets.up();
    sample_launch(stream, BLOCKS, threads, sizeof(struct last), last_block_kernel, values.device,
                  part.device, tickets.device, out.device);
    out.down();
    return judged("sum", 0, out.host[0], want);
}
