/* exact.cu - runs the roundings of kernels/cuda/exact.h over values of a test, one thread a value. */
#include "tests/cuda/exact.h"

#include "kernels/cuda/exact.h"

namespace
{

struct exact_arguments {
    const struct exact_input *in;
    struct exact_output *out;
    int count;
};

__global__ void __launch_bounds__(128, 1)
    exact_kernel(const __grid_constant__ struct exact_arguments a)
{
    for (int i = (int)(blockIdx.x * 128 + threadIdx.x); i < a.count; i += (int)gridDim.x * 128) {
        const struct exact_input &in = a.in[i];
        struct exact_output &out = a.out[i];
        struct limbs numerator = {{in.limb[0], in.limb[1], in.limb[2], in.limb[3]}};
        out.mean = mean_of(in.S, in.n, in.L);
        out.mean_weighted = mean_weighted_of(in.S, in.W, in.L);
        out.total = total_double(in.S < 0 ? -in.S : in.S, in.L);
        out.quotient = quotient_once(numerator, in.divisor, in.exponent);
        out.scaled = scale_exact(in.x, -exponent_of(in.x));
        out.exponent = exponent_of(in.x);
        out.above = exponent_above(in.x);
    }
}

} // namespace

bool device_exact(const struct exact_input *in, int count, struct exact_output *out)
{
    size_t in_bytes = (size_t)count * sizeof *in, out_bytes = (size_t)count * sizeof *out;
    struct exact_arguments a = {};
    cudaLaunchConfig_t config = {};
    cudaStream_t stream = NULL;
    char *base = NULL;
    bool well = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess &&
                cudaMalloc((void **)&base, in_bytes + out_bytes) == cudaSuccess &&
                cudaMemcpyAsync(base, in, in_bytes, cudaMemcpyHostToDevice, stream) == cudaSuccess;

    a.in = (const struct exact_input *)base;
    a.out = (struct exact_output *)(base + in_bytes);
    a.count = count;
    config.gridDim = dim3(3);
    config.blockDim = dim3(128);
    config.stream = stream;
    well = well && cudaLaunchKernelEx(&config, exact_kernel, a) == cudaSuccess &&
           cudaMemcpyAsync(out, a.out, out_bytes, cudaMemcpyDeviceToHost, stream) == cudaSuccess &&
           cudaStreamSynchronize(stream) == cudaSuccess;
    cudaFree(base);
    cudaStreamDestroy(stream);
    return well;
}
