/* labels.cu - what goes in and out of a block as it is: labels, seeding distances, rows; and the centers,
 * grid and sums of a work.
 *
 * One kernel fills an array with one value, a thread an element at a time; bound by bytes. All else are
 * copies. Not yet run on a GPU. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernels/cuda/work.h"

struct fill_arguments {
    double *at;
    int64_t count;
    double value;
};

static __global__ void __launch_bounds__(FILL_THREADS, FILL_BLOCKS)
    fill_kernel(const __grid_constant__ struct fill_arguments a)
{
    int64_t step = (int64_t)gridDim.x * FILL_THREADS;

    for (int64_t i = (int64_t)blockIdx.x * FILL_THREADS + threadIdx.x; i < a.count; i += step)
        a.at[i] = a.value;
}

static const struct kernel<struct fill_arguments> fill[] = {
    {
        "fill", fill_kernel, FILL_THREADS, FILL_BLOCKS, 0
    }
};

void labels_kernels(struct kernel_list *list)
{
    kernel_list_add(list, fill);
}

/* Labels of so many rows, or one row's values. */
int64_t labels_slot_bytes(const struct shape *shape)
{
    int64_t labels = shape->rows * (int64_t)sizeof(int32_t);
    int64_t row = shape->columns * (int64_t)sizeof(double);

    labels = labels < SLOT_BYTES_MOST ? labels : SLOT_BYTES_MOST;
    return labels > row ? labels : row;
}

bool labels_hold(const int32_t *label, int64_t count, int64_t clusters)
{
    bool hold = true;

    for (int64_t i = 0; i < count; i++)
        hold &= label[i] >= -1 && label[i] < clusters;
    return hold;
}

static void labels_fold(struct work *work, const void *result, const struct folded *to)
{
    int32_t *out = (int32_t *)to->out[0];
    int64_t from = (int64_t)(intptr_t)to->out[1]; /* the row of out[0] */

    if (labels_hold(static_cast<const int32_t *>(result), to->count, work->shape.clusters))
        memcpy(out + (to->first - from), result, (size_t)to->count * sizeof *out);
    else
        device_wrong(work->device, "a label is of no cluster");
}

enum status cuda_labels_read(struct work *work, struct block *block, int64_t first, int64_t count,
                             int32_t *out)
{
    size_t bytes = (size_t)labels_slot_bytes(&work->shape);
    int64_t rows = (int64_t)(bytes / sizeof(int32_t));

    return pass_run(work, block, first, count,
                    {false, rows, bytes, labels_fold, {out, (void *)(intptr_t)first}},
                    [&](const struct view &view, void *slot) {
                        return cuda_check(
                            work->device,
                            cudaMemcpyAsync(slot, view.label, (size_t)view.count * sizeof(int32_t),
                                            cudaMemcpyDeviceToDevice, work->device->compute),
                            "cudaMemcpyAsync");
                    });
}

enum status cuda_labels_write(struct work *work, struct block *block, int64_t first, int64_t count,
                              const int32_t *labels)
{
    enum status status = device_enter(work->device);

    assert(first >= 0 && count >= 0 && first <= block->rows.count - count);
    if (status != STATUS_OK)
        return status;
    return upload(work->device, work->device->compute, block->label + first, labels,
                  (size_t)count * sizeof *labels);
}

enum status cuda_seed_reset(struct work *work, struct block *block, double value)
{
    struct fill_arguments a = {block->seed, block->rows.count, value};
    enum status status = device_enter(work->device);

    assert(block->seed != NULL);
    if (status != STATUS_OK || a.count == 0)
        return status;
    return launch(work, fill[0], tiles_of(a.count, FILL_ROWS), a);
}

enum status cuda_seed_mark(struct work *work, struct block *block, int64_t row, double value)
{
    enum status status = device_enter(work->device);

    assert(row >= 0 && row < block->rows.count && block->seed != NULL);
    if (status != STATUS_OK)
        return status;
    return upload(work->device, work->device->compute, block->seed + row, &value, sizeof value);
}

