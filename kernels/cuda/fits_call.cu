/* fits_call.cu - a call of many small fits: what it costs, its way to the device, and back.
 *
 * Everything is brought to the device at once, the blocks of fits.cu take the problems from a queue, and
 * outputs reach the caller when all went well. A problem whose columns are of very unlike values comes
 * back without a fit: the host says its limit, and it is queued again. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/fits.h"

/* Of ref, which this plug-in holds: sums as wide as any column needs. */
extern "C" {
void moments_add_value(struct moments *into, double x);
double moments_variance(const struct moments *column);
}

static int64_t value_bytes_of(const struct fits *fits)
{
    return fits->number == NUMBER_F64 ? (int64_t)sizeof(double) : (int64_t)sizeof(float);
}

/* Shared memory of a problem; more than there is: it is no small one. */
static int64_t problem_bytes(const struct fits *fits, int64_t rows, int64_t clusters, bool weighted)
{
    struct fits_at at;

    if (rows > FITS_ROWS_MOST || clusters > FITS_ROWS_MOST || fits->columns > FITS_ROWS_MOST)
        return INT64_MAX;
    return fits_layout(rows, clusters, fits->columns, value_bytes_of(fits), weighted, &at);
}

/* What a call keeps for each problem, beside rows, centers, labels and sizes; what its pieces are rounded
 * up by, at most. */
static double bytes_each()
{
    return (double)(sizeof(struct fits_task) + sizeof(struct fits_result) + sizeof(int32_t));
}
enum { REGION_LINES = 16 * 256 };

/* Expected time of a problem, the device full [e], and what it may take alone at its worst. */
struct problem_time {
    double ns, worst_ns;
};
static struct problem_time problem_time(const struct device *device, const struct fits *fits,
                                        int64_t rows, int64_t clusters)
{
    double pair_ns = device->pair_ns * FITS_SLOW;
    double pass = pair_ns * (double)rows * (double)clusters * (double)fits->columns;
    double most = (double)fits->max_iter, runs = (double)fits->n_init;
    double seeding = fits->init == FITS_PLUS_PLUS ? 1 + seed_candidates(clusters) : 1;
    double rounds = fits->fixed_rounds || most < FITS_ROUNDS ? most : FITS_ROUNDS;

    return {pass * (1 + runs * (seeding + rounds + 1)) +
                runs * rounds * FITS_ROUND_NS / device->processors,
            pass * device->processors * runs * (seeding + most + 1) + runs * most * FITS_ROUND_NS};
}

/* No call can be stopped while a problem runs, so one whose rounds could take FITS_WORST_NS is refused.
 * A call has as many problems as TILE_MS_MOST lets in; their outputs lie with the host twice. */
enum status cuda_fits_plan(const struct device *device, const struct fits *fits, int64_t rows,
                           int64_t clusters, struct fits_plan *out)
{
    struct problem_time time;
    double problems, outputs;

    if (rows < 0 || clusters < 1 || fits->columns < 1 ||
        (fits->number != NUMBER_F32 && fits->number != NUMBER_F64) ||
        problem_bytes(fits, rows, clusters, true) > device->shared_most)
        return STATUS_UNSUPPORTED;
    time = problem_time(device, fits, rows, clusters);
    if (time.worst_ns > FITS_WORST_NS)
        return STATUS_UNSUPPORTED;
    problems = TILE_MS_MOST * 1e6 / time.ns + 1;
    outputs = (double)(rows * (int64_t)sizeof(int32_t) +
                       clusters * (fits->columns + 1) * (int64_t)sizeof(double));
    *out = {};
    out->device_bytes = (int64_t)(problems * bytes_each()) + REGION_LINES;
    out->host_bytes = (int64_t)(problems * (bytes_each() + outputs)) + REGION_LINES;
    out->problem_ns = time.ns;
    return STATUS_OK;
}

/* A call under way: tasks and outputs on the host until all went well, and the same on the device. */
struct fits_call {
    struct device *device;
    const struct fits *fits;
    int64_t first_row, rows, first_center, centers;
    struct fits_task *task; /* problems */
    int64_t tasks;
    struct fits_out found;
    int32_t *wide; /* problems */
    char *host, *region;
    size_t region_bytes;
    int64_t shared; /* of the largest problem */
    struct fits_arguments arguments;
};

