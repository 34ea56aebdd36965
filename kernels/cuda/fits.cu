/* fits.cu - many small fits: a block takes the next problem of a queue and does it whole.
 *
 * A block owns a problem from its rows to its last label; rows, centers and sums lie in its shared
 * memory, and nothing is launched between rounds. A problem ends when it ends: the block takes another,
 * so problems with few rounds wait for nobody. Bound by the latency of fp64 chains. */
#include "kernels/cuda/fits_rounds.h"
#include "kernels/cuda/fits_rows.h"
#include "kernels/cuda/fits_seed.h"

static __device__ __forceinline__ void problem_open(const struct fits_arguments &a,
                                                    struct fits_shared &s, int value_bytes)
{
    if (threadIdx.x == 0) {
        s.task = a.task[s.ticket];
        s.n = s.task.rows;
        s.k = s.task.clusters;
        s.d = a.columns;
        s.stride = fits_stride(s.d);
        s.result = {};
        s.wide = false;
        fits_layout(s.n, s.k, s.d, value_bytes, a.weight || a.skip_non_finite, &s.at);
    }
    __syncthreads();
}

/* Outputs of a problem that failed; s.result names the cause. */
static __device__ __forceinline__ void problem_fail(const struct fits_arguments &a,
                                                    struct fits_shared &s, enum status status)
{
    for (int row = (int)threadIdx.x; row < s.n; row += FITS_THREADS)
        a.out_labels[s.task.row + row] = -1;
    for (int j = (int)threadIdx.x; j < s.k; j += FITS_THREADS)
        a.out_sizes[s.task.center + j] = 0;
    for (int at = (int)threadIdx.x; at < s.k * s.d; at += FITS_THREADS)
        a.out_centers[s.task.center * s.d + at] = 0;
    if (threadIdx.x == 0) {
        s.result.status = status;
        a.result[s.task.problem] = s.result;
    }
}

/* The present run becomes the problem's result. */
static __device__ __forceinline__ void problem_keep(const struct fits_arguments &a,
                                                    struct fits_shared &s, int64_t run,
                                                    const struct run_found &found)
{
    int first, empty = empty_find(s, &first);

    for (int row = (int)threadIdx.x; row < s.n; row += FITS_THREADS)
        a.out_labels[s.task.row + row] = fits_label(s)[row];
    for (int j = (int)threadIdx.x; j < s.k; j += FITS_THREADS)
        a.out_sizes[s.task.center + j] = fits_count(s)[j];
    for (int at = (int)threadIdx.x; at < s.k * s.d; at += FITS_THREADS)
        a.out_centers[s.task.center * s.d + at] = fits_centers(s)[at];
    if (threadIdx.x == 0) {
        s.result = {};
        s.result.status = STATUS_OK;
        s.result.n_iter = found.n_iter;
        s.result.run = run;
        s.result.empty = empty;
        s.result.skipped = s.skipped;
        s.result.taking_part = s.taking_part;
        s.result.stop = (enum fits_stop)found.stop;
        s.result.distinct_below = s.distinct_below;
        s.result.inertia = found.inertia;
        s.result.fingerprint = fits_fingerprint(s);
        a.result[s.task.problem] = s.result;
    }
    __syncthreads();
}

/* The lowest inertia wins, then the lowest run. */
template <class T>
static __device__ __forceinline__ enum status problem_runs(const struct fits_arguments &a,
                                                           struct fits_shared &s)
{
    double best = infinity();

    for (int64_t run = 0; run < a.n_init; run++) {
        struct run_found found = {};
        run_begin(s);
        fits_seed<T>(a, s, run);
        enum status status = fits_rounds<T>(a, s, &found);
        if (status != STATUS_OK)
            return status;
        found.inertia = fits_inertia(s);
        if (run == 0 || found.inertia < best) {
            best = found.inertia;
            problem_keep(a, s, run, found);
        }
    }
    return STATUS_OK;
}

template <class T>
static __global__ void __launch_bounds__(FITS_THREADS, FITS_BLOCKS)
    fits_kernel(const __grid_constant__ struct fits_arguments a)
{
    auto &s = *block_shared<struct fits_shared>();

    for (;;) {
        __syncthreads(); /* the problem before is done */
        if (threadIdx.x == 0)
            s.ticket = atomicAdd(a.ticket, 1ull);
        __syncthreads();
        if (s.ticket >= (unsigned long long)a.tasks)
            break;
        problem_open(a, s, (int)sizeof(T));
        enum status status = fits_prepare<T>(a, s);
        if (s.wide && status == STATUS_OK) {
            if (threadIdx.x == 0)
                a.wide[s.task.problem] = 1;
            continue;
        }
        if (status == STATUS_OK)
            status = problem_runs<T>(a, s);
        if (status != STATUS_OK)
            problem_fail(a, s, status);
    }
}

/* ---- launcher ---- */

static const struct kernel<struct fits_arguments> fits_table[] = {
    {"fits_f32", fits_kernel<float>, FITS_THREADS, FITS_BLOCKS, SHARED_BYTES_MOST},
        {"fits_f64", fits_kernel<double>, FITS_THREADS, FITS_BLOCKS, SHARED_BYTES_MOST},
};

void fits_kernels(struct kernel_list *list)
{
    kernel_list_add(list, fits_table);
}

/* As many blocks as a processor holds take the tasks between them. */
enum status fits_launch(struct device *device, enum number number,
                        const struct fits_arguments &arguments, int64_t shared)
{
    const struct kernel<struct fits_arguments> &kernel = fits_table[number == NUMBER_F64];
    cudaLaunchConfig_t config = {};
    enum status status;

    config.gridDim = dim3(launch_grid(device, arguments.tasks, FITS_RESIDENT));
    config.blockDim = dim3((unsigned)kernel.threads);
    config.dynamicSmemBytes = (size_t)shared;
    config.stream = device->compute;
    CUDA_TRY(device,
             cudaFuncSetAttribute(kernel.function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  (int)device->shared_most));
    TRY(launch_check(device, cudaLaunchKernelEx(&config, kernel.function, arguments), kernel.name));
out:
    return status;
}
