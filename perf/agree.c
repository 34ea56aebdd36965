/* agree.c - whole fits on one device and on another: the same bytes, and labels that are right.
 *
 * perf_agree BACKEND OTHER REPEATS SEED [SHAPE...]: for each shape a fit on OTHER and REPEATS fits on
 * BACKEND; one line of JSON: a digest of labels, centers and inertia, whether all are equal, how long
 * the quickest took, and how many labels differ from those of canonical fp64 distances to the final
 * centers, over all rows or as many as 2e10 products allow. Exit 1 when something differs. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/checksum.h"
#include "host/base/clock.h"
#include "host/base/machine.h"
#include "host/base/memory.h"
#include "host/cluster/fit.h"
#include "kernels/grid.h"
#include "perf/place.h"
#include "perf/rows.h"

#define PRODUCTS_MOST 2e10
enum { COLUMNS_MOST = 1024 }; /* of the shapes below */

static const struct shape_row {
    const char *name;
    int64_t rows, columns, clusters, rounds;
    enum number number;
    enum rows_kind kind;
    enum init init;
} shapes[] = {
    {"tiny", 1100, 5, 7, 20, NUMBER_F32, ROWS_BLOBS, INIT_KMEANS_PLUS_PLUS},
    {"tiny-twins", 900, 19, 33, 10, NUMBER_F64, ROWS_TWINS, INIT_RANDOM},
    {"blobs", 1000000, 16, 64, 50, NUMBER_F32, ROWS_BLOBS, INIT_KMEANS_PLUS_PLUS},
    {"normal", 1000000, 64, 256, 20, NUMBER_F32, ROWS_NORMAL, INIT_RANDOM},
    {"offset", 500000, 32, 100, 20, NUMBER_F32, ROWS_OFFSET, INIT_KMEANS_PLUS_PLUS},
    {"twins", 1000000, 8, 1000, 20, NUMBER_F64, ROWS_TWINS, INIT_KMEANS_PLUS_PLUS},
    {"wide", 60000, 784, 100, 20, NUMBER_F32, ROWS_NORMAL, INIT_RANDOM},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

struct answer {
    struct kmeans_result result;
    int64_t ns;
    uint32_t labels, centers;
};

static bool fit_on(const struct place *place, const struct shape_row *row,
                   const struct matrix *matrix, uint64_t seed, struct answer *out)
{
    struct kmeans_params params = kmeans_params_default();
    struct fit_input input = {.name = row->name, .matrix = matrix};
    struct error error = {0};
    int64_t begun = clock_ns();

    params.n_clusters = row->clusters;
    params.init = row->init;
    params.n_init = 1;
    params.max_iter = row->rounds;
    params.random_state = seed;
    if (kmeans_fit(place->backend, place->device, &input, &params, NULL, &out->result, &error) !=
        STATUS_OK) {
        char text[1024];
        fprintf(stderr, "perf_agree: %s on %s: %s\n", row->name, place->backend->name,
                error_message(&error, text, sizeof text));
        return false;
    }
    out->ns = clock_ns() - begun;
    out->labels = crc32c(0, out->result.labels, (size_t)row->rows * sizeof(int32_t));
    out->centers = crc32c(0, out->result.centers,
                          (size_t)row->clusters * (size_t)row->columns * sizeof(double));
    return true;
}

static bool same(const struct shape_row *row, const struct answer *a, const struct answer *b)
{
    size_t values = (size_t)row->clusters * (size_t)row->columns;

    return memcmp(a->result.labels, b->result.labels, (size_t)row->rows * sizeof(int32_t)) == 0 &&
           memcmp(a->result.centers, b->result.centers, values * sizeof(double)) == 0 &&
           memcmp(&a->result.inertia, &b->result.inertia, sizeof(double)) == 0 &&
           a->result.n_iter == b->result.n_iter;
}

/* Rows of which the label is not the nearest center's, ties to the lowest. */
static int64_t wrong_labels(const struct shape_row *row, const void *values,
                            const struct kmeans_result *result, int64_t *looked)
{
    double pairs = (double)row->clusters * (double)row->columns;
    int64_t step = (int64_t)ceil((double)row->rows * pairs / PRODUCTS_MOST), wrong = 0, seen = 0;

#pragma omp parallel for schedule(static) reduction(+ : wrong, seen)
    for (int64_t i = 0; i < row->rows; i += step) {
        double x[COLUMNS_MOST], least = INFINITY;
        int32_t label = -1;
        rows_one(row->number, values, i, row->columns, x);
        for (int32_t j = 0; j < row->clusters; j++) {
            double s = canonical_f64(x, result->centers + j * row->columns, row->columns);
            if (s < least) {
                least = s;
                label = j;
            }
        }
        wrong += label != result->labels[i];
        seen++;
    }
    *looked = seen;
    return wrong;
}

static bool compare(const struct place *place, const struct place *other,
                    const struct shape_row *row, int repeats, uint64_t seed)
{
    size_t size = row->number == NUMBER_F32 ? 4 : 8;
    void *values = memory_new((size_t)row->rows * (size_t)row->columns, size);
    struct rows rows = {.values = values, .count = row->rows};
    struct matrix matrix = {.number = row->number,
                            .rows = row->rows,
                            .columns = row->columns,
                            .chunks = 1,
                            .chunk = &rows};
    struct answer want = {0}, got = {0};
    int64_t looked = 0, wrong = -1, least = INT64_MAX;
    bool equal = false;

    if (values) {
        rows_fill(row->kind, seed, row->number, row->rows, row->columns, values);
        equal = fit_on(other, row, &matrix, seed, &want);
    }
    for (int i = 0; equal && i < repeats; i++) {
        kmeans_result_free(&got.result);
        equal = fit_on(place, row, &matrix, seed, &got) && same(row, &want, &got);
        least = got.ns < least ? got.ns : least;
    }
    if (got.result.labels)
        wrong = wrong_labels(row, values, &got.result, &looked);
    printf(
        "{\"shape\": \"%s\", \"data\": \"%s\", \"rows\": %" PRId64 ", \"columns\": %" PRId64
        ", \"clusters\": %" PRId64 ", \"number\": \"%s\", \"backend\": \"%s\", \"other\": \"%s\", "
        "\"repeats\": %d, \"equal\": %s, \"wrong_labels\": %" PRId64 ", \"rows_checked\": %" PRId64
        ", \"n_iter\": %" PRId64 ", \"inertia\": %.17g, \"labels_crc\": %u, \"centers_crc\": %u, "
        "\"fit_ns\": %" PRId64 ", \"other_ns\": %" PRId64 "}\n",
        row->name, rows_names[row->kind], row->rows, row->columns, row->clusters,
        size == 4 ? "float32" : "float64", place->backend->name, other->backend->name, repeats,
        equal ? "true" : "false", wrong, looked, got.result.n_iter, got.result.inertia, got.labels,
        got.centers, least, want.ns);
    fflush(stdout);
    kmeans_result_free(&got.result);
    kmeans_result_free(&want.result);
    memory_free(values);
    return equal && wrong == 0;
}

int main(int argc, char **argv)
{
    struct place place, other;
    bool right = true;

    machine_wait_quietly(argv);
    if (argc < 5) {
        fprintf(stderr, "usage: perf_agree BACKEND OTHER REPEATS SEED [SHAPE...]; shapes:");
        for (int i = 0; i < SHAPES; i++)
            fprintf(stderr, " %s", shapes[i].name);
        fprintf(stderr, "\n");
        return 2;
    }
    if (!place_open(argv[1], 0, &place))
        return 2;
    if (!place_open(argv[2], 0, &other)) {
        place_close(&place);
        return 2;
    }
    for (int i = 0; i < SHAPES; i++)
        if (name_wanted(shapes[i].name, argc - 5, argv + 5))
            right &= compare(&place, &other, &shapes[i], (int)strtol(argv[3], NULL, 10),
                             strtoull(argv[4], NULL, 0));
    place_close(&other);
    place_close(&place);
    return right ? 0 : 1;
}
