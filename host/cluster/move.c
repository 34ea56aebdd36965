/* move.c - centers are means of exact sums, each rounded once. */
#include <string.h>

#include "host/cluster/state.h"
#include "kernels/grid.h"

/* Below this many values a team of threads costs more than it saves (10 ns a value). */
enum { PARALLEL_VALUES = 1 << 15 };

static void center_move(const struct fit *fit, int64_t j, const double *old, double *out)
{
    int64_t columns = fit->tiles.shape.columns;
    const int128 *sum = fit->sums.sum + j * columns;

    if (fit->sums.count[j] == 0) {
        memcpy(out, old, (size_t)columns * sizeof *out);
        return;
    }
    if (fit->tiles.shape.weighted)
        for (int64_t d = 0; d < columns; d++)
            out[d] = grid_mean_weighted(sum[d], fit->sums.weight[j], fit->L[d]);
    else
        for (int64_t d = 0; d < columns; d++)
            out[d] = grid_mean(sum[d], fit->sums.count[j], fit->L[d]);
}

void centers_move(const struct fit *fit, const double *old, double *out)
{
    int64_t clusters = fit->tiles.shape.clusters, columns = fit->tiles.shape.columns;

#pragma omp parallel for num_threads(fit->threads) if (clusters * columns >= PARALLEL_VALUES)
    for (int64_t j = 0; j < clusters; j++)
        center_move(fit, j, old + j * columns, out + j * columns);
}

double centers_shift(const double *a, const double *b, int64_t clusters, int64_t columns)
{
    double sum = 0;

    for (int64_t j = 0; j < clusters; j++)
        sum += canonical_f64(a + j * columns, b + j * columns, columns);
    return sum;
}
