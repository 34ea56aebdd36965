/* fit.c - a fit from open to close: memory first, then its steps, then what it leaves. */
#include "host/cluster/fit.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "host/base/memory.h"
#include "host/cluster/state.h"
#include "kernels/draw.h"
#include "proto/limits.h"

static enum status size_refused(const char *what, int64_t value, const char *limit,
                                struct error *error)
{
    return FAIL(error, OUT_OF_RANGE, TEXT("what", what), INT("value", value), TEXT("limit", limit));
}

static enum status input_check(const struct fit_input *input, const struct kmeans_params *params,
                               struct error *error)
{
    enum status status;
    const struct matrix *matrix = input->matrix;

    TRY(kmeans_check(params, error));
    if (matrix->columns < 1 || matrix->columns > COLUMNS_MAX)
        status = size_refused("the number of columns", matrix->columns, "1 to 65536", error);
    else if (matrix->rows < 0 || matrix->rows > ROWS_MAX)
        status = size_refused("the number of rows", matrix->rows, "0 to 2^40", error);
out:
    return status;
}

static enum status rows_check(const struct fit *fit, struct error *error)
{
    if (fit->weights.taking_part >= fit->params.n_clusters)
        return STATUS_OK;
    return FAIL(error, TOO_FEW_ROWS, TEXT("what", fit->input.name),
                INT("rows", fit->weights.taking_part), INT("n_clusters", fit->params.n_clusters));
}

static enum status memory_take(struct fit *fit, const struct want *want, struct error *error)
{
    if (want->count == 0)
        return STATUS_OK;
    void *block = memory_zeroed((size_t)want->count, want->size);
    memcpy(want->at, &block, sizeof block);
    if (block)
        return STATUS_OK;
    return device_failed(fit->tiles.backend, STATUS_OUT_OF_MEMORY, want->what,
                         want->count * (int64_t)want->size, error);
}

static enum status memory_take_all(struct fit *fit, struct error *error)
{
    enum status status = STATUS_OK;
    struct want wants[WANTS_MAX];
    int count = fit_wants(fit, fit->tiles.count, wants);

    for (int i = 0; status == STATUS_OK && i < count; i++)
        status = memory_take(fit, &wants[i], error);
    return status;
}

static enum status init_copy(struct fit *fit, struct error *error)
{
    int64_t clusters = fit->params.n_clusters, columns = fit->input.matrix->columns;
    struct want want = {&fit->init_centers, clusters * columns, sizeof(double), "init_centers"};
    enum status status;

    if (fit->params.init != INIT_CENTERS)
        return STATUS_OK;
    TRY(memory_take(fit, &want, error));
    memcpy(fit->init_centers, fit->params.init_centers,
           (size_t)clusters * (size_t)columns * sizeof(double));
    TRY(centers_check("init_centers", fit->init_centers, clusters, columns, error));
    fit->params.init_centers = fit->init_centers;
out:
    return status;
}

static int device_threads(const struct backend *backend, const struct device *device)
{
    struct device_info info = {0};

    backend->describe(device, &info);
    return info.threads > 0 ? info.threads : 1;
}

static enum status fit_fill(struct fit *fit, const struct backend *backend, struct device *device,
                            struct error *error)
{
    enum status status;
    const struct matrix *matrix = fit->input.matrix;

    TRY(init_copy(fit, error));
    TRY(weights_make(&fit->input, fit->params.non_finite, &fit->weights, error));
    TRY(rows_check(fit, error));
    struct shape shape = {.rows = matrix->rows,
                          .columns = matrix->columns,
                          .number = matrix->number,
                          .weighted = fit->weights.weight != NULL,
                          .residency = fit->input.residency};
    shape = fit_shape(&shape, &fit->params);
    TRY(tiles_open(&fit->tiles, backend, device, fit->input.name, matrix, fit->weights.weight,
                   &shape, error));
    TRY(memory_take_all(fit, error));
    fit->threads = device_threads(backend, device);
    fit->state.shift = NAN;
    fit->state.moved = -1;
out:
    return status;
}

enum status fit_open(const struct backend *backend, struct device *device,
                     const struct fit_input *input, const struct kmeans_params *params,
                     struct fit **out, struct error *error)
{
    enum status status;
    struct fit *fit = NULL;

    TRY(input_check(input, params, error));
    fit = memory_zeroed(1, sizeof *fit);
    if (!fit)
        return device_failed(backend, STATUS_OUT_OF_MEMORY, "a fit", sizeof *fit, error);
    fit->input = *input;
    fit->params = kmeans_resolved(params);
    fit->tiles.backend = backend;
    TRY(fit_fill(fit, backend, device, error));
    *out = fit;
    fit = NULL;
out:
    fit_close(&fit);
    return status;
}

void fit_close(struct fit **fit)
{
    struct want wants[WANTS_MAX];

    if (!*fit)
        return;
    int count = fit_wants(*fit, 0, wants);
    for (int i = 0; i < count; i++) {
        void *block;
        memcpy(&block, wants[i].at, sizeof block);
        memory_free(block);
    }
    tiles_close(&(*fit)->tiles);
    weights_free(&(*fit)->weights);
    memory_free((*fit)->init_centers);
    memory_free(*fit);
    *fit = NULL;
}

