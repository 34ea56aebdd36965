/* fit_save.c - a fit as bytes, and back.
 *
 * The frame of codec.h around, in this order: what the fit is of (so that another request is refused
 * by name), the digest of its facts, its state, the best run so far. Labels and sums are not in it:
 * they are a function of the centers, on any device, and the next assignment makes them again. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "host/base/checksum.h"
#include "host/base/memory.h"
#include "host/cluster/codec.h"
#include "host/cluster/state.h"

static const char MAGIC[8] = "BARYFIT\n";
enum { FORMAT = 1 };

/* What both sides must agree on. */
struct likeness {
    const char *what;
    uint64_t value;
};
enum { LIKENESSES = 17 };

static uint64_t real_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint32_t init_digest(const struct fit *fit)
{
    size_t values = (size_t)fit->tiles.shape.clusters * (size_t)fit->tiles.shape.columns;

    return fit->init_centers ? crc32c(0, fit->init_centers, values * sizeof(double)) : 0;
}

static void likenesses(const struct fit *fit, struct likeness out[LIKENESSES])
{
    const struct shape *shape = &fit->tiles.shape;
    const struct kmeans_params *params = &fit->params;
    const struct likeness list[LIKENESSES] = {
        {"rows", (uint64_t)shape->rows},
        {"columns", (uint64_t)shape->columns},
        {"number type", shape->number},
        {"n_clusters", (uint64_t)shape->clusters},
        {"rows that take part", (uint64_t)fit->weights.taking_part},
        {"skipped rows", (uint64_t)fit->weights.skipped},
        {"largest weight", real_bits(fit->weights.largest)},
        {"init", params->init},
        {"init_centers", init_digest(fit)},
        {"n_init", (uint64_t)params->n_init},
        {"max_iter", (uint64_t)params->max_iter},
        {"tol", real_bits(params->tol)},
        {"fixed_rounds", params->fixed_rounds},
        {"random_state", params->random_state},
        {"empty_clusters", params->empty_clusters},
        {"history", params->history},
        {"non_finite", params->non_finite},
    };

    memcpy(out, list, sizeof list);
}

/* All that the fields are read into or written from. */
struct saved {
    int32_t numerics;
    uint64_t likeness[LIKENESSES];
    int32_t prepared;
    int32_t facts; /* digest; 0 before they are known */
    int32_t stage, stop, best_present, best_stop;
    struct state state;  /* pointers into the fit */
    struct outcome best; /* likewise */
    int64_t rows, clusters, columns, n_init, max_iter;
    bool marks; /* seeded rows are marked again: each must be a row */
};

static void doubles(struct codec *codec, double *data, int64_t count)
{
    codec_bytes(codec, data, (size_t)count * sizeof *data);
}

static void state_fields(struct codec *codec, struct saved *saved)
{
    struct state *state = &saved->state;

    codec_i32(codec, &saved->stage);
    codec_i32(codec, &saved->stop);
    codec_i64(codec, &state->run);
    codec_i64(codec, &state->round);
    codec_i64(codec, &state->chosen);
    codec_i64(codec, &state->distinct_below);
    codec_i64(codec, &state->moved);
    codec_f64(codec, &state->shift);
    codec_bytes(codec, &state->fingerprint, sizeof state->fingerprint);
    doubles(codec, state->centers, saved->clusters * saved->columns);
    codec_bytes(codec, state->seed_row, (size_t)saved->clusters * sizeof *state->seed_row);
}

static void best_fields(struct codec *codec, struct saved *saved)
{
    struct outcome *best = &saved->best;

    codec_i32(codec, &saved->best_present);
    codec_i32(codec, &saved->best_stop);
    codec_i64(codec, &best->run);
    codec_i64(codec, &best->n_iter);
    codec_i64(codec, &best->empty);
    codec_i64(codec, &best->distinct_below);
    codec_f64(codec, &best->inertia);
    codec_bytes(codec, &best->fingerprint, sizeof best->fingerprint);
    doubles(codec, best->centers, saved->clusters * saved->columns);
    codec_bytes(codec, best->sizes, (size_t)saved->clusters * sizeof *best->sizes);
}