/* One row's values as the passes see them. */
static void row_as_doubles(const struct shape *shape, const void *values, double *out)
{
    for (int64_t d = 0; d < shape->columns; d++)
        out[d] = (shape->number == NUMBER_F64 ? ((const double *)values)[d]
                                              : (double)((const float *)values)[d]) +
                 0.0;
}

static void gather_fold(struct work *work, const void *result, const struct folded *to)
{
    row_as_doubles(&work->shape, result, (double *)to->out[0]);
}

enum status cuda_gather(struct work *work, struct block *block, int64_t row, double *out)
{
    size_t bytes = (size_t)work->shape.columns * value_bytes(&work->shape);
    enum status status = device_enter(work->device);

    assert(row >= 0 && row < block->rows.count);
    if (status != STATUS_OK)
        return status;
    if (!block->values) {
        row_as_doubles(&work->shape, (const char *)block->rows.values + (size_t)row * bytes, out);
        return STATUS_OK;
    }
    return pass_run(work, block, row, 1, {false, 0, bytes, gather_fold, {out}},
                    [&](const struct view &view, void *slot) {
                        return cuda_check(work->device,
                                          cudaMemcpyAsync(slot, view.values, bytes,
                                                          cudaMemcpyDeviceToDevice,
                                                          work->device->compute),
                                          "cudaMemcpyAsync");
                    });
}

enum status cuda_grid_set(struct work *work, const struct grid *grid)
{
    struct device *device = work->device;
    size_t columns = (size_t)work->shape.columns;
    enum status status = device_enter(device);

    if (status != STATUS_OK)
        return status;
    for (size_t d = 0; d < columns; d++) {
        int L = grid->column[d];
        work->host_scale[d] = {ldexp(1, 40 - L), ldexp(1, L - 40), ldexp(1, 80 - L), ldexp(1, -L)};
    }
    work->weight_exponent = grid->weight;
    TRY(upload(device, device->compute, work->scale, work->host_scale,
               columns * sizeof *work->scale));
    TRY(upload(device, device->compute, work->exponent, grid->column,
               columns * sizeof *work->exponent));
out:
    return status;
}

enum status cuda_begin(struct work *work, const double *centers)
{
    struct device *device = work->device;
    size_t values = (size_t)(work->shape.clusters * work->shape.columns);
    enum status status;

    TRY(work_settle(work)); /* what the last round found enters before it is forgotten */
    TRY(upload(device, device->compute, work->centers, centers, values * sizeof *centers));
    TRY(assign_begin(work));
    work->assigned = {};
out:
    return status;
}

enum status cuda_assigned(struct work *work, struct assigned *out)
{
    enum status status = work_settle(work);

    if (status == STATUS_OK)
        *out = work->assigned;
    return status;
}

enum status cuda_sums_read(struct work *work, struct sums *out)
{
    struct device *device = work->device;
    const struct device_sums *sums = &work->sums;
    size_t k = (size_t)work->shape.clusters, d = (size_t)work->shape.columns;
    enum status status;

    TRY(work_settle(work));
    TRY(download(device, out->sum, sums->sum, k * d * sizeof *sums->sum));
    TRY(download(device, out->weight, sums->weight, k * sizeof *sums->weight));
    TRY(download(device, out->count, sums->count, k * sizeof *sums->count));
    TRY(download(device, &out->fingerprint, sums->fingerprint, sizeof *sums->fingerprint));
out:
    return status;
}

enum status cuda_sums_write(struct work *work, const struct sums *in)
{
    struct device *device = work->device;
    const struct device_sums *sums = &work->sums;
    size_t k = (size_t)work->shape.clusters, d = (size_t)work->shape.columns;
    enum status status;

    TRY(device_enter(device));
    TRY(upload(device, device->compute, sums->sum, in->sum, k * d * sizeof *sums->sum));
    TRY(upload(device, device->compute, sums->weight, in->weight, k * sizeof *sums->weight));
    TRY(upload(device, device->compute, sums->count, in->count, k * sizeof *sums->count));
    TRY(upload(device, device->compute, sums->fingerprint, &in->fingerprint,
               sizeof *sums->fingerprint));
out:
    return status;
}
