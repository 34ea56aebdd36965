/* metrics.c - see metrics.h.
 *
 * A metric is a list of series that only grows, so readers walk it without a lock; the lock is
 * taken to append. Numbers are atomics: counting never waits. */
#include "host/metrics/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "host/base/memory.h"

enum { SERIES_MAX = 512, LABELS_BYTES = 192, BUCKETS = 18 };

enum type { COUNTER, GAUGE, HISTOGRAM };

static const struct row {
    const char *name, *labels, *help;
    enum type type;
} ROWS[] = {
#define METRIC(name, type, labels, help) {#name, labels, help, type},
#include "host/metrics/metrics.def"
#undef METRIC
};

static const char *const TYPE_NAMES[] = {"counter", "gauge", "histogram"};

/* 100 us to 60 s in steps of about 2.2: an error of a factor 1.5 in a quantile at most. */
static const double BOUNDS[BUCKETS] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                       0.01,   0.025,   0.05,   0.1,   0.25,   0.5,
                                       1,      2.5,     5,      10,    30,     60};

struct series {
    struct series *next;
    char labels[LABELS_BYTES];
    _Atomic uint64_t value;               /* bits of a double: the value, or a histogram's sum */
    _Atomic uint64_t counts[BUCKETS + 1]; /* of a histogram, not cumulative; the last is +Inf */
};

struct family {
    _Atomic(struct series *) first; /* newest first */
    int count;                      /* under metrics.lock */
};

struct metrics {
    pthread_mutex_t lock; /* appending a series; nothing else is locked under it */
    struct family family[METRICS_COUNT];
};

static struct series *series_append(struct metrics *metrics, enum metric metric, const char *labels)
{
    struct family *family = &metrics->family[metric];
    struct series *series = memory_zeroed(1, sizeof *series);

    if (!series)
        return NULL;
    snprintf(series->labels, sizeof series->labels, "%s", labels);
    series->next = atomic_load(&family->first);
    atomic_store(&family->first, series);
    family->count++;
    return series;
}

static struct series *series_find(struct metrics *metrics, enum metric metric, const char *labels)
{
    struct series *series = atomic_load(&metrics->family[metric].first);

    while (series && strncmp(series->labels, labels, LABELS_BYTES - 1) != 0)
        series = series->next;
    return series;
}

/* "a,b" -> "other,other": as many words as the metric has labels. */
static void labels_other(enum metric metric, char *out, size_t bytes)
{
    const char *names = ROWS[metric].labels;
    int at = snprintf(out, bytes, "other");

    for (; (names = strchr(names, ',')) != NULL; names++)
        at += snprintf(out + at, bytes - (size_t)at, ",other");
}

/* NULL: no memory. What cannot be counted is lost, which is better than a call that fails. */
static struct series *series_of(struct metrics *metrics, enum metric metric, const char *labels)
{
    struct series *series = series_find(metrics, metric, labels);
    char other[LABELS_BYTES];

    if (series)
        return series;
    pthread_mutex_lock(&metrics->lock);
    if (metrics->family[metric].count >= SERIES_MAX - 1) {
        labels_other(metric, other, sizeof other);
        labels = other;
    }
    series = series_find(metrics, metric, labels);
    if (!series)
        series = series_append(metrics, metric, labels);
    pthread_mutex_unlock(&metrics->lock);
    return series;
}

