/* kmeans.c - the loop of Lloyd: assign, move, enough?
 *
 * Lloyd, "Least squares quantization in PCM" (1982), with the stop rules of scikit-learn:
 *   (a) no label changed: the sums are the same, so are the centers; or
 *   (b) the centers moved by at most tol times the mean variance; or max_iter rounds.
 * After all but (a) one more assignment runs, so labels, inertia and centers belong together. */
#include <math.h>
#include <string.h>

#include "host/base/memory.h"
#include "host/cluster/state.h"
#include "kernels/grid.h"

enum status fit_assign(struct fit *fit, double share, struct error *error)
{
    enum status status;
    const struct backend *backend = fit->tiles.backend;

    fit->belong = false;
    TRY(tiles_assign(&fit->tiles, fit->state.centers, true, &fit->assigned, share, &fit->course,
                     error));
    TRY(device_failed(backend, backend->sums_read(fit->tiles.work, &fit->sums), "sums_read", 0,
                      error));
    fit->belong = true;
out:
    return status;
}

enum status fit_inertia(struct fit *fit, double *out, struct error *error)
{
    int128 total;
    int32_t L = grid_exponent(fit->assigned.largest_term);
    enum status status = tiles_inertia(&fit->tiles, L, &total, NULL, 1, &fit->course, error);

    if (status == STATUS_OK)
        *out = grid_double(total, L);
    return status;
}

/* Why the loop ends after this round, or STOP_NONE. Labels are equal when their fingerprints are;
 * a count of moved rows would not survive a round that a turn cut in two. */
static enum stop_reason stop_now(const struct fit *fit, bool labels_equal, bool relocated)
{
    const struct state *state = &fit->state;

    if (fit->params.fixed_rounds)
        return state->round == fit->params.max_iter ? STOP_FIXED_ROUNDS : STOP_NONE;
    if (!relocated && labels_equal)
        return STOP_LABELS_EQUAL;
    if (!relocated && state->shift <= fit->shift_limit)
        return STOP_TOLERANCE;
    return state->round == fit->params.max_iter ? STOP_MAX_ITER : STOP_NONE;
}

/* The last lines of a round: all of the state changes here. */
static void round_commit(struct fit *fit, bool relocated)
{
    struct state *state = &fit->state;
    const struct shape *shape = &fit->tiles.shape;
    size_t bytes = (size_t)shape->clusters * (size_t)shape->columns * sizeof(double);
    bool labels_equal = state->round > 0 && fit->sums.fingerprint == state->fingerprint;
    double *old = state->centers;

    state->shift = centers_shift(fit->next, old, shape->clusters, shape->columns);
    state->moved = fit->assigned.moved;
    state->fingerprint = fit->sums.fingerprint;
    state->round++;
    fit->belong = !relocated && memcmp(fit->next, old, bytes) == 0;
    state->centers = fit->next;
    fit->next = old;
    state->stop = stop_now(fit, labels_equal, relocated);
    if (state->stop != STOP_NONE)
        state->stage = FIT_FINISH;
}

enum status round_step(struct fit *fit, struct error *error)
{
    enum status status;
    int listed = 0, relocated = 0;
    double inertia = 0;

    TRY(fit_assign(fit, fit->params.history ? 0.5 : 1, error));
    if (fit->params.history)
        TRY(fit_inertia(fit, &inertia, error));
    TRY(empty_choose(fit, &listed, &relocated, error));
    if (fit->params.history)
        fit->state.history[fit->state.round] = inertia;
    centers_move(fit, fit->state.centers, fit->next);
    empty_place(fit, listed, fit->next);
    round_commit(fit, relocated > 0);
out:
    return status;
}

static int64_t empty_count(const struct sums *sums, int64_t clusters)
{
    int64_t empty = 0;

    for (int64_t j = 0; j < clusters; j++)
        empty += sums->count[j] == 0;
    return empty;
}

/* The present run becomes the best; labels were read already. */
static void best_take(struct fit *fit, double inertia)
{
    const struct state *state = &fit->state;
    const struct shape *shape = &fit->tiles.shape;
    struct outcome *best = &fit->best;

    best->present = true;
    best->run = state->run;
    best->n_iter = state->round;
    best->stop = state->stop;
    best->inertia = inertia;
    best->distinct_below = state->distinct_below;
    best->empty = empty_count(&fit->sums, shape->clusters);
    best->fingerprint = fit->sums.fingerprint;
    memcpy(best->centers, state->centers,
           (size_t)shape->clusters * (size_t)shape->columns * sizeof(double));
    memcpy(best->sizes, fit->sums.count, (size_t)shape->clusters * sizeof *best->sizes);
    if (best->history)
        memcpy(best->history, state->history, (size_t)state->round * sizeof(double));
}

static void run_next(struct fit *fit)
{
    struct state *state = &fit->state;

    state->run++;
    state->round = state->chosen = state->distinct_below = 0;
    state->shift = NAN;
    state->moved = -1;
    state->stop = STOP_NONE;
    state->stage = state->run < fit->params.n_init ? FIT_SEEDING : FIT_DONE;
    fit->marked = 0;
    fit->belong = false;
}

/* The lowest inertia wins, then the lowest run. */
enum status finish_step(struct fit *fit, struct error *error)
{
    enum status status = STATUS_OK;
    double inertia;

    if (!fit->belong)
        TRY(fit_assign(fit, 0.5, error));
    TRY(empty_check(fit, error));
    TRY(fit_inertia(fit, &inertia, error));
    if (!fit->best.present || inertia < fit->best.inertia) {
        /* A turn may stop this pass: until it is whole the labels are nobody's. */
        fit->best.labels_known = false;
        TRY(tiles_labels(&fit->tiles, fit->best.labels, &fit->course, error));
        best_take(fit, inertia);
        fit->best.labels_known = true;
    }
    run_next(fit);
out:
    return status;
}

enum status fit_relabel(struct fit *fit, struct error *error)
{
    enum status status;
    struct assigned assigned;

    fit->belong = false;
    TRY(tiles_assign(&fit->tiles, fit->best.centers, true, &assigned, 0.9, &fit->course, error));
    TRY(tiles_labels(&fit->tiles, fit->best.labels, &fit->course, error));
    fit->best.labels_known = true;
out:
    return status;
}
