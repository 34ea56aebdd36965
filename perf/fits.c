/* fits.c - batches of small problems in process, as often as asked, over data that stays in memory.
 *
 * perf_fits X.npy PROBLEMS K PLACE THREADS: X holds the problems' rows, equally many each. For every line
 * on standard input one batch with the defaults (k-means++, one run, tol 1e-4, random_state 0), answered
 * by one line of JSON: nanoseconds of all of batch_fit by the clock and of the process's CPU time, the sum
 * of inertias, mean rounds, the crc32c of the labels. perf/fits.py drives it beside its peers. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "host/base/checksum.h"
#include "host/base/clock.h"
#include "host/base/machine.h"
#include "host/base/memory.h"
#include "host/cluster/batch.h"
#include "host/data/npy.h"
#include "perf/place.h"

static int refuse(const char *what, const struct error *error)
{
    char text[1024];
    fprintf(stderr, "perf_fits: %s: %s\n", what, error_message(error, text, sizeof text));
    return 2;
}

static int64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

static void answer(int64_t ns, int64_t cpu, const struct batch_result *result)
{
    double inertia = 0, rounds = 0;

    for (int64_t p = 0; p < result->problems; p++) {
        inertia += result->problem[p].inertia;
        rounds += (double)result->problem[p].n_iter / (double)result->problems;
    }
    printf("{\"ns\": %" PRId64 ", \"cpu_ns\": %" PRId64 ", \"failed\": %" PRId64
           ", \"inertia\": %.17g, \"n_iter\": %.3f, \"labels\": %u}\n",
           ns, cpu, result->failed, inertia, rounds,
           crc32c(0, result->labels, (size_t)result->rows * sizeof *result->labels));
    fflush(stdout);
}

static enum status batch_once(const struct place *place, const struct batch_input *input,
                              const struct kmeans_params *params, struct error *error)
{
    struct batch_result result;
    int64_t begun = clock_ns(), cpu_begun = cpu_ns();
    enum status status =
        batch_fit(place->backend, place->device, input, params, NULL, &result, error);
    int64_t ns = clock_ns() - begun, cpu = cpu_ns() - cpu_begun;

    if (status != STATUS_OK)
        return status;
    answer(ns, cpu, &result);
    batch_result_free(&result);
    return STATUS_OK;
}

int main(int argc, char **argv)
{
    struct error error = {0};
    struct table *table = NULL;
    struct matrix matrix = {0};
    struct place place;
    struct kmeans_params params = kmeans_params_default();
    char line[16];

    machine_wait_quietly(argv); /* as baryd does */
    if (argc != 6) {
        fprintf(stderr, "usage: perf_fits X.npy PROBLEMS K PLACE THREADS < lines\n");
        return 2;
    }
    if (npy_open(argv[1], &table, &error) != STATUS_OK ||
        matrix_select(table, &(struct selection){0}, &matrix, &error) != STATUS_OK)
        return refuse(argv[1], &error);
    if (!place_open(argv[4], (int)strtol(argv[5], NULL, 10), &place))
        return 2;
    int64_t problems = strtoll(argv[2], NULL, 10);
    int64_t *row = memory_new((size_t)problems + 1, sizeof *row);
    for (int64_t p = 0; row && p <= problems; p++)
        row[p] = p * (matrix.rows / problems);
    struct batch_input input = {.name = "X", .matrix = &matrix, .problems = problems, .row = row};
    params.n_clusters = strtoll(argv[3], NULL, 10);
    while (row && fgets(line, sizeof line, stdin))
        if (batch_once(&place, &input, &params, &error) != STATUS_OK)
            return refuse("batch", &error);

    place_close(&place);
    memory_free(row);
    matrix_release(&matrix);
    table_unpin(&table);
    return 0;
}