/* The outputs and what says how they went, in one order for both memories. */
static void outputs_carve(struct carver *carver, const struct fits_call *call, struct fits_out *out,
                          int32_t **wide)
{
    int64_t problems = call->fits->problems, columns = call->fits->columns;

    carve(carver, &out->result, problems, 1);
    carve(carver, &out->centers, call->centers, columns);
    carve(carver, &out->labels, call->rows, 1);
    carve(carver, &out->sizes, call->centers, 1);
    carve(carver, wide, problems, 1);
}

static enum status host_take(struct fits_call *call)
{
    for (int pass = 0; pass < 2; pass++) {
        struct carver carver = {call->host, 0, false};
        outputs_carve(&carver, call, &call->found, &call->wide);
        carve(&carver, &call->task, call->fits->problems, 1);
        if (pass == 0)
            call->host = carver.overflow ? NULL : static_cast<char *>(calloc(carver.used + 1, 1));
        if (!call->host)
            return STATUS_OUT_OF_MEMORY;
    }
    return STATUS_OK;
}

/* Pieces of the device's region. */
struct fits_region {
    struct fits_out out;
    int32_t *wide;
    struct fits_task *task;
    unsigned long long *ticket;
    char *values;
    double *weight, *centers;
};
static void region_carve(struct carver *carver, const struct fits_call *call,
                         struct fits_region *out)
{
    const struct fits *fits = call->fits;
    int64_t given = fits->init == FITS_CENTERS ? call->centers : 0;

    outputs_carve(carver, call, &out->out, &out->wide);
    carve(carver, &out->task, fits->problems, 1);
    carve(carver, &out->ticket, 1, 1);
    carve(carver, &out->values, call->rows, fits->columns * value_bytes_of(fits));
    carve(carver, &out->weight, fits->weight ? call->rows : 0, 1);
    carve(carver, &out->centers, given, fits->columns);
}

static enum status region_take(struct fits_call *call, struct fits_region *out)
{
    struct carver carver = {};
    enum status status;

    region_carve(&carver, call, out);
    if (carver.overflow)
        return STATUS_OUT_OF_MEMORY;
    call->region_bytes = carver.used;
    CUDA_TRY(call->device, cudaMalloc((void **)&call->region, carver.used));
    carver = {call->region, 0, false};
    region_carve(&carver, call, out);
    CUDA_TRY(call->device,
             cudaMemsetAsync(call->region, 0, call->region_bytes, call->device->compute));
out:
    return status;
}

static enum status inputs_upload(struct fits_call *call, const struct fits_region *to)
{
    const struct fits *fits = call->fits;
    struct device *device = call->device;
    size_t row_bytes = (size_t)(fits->columns * value_bytes_of(fits));
    size_t center_bytes = (size_t)fits->columns * sizeof(double);
    enum status status;

    TRY(upload(device, device->compute, to->values,
               static_cast<const char *>(fits->values) + (size_t)call->first_row * row_bytes,
               (size_t)call->rows * row_bytes));
    if (fits->weight)
        TRY(upload(device, device->compute, to->weight, fits->weight + call->first_row,
                   (size_t)call->rows * sizeof(double)));
    if (fits->init == FITS_CENTERS)
        TRY(upload(device, device->compute, to->centers,
                   fits->centers + call->first_center * fits->columns,
                   (size_t)call->centers * center_bytes));
out:
    return status;
}

static void arguments_make(struct fits_call *call, const struct fits_region *region)
{
    const struct fits *fits = call->fits;
    struct fits_arguments *a = &call->arguments;

    a->values = region->values;
    a->weight = fits->weight ? region->weight : NULL;
    a->centers = fits->init == FITS_CENTERS ? region->centers : NULL;
    a->task = region->task;
    a->ticket = region->ticket;
    a->result = region->out.result;
    a->out_centers = region->out.centers;
    a->out_labels = region->out.labels;
    a->out_sizes = region->out.sizes;
    a->wide = region->wide;
    a->n_init = fits->n_init;
    a->max_iter = fits->max_iter;
    a->tol = fits->tol;
    a->columns = (int)fits->columns;
    a->init = fits->init;
    a->empty = fits->empty;
    a->skip_non_finite = fits->skip_non_finite;
    a->fixed_rounds = fits->fixed_rounds;
}

