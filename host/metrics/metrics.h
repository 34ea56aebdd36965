/* metrics.h - counters, gauges and histograms; one table (name, type, unit, labels, help) prints
 * /metrics (Prometheus text format 0.0.4) and the docs.
 *
 * Labels come from known sets only. Counting is an atomic add, by any thread. A NULL `metrics` counts nothing. */
#ifndef BARY_HOST_METRICS_METRICS_H
#define BARY_HOST_METRICS_METRICS_H

#include <stddef.h>
#include <stdint.h>

struct metrics;
struct metrics *metrics_new(void); /* NULL: no memory */
void metrics_free(struct metrics **metrics);

/* metrics.def: METRIC(name, type, label names, help). Names in the enum are METRIC_<name>. */
enum metric {
#define METRIC(name, type, labels, help) METRIC_##name,
#include "host/metrics/metrics.def"
#undef METRIC
    METRICS_COUNT
};

/* `labels`: the label values in the table's order joined by ',' ("" for none); unknown values are the caller's
 * duty to map to "other". A metric holds at most 512 label sets; more go to "other". */
void metric_add(struct metrics *metrics, enum metric metric, const char *labels,
                double amount); /* counters */
void metric_set(struct metrics *metrics, enum metric metric, const char *labels,
                double value); /* gauges; totals kept elsewhere */
void metric_observe(struct metrics *metrics, enum metric metric, const char *labels,
                    double seconds); /* histograms */

/* The page, memory_new'ed, NUL-terminated. NULL: no memory. */
char *metrics_print(struct metrics *metrics, size_t *bytes);

#endif
