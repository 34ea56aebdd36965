/* histogram.cu - rows of a few columns are summed by their label: a table a block, flushed once.
 *
 * Bugs: 3 no barrier after zeroing; 6 the table is not zeroed; 7 a vector path that drops a row's tail and
 * is misaligned; 12 a plain += into the shared table; 13 a plain += into global memory across blocks. */
#include <cuda_runtime.h>

#include "tests/cuemu/planted/planted.h"

enum { THREADS = 128, BLOCKS = 4, ROWS = 700, COLUMNS = 5, LABELS = 3, SUMS = LABELS * COLUMNS };

struct table {
    int sum[SUMS];
};

static __device__ void row_add(struct table &table, const int *row, int label)
{
#if BARY_PLANT == 7
    int4 four = *reinterpret_cast<const int4 *>(row);
    atomicAdd(&table.sum[label * COLUMNS], four.x);
    atomicAdd(&table.sum[label * COLUMNS + 1], four.y);
    atomicAdd(&table.sum[label * COLUMNS + 2], four.z);
    atomicAdd(&table.sum[label * COLUMNS + 3], four.w);
#else
    for (int i = 0; i < COLUMNS; i++)
#if BARY_PLANT == 12
        table.sum[label * COLUMNS + i] += row[i];
#else
        atomicAdd(&table.sum[label * COLUMNS + i], row[i]);
#endif
#endif
}

static __global__ void __launch_bounds__(THREADS)
    histogram_kernel(const int *values, const int *labels, int *sums)
{
    struct table &table = *block_shared<struct table>();
    int thread = (int)threadIdx.x;

#if BARY_PLANT != 6
    for (int i = thread; i < SUMS; i += THREADS)
        table.sum[i] = 0;
#endif
#if BARY_PLANT != 3
    __syncthreads();
#endif
    for (int row = (int)blockIdx.x * THREADS + thread; row < ROWS; row += BLOCKS * THREADS)
        row_add(table, values + row * COLUMNS, labels[row]);
    __syncthreads();
    for (int i = thread; i < SUMS; i += THREADS)
#if BARY_PLANT == 13
        sums[i] += table.sum[i];
#else
        atomicAdd(&sums[i], table.sum[i]);
#endif
}

int main()
{
    cudaStream_t stream = sample_stream();
    struct sample<int> values(stream, ROWS * COLUMNS), labels(stream, ROWS), sums(stream, SUMS);
    int want[SUMS] = {}, wrong = 0;

    for (int row = 0; row < ROWS; row++) {
        labels.host[row] = row * 7 % LABELS;
        for (int i = 0; i < COLUMNS; i++) {
            values.host[row * COLUMNS + i] = row % 11 - i;
            want[labels.host[row] * COLUMNS + i] += row % 11 - i;
        }
    }
    values.up();
    labels.up();
    must(cudaMemsetAsync(sums.device, 0, sizeof want, stream));
    sample_launch(stream, BLOCKS, THREADS, sizeof(struct table), histogram_kernel, values.device,
                  labels.device, sums.device);
    sums.down();
    for (size_t i = 0; i < SUMS && !wrong; i++)
        wrong = judged("sum", i, sums.host[i], want[i]);
    return wrong;
}