static struct fits_task task_of(const struct fits_call *call, int64_t problem)
{
    const struct fits *fits = call->fits;
    struct fits_task task = {};

    task.row = fits->row[problem] - call->first_row;
    task.center = fits->center[problem] - call->first_center;
    task.problem = problem;
    task.rows = (int)(fits->row[problem + 1] - fits->row[problem]);
    task.clusters = (int)(fits->center[problem + 1] - fits->center[problem]);
    task.candidates = seed_candidates(task.clusters);
    task.random_state = fits->random_state[problem];
    return task;
}

/* Every problem that was not refused, and shared memory for the largest. UNSUPPORTED: plan said so. */
static enum status tasks_make(struct fits_call *call)
{
    const struct fits *fits = call->fits;
    bool weighted = fits->weight || fits->skip_non_finite;

    for (int64_t p = 0; p < fits->problems; p++) {
        if (fits->refused && fits->refused[p])
            continue;
        struct fits_task task = task_of(call, p);
        int64_t bytes = problem_bytes(fits, task.rows, task.clusters, weighted);
        if (bytes > call->device->shared_most)
            return STATUS_UNSUPPORTED;
        call->shared = bytes > call->shared ? bytes : call->shared;
        call->task[call->tasks++] = task;
    }
    return STATUS_OK;
}

/* The tasks, to their end. */
static enum status tasks_run(struct fits_call *call, const struct fits_region *region)
{
    struct device *device = call->device;
    enum status status;

    call->arguments.tasks = call->tasks;
    TRY(upload(device, device->compute, region->task, call->task,
               (size_t)call->tasks * sizeof *call->task));
    CUDA_TRY(device, cudaMemsetAsync(region->ticket, 0, sizeof *region->ticket, device->compute));
    TRY(fits_launch(device, call->fits->number, call->arguments, call->shared));
    TRY(download(device, call->wide, region->wide,
                 (size_t)call->fits->problems * sizeof *call->wide));
out:
    return status;
}

static double value_of(const struct fits *fits, int64_t at)
{
    return fits->number == NUMBER_F64 ? static_cast<const double *>(fits->values)[at]
                                      : (double)static_cast<const float *>(fits->values)[at];
}

static bool row_skipped(const struct fits *fits, int64_t row)
{
    bool finite = true;

    for (int64_t d = 0; d < fits->columns; d++)
        finite &= isfinite(value_of(fits, row * fits->columns + d)) != 0;
    return !finite;
}

/* Weights below 2^-80 of the largest are none, as in the kernel. */
static double weight_least(const struct fits *fits, int64_t row, int64_t end)
{
    double largest = 0;

    for (; fits->weight && row < end; row++)
        if (fits->weight[row] > largest && !row_skipped(fits, row))
            largest = fits->weight[row];
    return largest * 0x1p-80;
}

/* tol times the mean variance of a problem whose columns no 256 bits hold. */
static double limit_of(const struct fits *fits, int64_t row, int64_t end)
{
    double sum = 0, least = weight_least(fits, row, end);

    for (int64_t d = 0; d < fits->columns; d++) {
        struct moments moments = {};
        for (int64_t i = row; i < end; i++)
            if (!(fits->weight && (fits->weight[i] <= 0 || fits->weight[i] < least)) &&
                !row_skipped(fits, i))
                moments_add_value(&moments, value_of(fits, i * fits->columns + d) + 0.0);
        sum += moments_variance(&moments);
    }
    return fits->tol * (sum / (double)fits->columns);
}

