/* batch_error.c - failures of single problems: kept as a few numbers, read as the words of a fit. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cluster/batch_state.h"
#include "host/cluster/weights.h"

static int64_t whole(const struct error *error, const char *name)
{
    const char *text = error_value(error, name);

    return text ? (int64_t)strtoll(text, NULL, 10) : 0;
}

static enum batch_cause cause_of(const struct error *error)
{
    const char *what = error_value(error, "what"), *limit = error_value(error, "limit");

    if (what && strcmp(what, "init_centers") == 0)
        return CAUSE_CENTERS;
    if (what && strcmp(what, "n_clusters") == 0)
        return CAUSE_CLUSTERS;
    if (what && strncmp(what, "sample_weight", 13) == 0)
        return limit && strcmp(limit, WEIGHT_LIMIT) == 0 ? CAUSE_WEIGHT : CAUSE_EXTENT;
    return CAUSE_ROWS;
}

static bool is_of_the_problem(enum status status)
{
    return status == STATUS_NON_FINITE || status == STATUS_ROW_OUT_OF_RANGE ||
           status == STATUS_OUT_OF_RANGE || status == STATUS_TOO_FEW_ROWS ||
           status == STATUS_EMPTY_CLUSTER;
}

bool batch_note(struct batch_result *result, int64_t problem, const struct error *error)
{
    const char *value = error_value(error, "value"), *what = error_value(error, "what");
    struct fits_result *out = &result->problem[problem];
    bool empty = error->status == STATUS_EMPTY_CLUSTER;

    if (!is_of_the_problem(error->status))
        return false;
    *out = (struct fits_result){.status = error->status,
                                .row = whole(error, empty ? "round" : "row"),
                                .column = whole(error, empty ? "cluster" : "column"),
                                .count = whole(error, "count"),
                                .taking_part = whole(error, "rows"),
                                .value = value ? strtod(value, NULL) : 0};
    result->cause[problem] = (uint8_t)cause_of(error);
    if (what && strncmp(what, "sample_weight of row ", 21) == 0)
        out->row = (int64_t)strtoll(what + 21, NULL, 10);
    return true;
}

/* What facts would say that found the same. */
static enum status values_error(const struct fits_result *found, const char *what,
                                struct error *error)
{
    bool beyond = found->status == STATUS_ROW_OUT_OF_RANGE;
    struct facts facts = {.non_finite = found->count,
                          .non_finite_row = found->row,
                          .non_finite_column = found->column,
                          .non_finite_value = found->value,
                          .beyond_row = beyond ? found->row : -1,
                          .beyond_column = found->column,
                          .beyond_value = found->value};

    return facts_check(what, &facts, error);
}

static enum status range_error(const struct fits_result *found, enum batch_cause cause,
                               int64_t clusters, struct error *error)
{
    struct kmeans_params params = kmeans_params_default();

    params.n_clusters = clusters;
    if (cause == CAUSE_CLUSTERS)
        return kmeans_check(&params, error);
    return weight_refused(found->row, found->value,
                          cause == CAUSE_WEIGHT ? WEIGHT_LIMIT : EXTENT_LIMIT, error);
}

enum status batch_error(const struct batch_result *result, const char *name, int64_t problem,
                        struct error *error)
{
    const struct fits_result *found = &result->problem[problem];
    enum batch_cause cause = (enum batch_cause)result->cause[problem];
    char what[160];

    snprintf(what, sizeof what, "%s[%" PRId64 "]", name, problem);
    switch (found->status) {
    case STATUS_OK:
        return STATUS_OK;
    case STATUS_TOO_FEW_ROWS:
        return FAIL(error, TOO_FEW_ROWS, TEXT("what", what), INT("rows", found->taking_part),
                    INT("n_clusters", result->n_clusters[problem]));
    case STATUS_EMPTY_CLUSTER:
        return FAIL(error, EMPTY_CLUSTER, INT("cluster", found->column), INT("round", found->row));
    case STATUS_OUT_OF_RANGE:
        return range_error(found, cause, result->n_clusters[problem], error);
    default:
        return values_error(found, cause == CAUSE_CENTERS ? "init_centers" : what, error);
    }
}