/* Ranges that later code rests on: whoever wrote these bytes knew how to make a crc. */
static void ranges_check(struct codec *codec, const struct saved *saved)
{
    const struct state *state = &saved->state;
    const struct outcome *best = &saved->best;

    codec_in(codec, saved->stage, FIT_FACTS, FIT_DONE, "unknown stage");
    codec_in(codec, saved->stop, STOP_NONE, STOP_FIXED_ROUNDS, "unknown stop reason");
    codec_in(codec, saved->best_stop, STOP_NONE, STOP_FIXED_ROUNDS, "unknown stop reason");
    codec_in(codec, saved->best_present, 0, 1, "a flag is neither 0 nor 1");
    codec_in(codec, saved->prepared, 0, 1, "a flag is neither 0 nor 1");
    codec_in(codec, state->run, 0, saved->n_init, "the run is out of range");
    codec_in(codec, state->round, 0, saved->max_iter, "the round is out of range");
    codec_in(codec, state->chosen, 0, saved->clusters, "the seeding position is out of range");
    codec_in(codec, best->n_iter, 0, saved->max_iter, "n_iter is out of range");
    codec_in(codec, best->run, 0, saved->n_init, "the best run is out of range");
    codec_in(codec, state->distinct_below | best->distinct_below, 0, 1,
             "a flag is neither 0 nor 1");
}

/* Which counters a stage may have. */
static void stage_check(struct codec *codec, const struct saved *saved)
{
    const struct state *state = &saved->state;
    bool rounds = saved->stage == FIT_ROUNDS, finish = saved->stage == FIT_FINISH;

    if ((saved->stage == FIT_DONE) != (state->run == saved->n_init))
        codec_refuse(codec, "the run does not fit the stage");
    if ((rounds || finish) != (state->chosen == saved->clusters))
        codec_refuse(codec, "the seeding position does not fit the stage");
    if ((rounds && state->round == saved->max_iter) || (!rounds && finish != (state->round > 0)))
        codec_refuse(codec, "the round does not fit the stage");
    if (finish != (saved->stop != STOP_NONE))
        codec_refuse(codec, "the stop reason does not fit the stage");
    if (saved->best_present != (state->run > 0))
        codec_refuse(codec, "the best run does not fit the run");
}

static void rows_check(struct codec *codec, const struct saved *saved)
{
    for (int64_t j = 0; j < saved->state.chosen && !codec->mistake; j++)
        codec_in(codec, saved->state.seed_row[j], saved->marks ? 0 : -1, saved->rows - 1,
                 "a seeded row is out of range");
    for (int64_t j = 0; j < saved->clusters && !codec->mistake; j++)
        codec_in(codec, saved->best.sizes[j], 0, saved->rows, "a size is out of range");
}

static void reals_check(struct codec *codec, const struct saved *saved)
{
    if (centers_check("centers", saved->state.centers, saved->clusters, saved->columns, NULL) ||
        centers_check("centers", saved->best.centers, saved->clusters, saved->columns, NULL))
        codec_refuse(codec, "a center is not finite or beyond 2^500");
    if (saved->best_present && !(saved->best.inertia >= 0))
        codec_refuse(codec, "an inertia is out of range");
}

static void fields(struct codec *codec, void *thing)
{
    struct saved *saved = thing;

    codec_i32(codec, &saved->numerics);
    codec_bytes(codec, saved->likeness, sizeof saved->likeness);
    codec_i32(codec, &saved->prepared);
    codec_i32(codec, &saved->facts);
    state_fields(codec, saved);
    best_fields(codec, saved);
    if (codec->mode == CODEC_READ) {
        ranges_check(codec, saved);
        stage_check(codec, saved);
        rows_check(codec, saved);
        reals_check(codec, saved);
    }
    if (codec->mistake || !saved->state.history)
        return; /* the lengths below are not to be believed, or there is no history */
    doubles(codec, saved->state.history, saved->state.round);
    doubles(codec, saved->best.history, saved->best.n_iter);
}

