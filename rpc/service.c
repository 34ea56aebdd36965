/* service.c - see service.h. */
#include "rpc/service.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/clock.h"

static const int64_t ALIVE_NS = 10000000000;

struct limits service_limits(struct service *service)
{
    struct limits limits;

    pthread_mutex_lock(&service->lock);
    limits = service->limits;
    pthread_mutex_unlock(&service->lock);
    return limits;
}

void service_set_limits(struct service *service, const struct limits *limits)
{
    pthread_mutex_lock(&service->lock);
    service->limits = *limits;
    pthread_mutex_unlock(&service->lock);
    atomic_store(&service->unpack.most, limits->unpack_bytes);
}

static bool is_gpu(const struct device_view *device)
{
    return strcmp(device->backend, "cpu") != 0 && strcmp(device->backend, "ref") != 0;
}

bool service_serving(struct service *service)
{
    struct dispatcher_view view;

    if (!atomic_load(&service->ready) || atomic_load(&service->draining))
        return false;
    dispatcher_view(service->dispatcher, &view);
    for (int i = 0; i < view.devices; i++)
        if (strcmp(view.device[i].state, "OK") == 0)
            return true;
    return false;
}

bool service_has_gpu(struct service *service)
{
    struct dispatcher_view view;

    dispatcher_view(service->dispatcher, &view);
    for (int i = 0; i < view.devices; i++)
        if (is_gpu(&view.device[i]) && strcmp(view.device[i].state, "OK") == 0)
            return service_serving(service);
    return false;
}

bool service_alive(struct service *service)
{
    struct dispatcher_view view;

    dispatcher_view(service->dispatcher, &view);
    return clock_ns() - view.tick_ns < ALIVE_NS;
}

static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    char line[128] = "";
    char *rest = NULL;

    if (!file)
        return 0;
    if (!fgets(line, sizeof line, file))
        line[0] = '\0';
    fclose(file);
    strtoll(line, &rest, 10);
    return (double)(strtoll(rest, NULL, 10) * sysconf(_SC_PAGESIZE));
}

/* Less the one that reading the folder takes. */
static double open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = -3; /* ".", ".." and the folder's own */

    if (!folder)
        return 0;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static void fill_process(struct service *service)
{
    struct metrics *metrics = service->metrics;

    metric_set(metrics, METRIC_build_info, BARY_VERSION "," BARY_COMMIT, 1);
    metric_set(metrics, METRIC_start_time_seconds, "", (double)service->started_wall_ns * 1e-9);
    metric_set(metrics, METRIC_process_resident_memory_bytes, "", resident_bytes());
    metric_set(metrics, METRIC_process_open_fds, "", open_descriptors());
    metric_set(metrics, METRIC_memory_reserved_bytes, "", (double)ledger_reserved(service->ledger));
    metric_set(metrics, METRIC_memory_budget_bytes, "", (double)ledger_budget(service->ledger));
}

static void fill_bytes(struct metrics *metrics, enum metric metric, const char *device,
                       int64_t memory, int64_t pinned)
{
    char label[80];

    snprintf(label, sizeof label, "%s,device", device);
    metric_set(metrics, metric, label, (double)memory);
    snprintf(label, sizeof label, "%s,pinned", device);
    metric_set(metrics, metric, label, (double)pinned);
}

static void fill_device(struct metrics *metrics, const struct device_view *device)
{
    char label[64];

    if (strcmp(device->state, "OK") != 0)
        return;
    snprintf(label, sizeof label, "%s:%d", device->backend, device->index);
    metric_set(metrics, METRIC_device_memory_bytes, label, (double)device->info.memory_bytes);
    metric_set(metrics, METRIC_device_busy_seconds_total, label, device->busy_seconds);
    if (device->bytes.budget == 0)
        return;
    fill_bytes(metrics, METRIC_device_budget_bytes, label, device->bytes.budget,
               device->bytes.pinned_budget);
    fill_bytes(metrics, METRIC_device_reserved_bytes, label, device->bytes.reserved,
               device->bytes.pinned_reserved);
}

static void fill_queues(struct service *service)
{
    struct metrics *metrics = service->metrics;
    struct dispatcher_view view;

    dispatcher_view(service->dispatcher, &view);
    metric_set(metrics, METRIC_queue_depth, "fast", (double)view.queued_fast);
    metric_set(metrics, METRIC_queue_depth, "job", (double)view.queued_jobs);
    metric_set(metrics, METRIC_queue_bytes, "fast", (double)view.queued_fast_bytes);
    metric_set(metrics, METRIC_queue_oldest_seconds, "job", (double)view.oldest_queued_ns * 1e-9);
    metric_set(metrics, METRIC_jobs_running, "", (double)view.running_jobs);
    for (int i = 0; i < view.devices; i++)
        fill_device(metrics, &view.device[i]);
}

static void fill_catalog(struct service *service)
{
    struct metrics *metrics = service->metrics;
    struct catalog_counts counts;

    catalog_counts(service->catalog, &counts);
    metric_set(metrics, METRIC_datasets, "", (double)counts.datasets);
    metric_set(metrics, METRIC_dataset_bytes, "", (double)counts.dataset_bytes);
    metric_set(metrics, METRIC_models, "", (double)counts.models);
    metric_set(metrics, METRIC_upload_bytes_total, "", (double)counts.upload_bytes_total);
    metric_set(metrics, METRIC_upload_crc_failures_total, "",
               (double)counts.upload_crc_failures_total);
    metric_set(metrics, METRIC_storage_free_bytes, "", (double)counts.storage_free_bytes);
}

char *service_metrics(struct service *service, size_t *bytes)
{
    fill_process(service);
    fill_queues(service);
    fill_catalog(service);
    return metrics_print(service->metrics, bytes);
}
