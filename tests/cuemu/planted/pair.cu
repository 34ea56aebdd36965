/* pair.cu - the canary of the race detector: one thread writes, one reads.
 *
 *     pair WHERE THREADS      WHERE: lane (same warp), warp (another warp), block (another block)
 *
 * Bug: 15 nothing orders the two. */
#include <cuda_runtime.h>

#include <string.h>

#include "tests/cuemu/planted/planted.h"

enum { BLOCKS = 3 };

struct who {
    unsigned block, thread;
};

static __global__ void pair_kernel(struct who writer, struct who reader, int *value, int *out)
{
    bool writes = blockIdx.x == writer.block && threadIdx.x == writer.thread;
    bool reads = blockIdx.x == reader.block && threadIdx.x == reader.thread;

    __syncthreads();
#if BARY_PLANT == 15
    if (writes)
        *value = 1;
    __shfl_xor_sync(0xffffffffu, 0, 1); /* lanes meet, but a shuffle orders no memory */
    if (reads)
        *out = *value;
#else
    if (writes)
        atomicExch(value, 1);
    __shfl_xor_sync(0xffffffffu, 0, 1);
    if (reads)
        *out = atomicAdd(value, 0);
#endif
    __syncthreads();
}

int main(int argc, char **argv)
{
    const char *where = argc > 1 ? argv[1] : "lane";
    unsigned threads = argc > 2 ? (unsigned)strtol(argv[2], nullptr, 10) : 32;
    unsigned warp = threads / 64 * 32; /* one in the middle */
    struct who writer = {0, warp + 3}, reader = {0, warp + 20};
    cudaStream_t stream = sample_stream();
    struct sample<int> value(stream, 1), out(stream, 1);

    if (strcmp(where, "warp") == 0)
        writer.thread = 5, reader.thread = threads - 7;
    if (strcmp(where, "block") == 0)
        reader.block = 1;
    value.up();
    out.up();
    sample_launch(stream, strcmp(where, "block") == 0 ? BLOCKS : 1, threads, 0, pair_kernel, writer,
                  reader, value.device, out.device);
    out.down();
    return 0;
}