static struct saved saved_of(const struct fit *fit)
{
    struct saved saved = {.numerics = NUMERICS_VERSION,
                          .prepared = fit->prepared,
                          .stage = (int32_t)fit->state.stage,
                          .stop = (int32_t)fit->state.stop,
                          .best_present = fit->best.present,
                          .best_stop = (int32_t)fit->best.stop,
                          .state = fit->state,
                          .best = fit->best,
                          .rows = fit->tiles.shape.rows,
                          .clusters = fit->tiles.shape.clusters,
                          .columns = fit->tiles.shape.columns,
                          .n_init = fit->params.n_init,
                          .max_iter = fit->params.max_iter,
                          .marks = fit->params.init == INIT_RANDOM};
    struct likeness list[LIKENESSES];

    likenesses(fit, list);
    for (int i = 0; i < LIKENESSES; i++)
        saved.likeness[i] = list[i].value;
    if (fit->prepared)
        saved.facts = (int32_t)facts_digest(&fit->facts, saved.columns);
    return saved;
}

enum status fit_save(const struct fit *fit, void **bytes, size_t *count, struct error *error)
{
    struct saved saved = saved_of(fit);

    return codec_encode("a saved fit", MAGIC, FORMAT, fields, &saved, bytes, count, error);
}

/* The head comes first and alone: arrays are read only once both sides agree on their lengths. */
static enum status head_check(const struct fit *fit, struct codec codec, struct error *error)
{
    int32_t numerics;
    struct likeness list[LIKENESSES];
    char found[64];

    codec_i32(&codec, &numerics);
    if (!codec.mistake && numerics != NUMERICS_VERSION)
        return FAIL(error, UNSUPPORTED, TEXT("what", "the saved fit"),
                    TEXT("why", "it was begun under another version of the numerics"));
    likenesses(fit, list);
    for (int i = 0; i < LIKENESSES; i++) {
        uint64_t value;
        codec_u64(&codec, &value);
        if (codec.mistake)
            return codec_done(&codec, error);
        if (value == list[i].value)
            continue;
        snprintf(found, sizeof found, "another value of %s", list[i].what);
        return FAIL(error, SHAPE_MISMATCH, TEXT("what", "the saved fit"), TEXT("found", found),
                    TEXT("expected", "that of this request and its data"));
    }
    return STATUS_OK;
}

static void state_adopt(struct fit *fit, const struct saved *saved)
{
    fit->state = saved->state;
    fit->state.stage = (enum fit_stage)saved->stage;
    fit->state.stop = (enum stop_reason)saved->stop;
    fit->best = saved->best;
    fit->best.stop = (enum stop_reason)saved->best_stop;
    fit->best.present = saved->best_present;
    fit->best.labels_known = false;
    fit->loaded = saved->prepared;
    fit->facts_expected = (uint32_t)saved->facts;
    fit->marked = 0;
    fit->belong = false;
}

/* The arrays of a freshly opened fit hold nothing yet, so damage that is found late leaves it fresh. */
enum status fit_load(struct fit *fit, const void *bytes, size_t count, struct error *error)
{
    enum status status;
    struct codec codec;
    struct saved saved;

    assert(!fit->prepared && fit->state.stage == FIT_FACTS);
    TRY(codec_open(&codec, "the saved fit", MAGIC, FORMAT, bytes, count, error));
    TRY(head_check(fit, codec, error));
    saved = saved_of(fit);
    fields(&codec, &saved);
    TRY(codec_done(&codec, error));
    state_adopt(fit, &saved);
out:
    return status;
}
