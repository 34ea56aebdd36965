/* params.c - what a fit may be asked for. */
#include <math.h>

#include "host/cluster/state.h"
#include "proto/limits.h"

struct kmeans_params kmeans_params_default(void)
{
    return (struct kmeans_params){.n_clusters = 8, .max_iter = 300, .tol = 1e-4};
}

/* A parameter that is a count. */
struct range {
    const char *what;
    int64_t value, least, most;
    const char *limit;
};

static enum status ranges_check(const struct range *range, size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++)
        if (range[i].value < range[i].least || range[i].value > range[i].most)
            return FAIL(error, OUT_OF_RANGE, TEXT("what", range[i].what),
                        INT("value", range[i].value), TEXT("limit", range[i].limit));
    return STATUS_OK;
}

/* A parameter that is one of a few words. */
struct choice {
    const char *what;
    int64_t value, most;
    const char *known;
};

static enum status choices_check(const struct choice *choice, size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++)
        if (choice[i].value < 0 || choice[i].value > choice[i].most)
            return FAIL(error, UNKNOWN_VALUE, TEXT("what", choice[i].what),
                        INT("value", choice[i].value), TEXT("known", choice[i].known));
    return STATUS_OK;
}

static enum status init_check(const struct kmeans_params *params, struct error *error)
{
    if (params->init == INIT_CENTERS && !params->init_centers)
        return FAIL(error, MISSING, TEXT("what", "init_centers"),
                    TEXT("why", "init asks for given centers"));
    if (params->init_centers && params->init != INIT_CENTERS && params->init != INIT_AUTO)
        return FAIL(error, UNKNOWN_VALUE, TEXT("what", "init"), INT("value", params->init),
                    TEXT("known", "auto (0) and centers (3) where init_centers are given"));
    return STATUS_OK;
}

enum status kmeans_check(const struct kmeans_params *params, struct error *error)
{
    enum status status;
    const struct range ranges[] = {
        {"n_clusters", params->n_clusters, 1, CLUSTERS_MAX, "1 to 1048576"},
        {"max_iter", params->max_iter, 1, ITERATIONS_MAX, "1 to 1000000"},
        {"n_init", params->n_init, 0, N_INIT_MAX, "0 (auto) to 10000"},
    };
    const struct choice choices[] = {
        {"init", params->init, INIT_CENTERS, "auto 0, k-means++ 1, random 2, centers 3"},
        {"algorithm", params->algorithm, ALGORITHM_LLOYD, "auto 0, lloyd 1"},
        {"non_finite", params->non_finite, NON_FINITE_SKIP, "reject 0, skip 1"},
        {"empty_clusters", params->empty_clusters, EMPTY_ERROR, "relocate 0, keep 1, error 2"},
    };

    TRY(ranges_check(ranges, sizeof ranges / sizeof *ranges, error));
    TRY(choices_check(choices, sizeof choices / sizeof *choices, error));
    TRY(init_check(params, error));
    if (!(isfinite(params->tol) && params->tol >= 0))
        status = FAIL(error, OUT_OF_RANGE, TEXT("what", "tol"), REAL("value", params->tol),
                      TEXT("limit", "finite and >= 0"));
out:
    return status;
}

struct kmeans_params kmeans_resolved(const struct kmeans_params *params)
{
    struct kmeans_params out = *params;

    if (out.init == INIT_AUTO)
        out.init = out.init_centers ? INIT_CENTERS : INIT_KMEANS_PLUS_PLUS;
    if (out.init == INIT_CENTERS)
        out.n_init = 1; /* equal runs */
    if (out.n_init == 0)
        out.n_init = out.init == INIT_RANDOM ? 10 : 1;
    out.algorithm = ALGORITHM_LLOYD;
    return out;
}
