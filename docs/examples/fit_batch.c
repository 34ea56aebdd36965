/* fit_batch.c - cuts the rows of a .npy file into equal problems and clusters each by itself.
 *
 *     cc fit_batch.c -lbary -o fit_batch && ./fit_batch blobs.npy 4 2
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/bary.h" /* <bary.h> where it is installed */

static int fail(const struct bary_error *error)
{
    fprintf(stderr, "fit_batch: %s\n", error->message);
    return 1;
}

/* One line a problem; what one of them failed with is in its own words. */
static void print_result(const struct bary_batch_result *result)
{
    for (int64_t p = 0; p < result->problems; p++) {
        const struct bary_problem *problem = &result->problem[p];
        struct bary_error error;
        if (bary_batch_error(result, p, &error) != 0) {
            printf("problem %" PRId64 ": %s\n", p, error.message);
            continue;
        }
        printf("problem %" PRId64 ": %" PRId64 " rounds, inertia %.6g, clusters of", p,
               problem->n_iter, problem->inertia);
        for (int64_t j = result->center_offsets[p]; j < result->center_offsets[p + 1]; j++)
            printf(" %" PRId64, result->sizes[j]);
        printf(" rows\n");
    }
}

int main(int argc, char **argv)
{
    struct bary_npy *file = NULL;
    struct bary_data data;
    struct bary_problems problems = {.problems = 1};
    struct bary_kmeans_options options;
    struct bary_batch_result result;
    struct bary_error error;

    if (argc < 2) {
        fprintf(stderr, "usage: fit_batch FILE.npy [problems [n_clusters]]\n");
        return 2;
    }
    if (bary_npy_open(argv[1], &file, &data, &error) != 0)
        return fail(&error);
    bary_kmeans_options_init(&options);
    problems.problems = argc > 2 ? strtoll(argv[2], NULL, 10) : 1;
    options.n_clusters = argc > 3 ? strtoll(argv[3], NULL, 10) : 2;
    if (bary_kmeans_fit_batch(&data, &problems, &options, &result, &error) != 0) {
        bary_npy_close(&file);
        return fail(&error);
    }
    print_result(&result);
    bary_batch_result_free(&result);
    bary_npy_close(&file);
    return 0;
}
