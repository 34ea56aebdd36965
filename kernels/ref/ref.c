/* ref.c - the table of the backend that defines what is right: plain C, one thread, no filter. */
#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/ref/work.h"

static int devices(struct device_info *info, int most, struct refusal *why)
{
    (void)why;
    if (most > 0)
        info[0] = (struct device_info){.name = "ref", .threads = 1, .isa = "plain"};
    return 1;
}

static enum status open_device(int index, const struct device_options *options, struct device **out,
                               struct refusal *why)
{
    struct device *device;

    (void)options;
    if (index != 0)
        return refuse(why, STATUS_NO_DEVICE, REASON_NO_DEVICE, "there is one device, number 0");
    if (fegetround() != FE_TONEAREST)
        return refuse(why, STATUS_UNSUPPORTED, REASON_DEVICE_WRONG,
                      "this thread does not round to nearest");
    device = calloc(1, sizeof *device);
    if (!device)
        return refuse(why, STATUS_OUT_OF_MEMORY, REASON_NO_MEMORY, "no memory for a device");
    devices(&device->info, 1, NULL);
    device->pair_ns = 1.0; /* a chain of FMAs, one every four cycles */
    *out = device;
    return STATUS_OK;
}

static void close_device(struct device **device)
{
    if (!device)
        return;
    free(*device);
    *device = NULL;
}

static void describe(const struct device *device, struct device_info *out)
{
    *out = device->info;
}

static size_t layout(struct work *work, char *base, bool *overflow)
{
    struct carver carver = {.base = base};

    carve(&carver, 1, 1, sizeof *work);
    carve_work(&carver, work);
    *overflow = carver.overflow;
    return carver.used;
}

static enum status plan(const struct device *device, const struct shape *shape, struct plan *out)
{
    struct work work = {.shape = *shape};
    bool overflow;
    size_t bytes;
    double row_ns;

    if (shape_check(shape) != STATUS_OK || shape->residency != RESIDENT)
        return STATUS_UNSUPPORTED;
    bytes = layout(&work, NULL, &overflow);
    if (overflow)
        return STATUS_UNSUPPORTED;
    row_ns = device->pair_ns * (double)shape->clusters * (double)shape->columns;
    *out = (struct plan){.work_bytes = (int64_t)bytes,
                         .row_bytes = 4 + (shape->candidates > 0 ? 8 : 0),
                         .tile_rows = tile_rows_for(row_ns),
                         .row_ns = row_ns,
                         .method = "canonical-ref"};
    return STATUS_OK;
}

static enum status work_open(struct device *device, const struct shape *shape, struct work **out)
{
    struct work header = {.device = device, .shape = *shape};
    bool overflow;
    size_t bytes;
    void *region;

    if (shape_check(shape) != STATUS_OK)
        return STATUS_UNSUPPORTED;
    bytes = layout(&header, NULL, &overflow);
    region = overflow ? NULL : region_new(bytes);
    if (!region)
        return STATUS_OUT_OF_MEMORY;
    layout(&header, region, &overflow);
    *out = region;
    **out = header;
    return STATUS_OK;
}

static void work_close(struct work **work)
{
    if (!work)
        return;
    free(*work);
    *work = NULL;
}

const struct backend backend_ref = {
    .abi = BACKEND_ABI,
    .bytes = sizeof(struct backend),
    .name = "ref",
    .build = BACKEND_BUILD,
    .devices = devices,
    .open = open_device,
    .close = close_device,
    .describe = describe,
    .failure = ref_failure,
    .plan = plan,
    .work_open = work_open,
    .work_close = work_close,
    .load = ref_load,
    .unload = ref_unload,
    .wait = ref_wait,
    .facts = ref_facts,
    .moments = ref_moments,
    .grid_set = ref_grid_set,
    .begin = ref_begin,
    .assign = ref_assign,
    .assigned = ref_assigned,
    .labels_read = ref_labels_read,
    .labels_write = ref_labels_write,
    .sums_read = ref_sums_read,
    .sums_write = ref_sums_write,
    .inertia = ref_inertia,
    .distances = ref_distances,
    .seed_reset = ref_seed_reset,
    .seed_mark = ref_seed_mark,
    .seed_take = ref_seed_take,
    .seed_largest = ref_seed_largest,
    .seed_total = ref_seed_total,
    .seed_find = ref_seed_find,
    .seed_try = ref_seed_try,
    .farthest = ref_farthest,
    .gather = ref_gather,
    .fits_plan = ref_fits_plan,
    .fits = ref_fits,
};
