/* fit.c - clusters the rows of a .npy file and prints the centers.
 *
 *     cc fit.c -lbary -o fit && ./fit blobs.npy 3
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/bary.h" /* <bary.h> where it is installed */

static int fail(const struct bary_error *error)
{
    fprintf(stderr, "fit: %s\n", error->message);
    return 1;
}

static void print_result(const struct bary_kmeans_result *result)
{
    printf("%" PRId64 " rounds, inertia %.6g\n", result->n_iter, result->inertia);
    for (int64_t j = 0; j < result->n_clusters; j++) {
        printf("cluster %" PRId64 ": %" PRId64 " rows around (", j, result->sizes[j]);
        for (int64_t c = 0; c < result->columns; c++)
            printf("%s%.3f", c > 0 ? ", " : "", result->cluster_centers[j * result->columns + c]);
        printf(")\n");
    }
}

int main(int argc, char **argv)
{
    struct bary_npy *file = NULL;
    struct bary_data data;
    struct bary_kmeans_options options;
    struct bary_kmeans_result result;
    struct bary_error error;

    if (argc < 2) {
        fprintf(stderr, "usage: fit FILE.npy [n_clusters]\n");
        return 2;
    }
    if (bary_npy_open(argv[1], &file, &data, &error) != 0)
        return fail(&error);
    bary_kmeans_options_init(&options);
    options.n_clusters = argc > 2 ? strtoll(argv[2], NULL, 10) : 3;
    if (bary_kmeans_fit(&data, &options, &result, &error) != 0) {
        bary_npy_close(&file);
        return fail(&error);
    }
    print_result(&result);
    bary_kmeans_result_free(&result);
    bary_npy_close(&file);
    return 0;
}
