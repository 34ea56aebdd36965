/* device.c - opening the CPU: what it may use, whether it rounds as it must, how fast it is. */
#include <fenv.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/cpu/cpu.h"
#include "kernels/selftest.h"

int cpu_devices(struct device_info *info, int most, struct refusal *why)
{
    char reason[128] = "";
    const struct lanes *lanes = NULL;

    if (cpu_refusal())
        snprintf(reason, sizeof reason, "%s", cpu_refusal());
    else
        lanes = lanes_choose(NULL, reason);
    if (!lanes) {
        refuse(why, STATUS_NO_DEVICE, REASON_CPU_TOO_OLD, reason);
        return 0;
    }
    if (most > 0) {
        info[0] = (struct device_info){.name = "cpu", .threads = omp_get_max_threads()};
        info[0].memory_bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGE_SIZE);
        snprintf(info[0].isa, sizeof info[0].isa, "%s", lanes->isa);
    }
    return 1;
}

/* To nearest, subnormals kept in and out: asked in the thread that will compute. */
static bool arithmetic_is_ieee(void)
{
    volatile double least = 0x1p-1074, small = 0x1p-1022;
    volatile float least_f32 = 0x1p-149f;

    return fegetround() == FE_TONEAREST && least * 0x1p1000 == 0x1p-74 &&
           small * 0.5 == 0x1p-1023 && (double)least_f32 * 0x1p149 == 1.0;
}

static bool threads_are_ieee(int threads)
{
    int right = 0, all = 0;

#pragma omp parallel num_threads(threads) reduction(+ : right, all)
    {
        right += arithmetic_is_ieee();
        all++;
    }
    return right == all;
}

/* One thread's nanoseconds a (row, centroid, column), the best of a few tries of 20 us or so. */
static double measure(const struct lanes *lanes)
{
    enum { ROWS = 48, COLUMNS = 32, CLUSTERS = 64, TRIES = 8 };
    static const int64_t pairs = (int64_t)ROWS * COLUMNS * CLUSTERS;
    double best = 1e300, *memory = region_new(sizeof(double) * COLUMNS * (64 + CLUSTERS) +
                                              sizeof(double) * 64 * 8 * 4);
    if (!memory)
        return 1.0;
    double *packed = memory + 64 * COLUMNS, *scratch = packed + CLUSTERS * COLUMNS;
    const struct strip strip = {memory, ROWS, COLUMNS};
    const struct panels panels = {packed, CLUSTERS, COLUMNS};
    const struct lane_scratch rest = {scratch, scratch + 512, scratch + 1024};
    double distance[64];
    int32_t label[64];

    for (int i = 0; i < TRIES; i++) {
        double start = omp_get_wtime();
        lanes->nearest(&strip, &panels, &rest, distance, label);
        double took = 1e9 * (omp_get_wtime() - start);
        best = took < best ? took : best;
    }
    free(memory);
    return best > 0 ? best / (double)pairs : 0.05;
}

static int threads_asked(const struct device_options *options)
{
    int threads = options && options->threads > 0 ? options->threads : omp_get_max_threads();

    return threads < THREADS_MAX ? threads : THREADS_MAX;
}

static const struct cpu_tuning tuning = {
    .parallel_pairs = 2e6,
    .thread_pairs = 1e6,
    .strip_bytes = 256 << 10,
    .slot_bytes_max = 4 << 20,
    .carry_rows = GRID_CARRY_ROWS,
};

enum status cpu_open(int index, const struct device_options *options, struct device **out,
                     struct refusal *why)
{
    char isa[128];
    const struct lanes *lanes;
    struct cpu_device *device;

    if (cpu_refusal())
        return refuse(why, STATUS_NO_DEVICE, REASON_CPU_TOO_OLD, cpu_refusal());
    if (index != 0)
        return refuse(why, STATUS_NO_DEVICE, REASON_NO_DEVICE, "there is one CPU, number 0");
    lanes = lanes_choose(options ? options->isa : NULL, isa);
    if (!lanes)
        return refuse(why, STATUS_UNSUPPORTED, REASON_CPU_TOO_OLD, isa);
    if (options && options->threads < 0)
        return refuse(why, STATUS_UNSUPPORTED, REASON_NO_DEVICE, "threads is negative");
    if (!threads_are_ieee(threads_asked(options)))
        return refuse(why, STATUS_UNSUPPORTED, REASON_DEVICE_WRONG,
                      "a thread does not round to nearest, or flushes subnormal numbers");
    device = calloc(1, sizeof *device);
    if (!device)
        return refuse(why, STATUS_OUT_OF_MEMORY, REASON_NO_MEMORY, "no memory for a device");
    device->lanes = lanes;
    device->tuning = tuning;
    cpu_devices(&device->base.info, 1, NULL);
    device->base.info.threads = threads_asked(options);
    snprintf(device->base.info.isa, sizeof device->base.info.isa, "%s", lanes->isa);
    device->base.pair_ns = measure(lanes) / device->base.info.threads;
    if (!selftest_passes(&backend_cpu, &device->base)) {
        free(device);
        return refuse(why, STATUS_DEVICE_LOST, REASON_DEVICE_WRONG,
                      "its results differ from the reference's");
    }
    *out = &device->base;
    return STATUS_OK;
}

void cpu_close(struct device **device)
{
    if (!device)
        return;
    free(*device);
    *device = NULL;
}

void cpu_describe(const struct device *device, struct device_info *out)
{
    *out = device->info;
}