static double value_load(struct series *series)
{
    uint64_t bits = atomic_load_explicit(&series->value, memory_order_relaxed);
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static void value_add(struct series *series, double amount)
{
    uint64_t old = atomic_load_explicit(&series->value, memory_order_relaxed), new;

    do {
        double value;
        memcpy(&value, &old, sizeof value);
        value += amount;
        memcpy(&new, &value, sizeof new);
    } while (!atomic_compare_exchange_weak_explicit(&series->value, &old, new, memory_order_relaxed,
                                                    memory_order_relaxed));
}

struct metrics *metrics_new(void)
{
    struct metrics *metrics = memory_zeroed(1, sizeof *metrics);

    if (!metrics)
        return NULL;
    pthread_mutex_init(&metrics->lock, NULL);
    for (int i = 0; i < METRICS_COUNT; i++) /* without labels there is one series: it shows as 0 */
        if (ROWS[i].labels[0] == '\0' && !series_append(metrics, (enum metric)i, "")) {
            metrics_free(&metrics);
            return NULL;
        }
    return metrics;
}

void metrics_free(struct metrics **metrics)
{
    if (!*metrics)
        return;
    for (int i = 0; i < METRICS_COUNT; i++)
        for (struct series *series = (*metrics)->family[i].first, *next; series; series = next) {
            next = series->next;
            memory_free(series);
        }
    pthread_mutex_destroy(&(*metrics)->lock);
    memory_free(*metrics);
    *metrics = NULL;
}

void metric_add(struct metrics *metrics, enum metric metric, const char *labels, double amount)
{
    struct series *series = metrics ? series_of(metrics, metric, labels) : NULL;

    if (series)
        value_add(series, amount);
}

void metric_set(struct metrics *metrics, enum metric metric, const char *labels, double value)
{
    struct series *series = metrics ? series_of(metrics, metric, labels) : NULL;
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    if (series)
        atomic_store_explicit(&series->value, bits, memory_order_relaxed);
}

void metric_observe(struct metrics *metrics, enum metric metric, const char *labels, double seconds)
{
    struct series *series = metrics ? series_of(metrics, metric, labels) : NULL;
    int bucket = 0;

    if (!series)
        return;
    while (bucket < BUCKETS && seconds > BOUNDS[bucket])
        bucket++;
    atomic_fetch_add_explicit(&series->counts[bucket], 1, memory_order_relaxed);
    value_add(series, seconds);
}

/* A text that grows; `failed` once memory ran out. */
struct page {
    char *text;
    size_t used, room;
    bool failed;
};

__attribute__((format(printf, 2, 3))) static void page_print(struct page *page, const char *format,
                                                             ...)
{
    char line[1024];
    va_list list;

    va_start(list, format);
    int bytes = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (bytes >= (int)sizeof line)
        bytes = (int)sizeof line - 1;
    if (page->used + (size_t)bytes + 1 > page->room) {
        size_t room = page->room * 2 + sizeof line;
        char *more = memory_new(room, 1);
        page->failed |= !more;
        if (page->failed) {
            memory_free(more);
            return;
        }
        if (page->used)
            memcpy(more, page->text, page->used);
        memory_free(page->text);
        page->text = more;
        page->room = room;
    }
    memcpy(page->text + page->used, line, (size_t)bytes + 1);
    page->used += (size_t)bytes;
}

/* method="Fit",code="OK" from names and values joined by ','. Quotes, backslashes and line feeds are escaped. */
static void labels_print(const char *names, const char *values, char *out, size_t bytes)
{
    size_t at = 0;

    while (*names && at + 8 < bytes) {
        size_t name = strcspn(names, ","), value = strcspn(values, ",");
        at += (size_t)snprintf(out + at, bytes - at, "%s%.*s=\"", at ? "," : "", (int)name, names);
        for (size_t i = 0; i < value && at + 4 < bytes; i++) {
            if (values[i] == '"' || values[i] == '\\' || values[i] == '\n')
                out[at++] = '\\';
            out[at++] = values[i] == '\n' ? 'n' : values[i];
        }
        out[at++] = '"';
        names += name + (names[name] == ',');
        values += value + (values[value] == ',');
    }
    out[at] = '\0';
}

/* The shortest of 15 or 17 digits that reads back exactly. */
static const char *number_print(double value, char out[32])
{
    double back = 0;

    if (isnan(value) || isinf(value))
        return isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
    snprintf(out, 32, "%.15g", value);
    if (sscanf(out, "%lf", &back) != 1 || back != value)
        snprintf(out, 32, "%.17g", value);
    return out;
}

static void histogram_print(struct page *page, const struct row *row, struct series *series,
                            const char *labels)
{
    const char *comma = labels[0] ? "," : "";
    uint64_t total = 0;
    char number[32];

    for (int i = 0; i <= BUCKETS; i++) {
        total += atomic_load_explicit(&series->counts[i], memory_order_relaxed);
        page_print(page, "bary_%s_bucket{%s%sle=\"%s\"} %llu\n", row->name, labels, comma,
                   number_print(i < BUCKETS ? BOUNDS[i] : INFINITY, number),
                   (unsigned long long)total);
    }
    const char *open = labels[0] ? "{" : "", *close = labels[0] ? "}" : "";
    page_print(page, "bary_%s_sum%s%s%s %s\n", row->name, open, labels, close,
               number_print(value_load(series), number));
    page_print(page, "bary_%s_count%s%s%s %llu\n", row->name, open, labels, close,
               (unsigned long long)total);
}

static void family_print(struct page *page, struct metrics *metrics, int metric)
{
    const struct row *row = &ROWS[metric];
    struct series *series = atomic_load(&metrics->family[metric].first);

    page_print(page, "# HELP bary_%s %s\n# TYPE bary_%s %s\n", row->name, row->help, row->name,
               TYPE_NAMES[row->type]);
    for (; series; series = series->next) {
        char labels[512], number[32];
        labels_print(row->labels, series->labels, labels, sizeof labels);
        if (row->type == HISTOGRAM)
            histogram_print(page, row, series, labels);
        else
            page_print(page, "bary_%s%s%s%s %s\n", row->name, labels[0] ? "{" : "", labels,
                       labels[0] ? "}" : "", number_print(value_load(series), number));
    }
}

char *metrics_print(struct metrics *metrics, size_t *bytes)
{
    struct page page = {0};

    for (int i = 0; i < METRICS_COUNT; i++)
        family_print(&page, metrics, i);
    if (page.failed) {
        memory_free(page.text);
        return NULL;
    }
    *bytes = page.used;
    return page.text;
}
