/* fit.c - fits in process, as often as asked, over data that stays in memory.
 *
 * perf_fit X.npy CENTERS.npy ROUNDS THREADS [BACKEND]: for every line on standard input one fit from the given
 * centers with exactly ROUNDS rounds, answered by one line of JSON: nanoseconds of the fit alone,
 * its inertia and the crc32c of its labels. perf/fit.py drives it beside its peers. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/base/checksum.h"
#include "host/base/clock.h"
#include "host/base/machine.h"
#include "host/base/memory.h"
#include "host/cluster/fit.h"
#include "host/data/npy.h"
#include "perf/place.h"

static int refuse(const char *what, const struct error *error)
{
    char text[1024];
    fprintf(stderr, "perf_fit: %s: %s\n", what, error_message(error, text, sizeof text));
    return 2;
}

/* The centers as doubles, memory_new'ed. */
static enum status centers_read(const char *path, struct matrix *out, double **values,
                                struct error *error)
{
    enum status status;
    struct table *table = NULL;

    TRY(npy_open(path, &table, error));
    TRY(matrix_select(table, &(struct selection){0}, out, error));
    *values = memory_new((size_t)out->rows * (size_t)out->columns, sizeof **values);
    for (int64_t i = 0; *values && i < out->rows * out->columns; i++)
        (*values)[i] = out->number == NUMBER_F32 ? (double)((const float *)out->chunk->values)[i]
                                                 : ((const double *)out->chunk->values)[i];
out:
    table_unpin(&table);
    return status;
}

static enum status fit_once(const struct backend *backend, struct device *device,
                            const struct matrix *matrix, const struct kmeans_params *params,
                            struct error *error)
{
    struct fit_input input = {.name = "X", .matrix = matrix};
    struct kmeans_result result;
    int64_t begun = clock_ns();
    enum status status = kmeans_fit(backend, device, &input, params, NULL, &result, error);
    int64_t ns = clock_ns() - begun;

    if (status != STATUS_OK)
        return status;
    printf("{\"ns\": %" PRId64 ", \"n_iter\": %" PRId64 ", \"inertia\": %.17g, \"labels\": %u}\n",
           ns, result.n_iter, result.inertia,
           crc32c(0, result.labels, (size_t)result.rows * sizeof *result.labels));
    fflush(stdout);
    kmeans_result_free(&result);
    return STATUS_OK;
}

int main(int argc, char **argv)
{
    struct error error = {0};
    struct table *table = NULL;
    struct matrix matrix = {0}, centers = {0};
    struct place place;
    struct kmeans_params params = kmeans_params_default();
    double *values = NULL;
    char line[16];

    machine_wait_quietly(argv); /* as baryd does */
    if (argc != 5 && argc != 6) {
        fprintf(stderr, "usage: perf_fit X.npy CENTERS.npy ROUNDS THREADS [BACKEND] < lines\n");
        return 2;
    }
    if (npy_open(argv[1], &table, &error) != STATUS_OK ||
        matrix_select(table, &(struct selection){0}, &matrix, &error) != STATUS_OK)
        return refuse(argv[1], &error);
    if (centers_read(argv[2], &centers, &values, &error) != STATUS_OK || !values)
        return refuse(argv[2], &error);

    if (!place_open(argc == 6 ? argv[5] : "cpu", (int)strtol(argv[4], NULL, 10), &place))
        return 2;
    params.n_clusters = centers.rows;
    params.init = INIT_CENTERS;
    params.init_centers = values;
    params.max_iter = strtoll(argv[3], NULL, 10);
    params.fixed_rounds = true;
    while (fgets(line, sizeof line, stdin))
        if (fit_once(place.backend, place.device, &matrix, &params, &error) != STATUS_OK)
            return refuse("fit", &error);

    place_close(&place);
    memory_free(values);
    matrix_release(&centers);
    matrix_release(&matrix);
    table_unpin(&table);
    return 0;
}