/* Problems that wait for the host's word about their limit; true: there are some. */
static bool tasks_limit(struct fits_call *call)
{
    const struct fits *fits = call->fits;

    call->tasks = 0;
    for (int64_t p = 0; p < fits->problems; p++) {
        if (!call->wide[p])
            continue;
        struct fits_task task = task_of(call, p);
        task.limited = true;
        task.limit = limit_of(fits, fits->row[p], fits->row[p + 1]);
        call->task[call->tasks++] = task;
    }
    return call->tasks > 0;
}

static enum status outputs_download(struct fits_call *call, const struct fits_region *from)
{
    struct device *device = call->device;
    size_t problems = (size_t)call->fits->problems, centers = (size_t)call->centers;
    enum status status;

    TRY(download(device, call->found.result, from->out.result,
                 problems * sizeof *call->found.result));
    TRY(download(device, call->found.centers, from->out.centers,
                 centers * (size_t)call->fits->columns * sizeof *call->found.centers));
    TRY(download(device, call->found.labels, from->out.labels,
                 (size_t)call->rows * sizeof *call->found.labels));
    TRY(download(device, call->found.sizes, from->out.sizes, centers * sizeof *call->found.sizes));
out:
    return status;
}

/* Each problem ended in a way that there is, with labels of clusters that it has. */
static bool outputs_hold(const struct fits_call *call)
{
    static const enum status ends[] = {STATUS_OK,           STATUS_TOO_FEW_ROWS,
                                       STATUS_NON_FINITE,   STATUS_ROW_OUT_OF_RANGE,
                                       STATUS_OUT_OF_RANGE, STATUS_EMPTY_CLUSTER};
    const struct fits *fits = call->fits;
    bool hold = true;

    for (int64_t p = 0; hold && p < fits->problems; p++) {
        int64_t row = fits->row[p], clusters = fits->center[p + 1] - fits->center[p];
        if (fits->refused && fits->refused[p])
            continue;
        hold = false;
        for (enum status end : ends)
            hold |= call->found.result[p].status == end;
        hold &= labels_hold(call->found.labels + (row - call->first_row), fits->row[p + 1] - row,
                            clusters);
    }
    return hold;
}

/* Outputs of refused problems stay as they were. */
static void outputs_give(const struct fits_call *call, struct fits_out *out)
{
    const struct fits *fits = call->fits;

    for (int64_t p = 0; p < fits->problems; p++) {
        int64_t row = fits->row[p], center = fits->center[p], columns = fits->columns;
        size_t rows = (size_t)(fits->row[p + 1] - row);
        size_t centers = (size_t)(fits->center[p + 1] - center);
        if (fits->refused && fits->refused[p])
            continue;
        out->result[p] = call->found.result[p];
        memcpy(out->labels + row, call->found.labels + (row - call->first_row),
               rows * sizeof *out->labels);
        memcpy(out->sizes + center, call->found.sizes + (center - call->first_center),
               centers * sizeof *out->sizes);
        memcpy(out->centers + center * columns,
               call->found.centers + (center - call->first_center) * columns,
               centers * (size_t)columns * sizeof *out->centers);
    }
}

static void call_end(struct fits_call *call)
{
    region_give(call->device, call->region, call->region_bytes);
    free(call->host);
}

enum status cuda_fits(struct device *device, const struct fits *fits, struct fits_out *out)
{
    struct fits_call call = {};
    struct fits_region region = {};
    enum status status;

    call.device = device;
    call.fits = fits;
    call.first_row = fits->row[0];
    call.rows = fits->row[fits->problems] - call.first_row;
    call.first_center = fits->center[0];
    call.centers = fits->center[fits->problems] - call.first_center;
    TRY(device_enter(device));
    TRY(host_take(&call));
    TRY(tasks_make(&call));
    if (call.tasks > 0) {
        TRY(region_take(&call, &region));
        TRY(inputs_upload(&call, &region));
        arguments_make(&call, &region);
        TRY(tasks_run(&call, &region));
        if (tasks_limit(&call))
            TRY(tasks_run(&call, &region));
        TRY(outputs_download(&call, &region));
        if (!outputs_hold(&call))
            TRY(device_wrong(device,
                             "a small fit ended with labels of no cluster, or in no known way"));
        outputs_give(&call, out);
    }
out:
    call_end(&call);
    return status;
}
