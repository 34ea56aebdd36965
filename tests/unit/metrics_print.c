/* metrics_print.c - what /metrics says, and that counting neither loses nor grows without end. */
#include <pthread.h>

#include "host/base/memory.h"
#include "host/metrics/metrics.h"
#include "tests/check.h"

static bool page_has(struct metrics *metrics, const char *line)
{
    size_t bytes = 0;
    char *page = metrics_print(metrics, &bytes);
    bool found = page && strlen(page) == bytes && strstr(page, line) != NULL;

    memory_free(page);
    return found;
}

static void counters_gauges_and_their_labels_are_printed(struct check *check)
{
    struct metrics *metrics = metrics_new();

    metric_add(metrics, METRIC_rpc_requests_total, "Fit,OK", 2);
    metric_add(metrics, METRIC_rpc_requests_total, "Fit,OK", 1);
    metric_set(metrics, METRIC_datasets, "", 7);
    metric_set(metrics, METRIC_start_time_seconds, "", 0.1);
    metric_set(metrics, METRIC_build_info, "1.0\"\\,x", 1);
    check_true(check, page_has(metrics, "# TYPE bary_rpc_requests_total counter\n"));
    check_true(check, page_has(metrics, "bary_rpc_requests_total{method=\"Fit\",code=\"OK\"} 3\n"));
    check_true(check, page_has(metrics, "bary_datasets 7\n"));
    check_true(check, page_has(metrics, "bary_start_time_seconds 0.1\n"));
    check_true(check, page_has(metrics, "bary_models 0\n")); /* there before anything was counted */
    check_true(check, page_has(metrics, "{version=\"1.0\\\"\\\\\",commit=\"x\"} 1\n"));
    metrics_free(&metrics);
    metric_add(NULL, METRIC_datasets, "", 1); /* counts nothing */
}

static void histograms_are_cumulative(struct check *check)
{
    struct metrics *metrics = metrics_new();

    metric_observe(metrics, METRIC_rpc_duration_seconds, "Predict", 0.0001);
    metric_observe(metrics, METRIC_rpc_duration_seconds, "Predict", 0.3);
    metric_observe(metrics, METRIC_rpc_duration_seconds, "Predict", 100);
    const char *lines[] = {"bary_rpc_duration_seconds_bucket{method=\"Predict\",le=\"0.0001\"} 1\n",
                           "bary_rpc_duration_seconds_bucket{method=\"Predict\",le=\"0.5\"} 2\n",
                           "bary_rpc_duration_seconds_bucket{method=\"Predict\",le=\"60\"} 2\n",
                           "bary_rpc_duration_seconds_bucket{method=\"Predict\",le=\"+Inf\"} 3\n",
                           "bary_rpc_duration_seconds_sum{method=\"Predict\"} 100.3001\n",
                           "bary_rpc_duration_seconds_count{method=\"Predict\"} 3\n",
                           "bary_fsync_seconds_bucket{le=\"0.0001\"} 0\n",
                           "bary_fsync_seconds_count 0\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        check_note(check, "%s", lines[i]);
        check_true(check, page_has(metrics, lines[i]));
    }
    metrics_free(&metrics);
}

static void too_many_label_sets_end_in_other(struct check *check)
{
    struct metrics *metrics = metrics_new();

    for (int i = 0; i < 1000; i++) {
        char labels[32];
        snprintf(labels, sizeof labels, "m%d,OK", i);
        metric_add(metrics, METRIC_rpc_requests_total, labels, 1);
    }
    check_true(check, page_has(metrics, "{method=\"m510\",code=\"OK\"} 1\n"));
    check_true(check, page_has(metrics, "{method=\"other\",code=\"other\"} 489\n"));
    metrics_free(&metrics);
}

static void *count_main(void *opaque)
{
    for (int i = 0; i < 20000; i++) {
        metric_add(opaque, METRIC_rejected_total, i % 2 ? "a" : "b", 1);
        metric_observe(opaque, METRIC_queue_wait_seconds, "fast", 0.25);
    }
    return NULL;
}

static void counting_from_many_threads_loses_nothing(struct check *check)
{
    struct metrics *metrics = metrics_new();
    pthread_t thread[4];

    for (int i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, count_main, metrics);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    check_true(check, page_has(metrics, "bary_rejected_total{reason=\"a\"} 40000\n"));
    check_true(check, page_has(metrics, "bary_rejected_total{reason=\"b\"} 40000\n"));
    check_true(check, page_has(metrics, "bary_queue_wait_seconds_sum{lane=\"fast\"} 20000\n"));
    check_true(check, page_has(metrics, "bary_queue_wait_seconds_count{lane=\"fast\"} 80000\n"));
    metrics_free(&metrics);
}

CHECKS(CLAIM(counters_gauges_and_their_labels_are_printed), CLAIM(histograms_are_cumulative),
       CLAIM(too_many_label_sets_end_in_other), CLAIM(counting_from_many_threads_loses_nothing))