/* Costs in assignments of all rows, for the fraction that a turn is told. */
struct costs {
    double facts, seeding, round, finish, run, all;
};

static struct costs costs_of(const struct fit *fit)
{
    double k = (double)fit->params.n_clusters, passes = fit->params.history ? 1 + 1 / k : 1;
    struct costs costs = {.facts = 2 / k, .seeding = 1 / k, .round = passes, .finish = 1 + 2 / k};

    if (fit->params.init == INIT_KMEANS_PLUS_PLUS)
        costs.seeding = 1 + seed_candidates(fit->params.n_clusters);
    costs.run = costs.seeding + (double)fit->params.max_iter * costs.round + costs.finish;
    costs.all = costs.facts + (double)fit->params.n_init * costs.run;
    return costs;
}

void course_set(struct fit *fit)
{
    const struct state *state = &fit->state;
    const struct costs costs = costs_of(fit);
    double k = (double)fit->params.n_clusters;
    double done = costs.facts + (double)state->run * costs.run, step = 0;

    switch (state->stage) {
    case FIT_FACTS:
        done = 0;
        step = costs.facts;
        break;
    case FIT_SEEDING:
        done += costs.seeding * (double)state->chosen / k;
        step = costs.seeding / k;
        break;
    case FIT_ROUNDS:
        done += costs.seeding + costs.round * (double)state->round;
        step = costs.round;
        break;
    case FIT_FINISH:
        done += costs.run - costs.finish;
        step = costs.finish;
        break;
    case FIT_DONE:
        done = costs.all;
        break;
    }
    fit->course.from = done / costs.all;
    fit->course.to = (done + step) / costs.all;
    fit->course.progress = (struct fit_progress){
        .stage = state->stage,
        .run = state->run,
        .n_init = fit->params.n_init,
        .round = state->round + (state->stage == FIT_ROUNDS),
        .max_iter = fit->params.max_iter,
        .inertia = fit->best.present ? fit->best.inertia : NAN,
        .shift = state->shift,
        .moved = state->moved,
    };
}

enum status fit_step(struct fit *fit, struct error *error)
{
    static enum status (*const steps[])(struct fit *, struct error *) = {
        [FIT_SEEDING] = seed_step, [FIT_ROUNDS] = round_step, [FIT_FINISH] = finish_step};

    course_set(fit);
    if (!fit->prepared)
        return fit_prepare(fit, error);
    if (fit->state.stage == FIT_FACTS) {
        fit->state.stage = FIT_SEEDING;
        return STATUS_OK;
    }
    return steps[fit->state.stage](fit, error);
}

enum status fit_run(struct fit *fit, const struct turn *turn, struct error *error)
{
    enum status status = STATUS_OK;

    fit->course.turn = turn;
    while (!fit->prepared || fit->state.stage != FIT_DONE)
        TRY(fit_step(fit, error));
    course_set(fit);
    if (!fit->best.labels_known) /* saved when all but its labels was done */
        TRY(fit_relabel(fit, error));
out:
    fit->course.turn = NULL;
    return status;
}

enum status fit_take_result(struct fit *fit, struct kmeans_result *out, struct error *error)
{
    struct outcome *best = &fit->best;

    (void)error;
    assert(fit->state.stage == FIT_DONE && best->labels_known && !fit->taken);
    *out = (struct kmeans_result){
        .number = fit->tiles.shape.number,
        .rows = fit->tiles.shape.rows,
        .columns = fit->tiles.shape.columns,
        .n_clusters = fit->tiles.shape.clusters,
        .centers = best->centers,
        .labels = best->labels,
        .sizes = best->sizes,
        .inertia = best->inertia,
        .n_iter = best->n_iter,
        .run = best->run,
        .n_init = fit->params.n_init,
        .init = fit->params.init,
        .stop = best->stop,
        .random_state = fit->params.random_state,
        .fingerprint = best->fingerprint,
        .history = best->history,
        .empty = best->empty,
        .distinct_below = best->distinct_below,
        .skipped = fit->weights.skipped,
    };
    best->centers = best->history = NULL;
    best->labels = NULL;
    best->sizes = NULL;
    fit->taken = true;
    return STATUS_OK;
}

void kmeans_result_free(struct kmeans_result *result)
{
    memory_free(result->centers);
    memory_free(result->labels);
    memory_free(result->sizes);
    memory_free(result->history);
    *result = (struct kmeans_result){0};
}

enum status kmeans_fit(const struct backend *backend, struct device *device,
                       const struct fit_input *input, const struct kmeans_params *params,
                       const struct turn *turn, struct kmeans_result *out, struct error *error)
{
    enum status status;
    struct fit *fit = NULL;

    TRY(fit_open(backend, device, input, params, &fit, error));
    TRY(fit_run(fit, turn, error));
    TRY(fit_take_result(fit, out, error));
out:
    fit_close(&fit);
    return status;
}
