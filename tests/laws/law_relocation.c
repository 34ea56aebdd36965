/* law_relocation.c - law 7: what empty clusters take, computed by hand. */
#include <math.h>

#include "tests/laws/law.h"

static const int threads[] = {1, 3, 0};

/* A fit of few one-dimensional rows whose end is known. */
struct hand {
    const char *name;
    int rows, clusters;
    double x[8], weight[8]; /* weight[0] = -1: none */
    double centers[4];      /* given */
    enum empty_clusters empty;
    double want_centers[4];
    int32_t want_labels[8];
    double want_inertia, want_first; /* the last, and of the first round */
    int64_t want_empty;
};

/* One round each, so that the centers are those that relocation left. */
static const struct hand hands[] = {
    {.name = "two empty clusters take the two farthest rows, in ascending order",
     .rows = 5,
     .clusters = 3,
     .x = {0, 1, 2, 10, 20},
     .weight = {-1},
     .centers = {0, 100, 200},
     .want_centers = {1, 20, 10},
     .want_labels = {0, 0, 0, 2, 1},
     .want_inertia = 2,
     .want_first = 505},
    {.name = "of equally far rows the lower number goes first",
     .rows = 4,
     .clusters = 3,
     .x = {0, -5, 5, 1},
     .weight = {-1},
     .centers = {0, 100, -100},
     .want_centers = {0.5, -5, 5},
     .want_labels = {0, 1, 2, 0},
     .want_inertia = 0.5,
     .want_first = 51},
    {.name = "repeats of a row are left out",
     .rows = 4,
     .clusters = 3,
     .x = {0, 10, 10, 3},
     .weight = {-1},
     .centers = {0, 100, 200},
     .want_centers = {5, 10, 3},
     .want_labels = {2, 1, 1, 2},
     .want_inertia = 9,
     .want_first = 209,
     .want_empty = 1},
    {.name = "a donor keeps its last row",
     .rows = 3,
     .clusters = 3,
     .x = {0, 0.5, 50},
     .weight = {-1},
     .centers = {0, 40, 1000},
     .want_centers = {0, 50, 0.5},
     .want_labels = {0, 2, 1},
     .want_inertia = 0,
     .want_first = 100.25},
    {.name = "a row of weight 0 is nobody's new center",
     .rows = 4,
     .clusters = 2,
     .x = {0, 3, 10, 90},
     .weight = {1, 2, 3, 0},
     .centers = {0, 1000},
     .want_centers = {2, 10},
     .want_labels = {0, 0, 1, 1},
     .want_inertia = 6,
     .want_first = 318},
    {.name = "order is by distance, not by weight",
     .rows = 4,
     .clusters = 2,
     .x = {0, 0, 3, 4},
     .weight = {1, 1, 100, 0.5},
     .centers = {0, 1000},
     .want_centers = {300.0 / 102, 4},
     .want_labels = {0, 0, 0, 1},
     .want_inertia = 2 * (300.0 / 102) * (300.0 / 102) + 100 * (6.0 / 102) * (6.0 / 102),
     .want_first = 908},
    {.name = "clusters for which no row is left keep their center",
     .rows = 3,
     .clusters = 3,
     .x = {0, 0, 7},
     .weight = {-1},
     .centers = {0, 50, 60},
     .want_centers = {0, 7, 60},
     .want_labels = {0, 0, 1},
     .want_inertia = 0,
     .want_first = 49,
     .want_empty = 1},
    {.name = "rows at their center are left out",
     .rows = 3,
     .clusters = 2,
     .x = {4, 4, 4},
     .weight = {-1},
     .centers = {4, 9},
     .want_centers = {4, 9},
     .want_labels = {0, 0, 0},
     .want_empty = 1},
    {.name = "several donors lose rows",
     .rows = 6,
     .clusters = 4,
     .x = {0, 1, 6, 100, 101, 104},
     .weight = {-1},
     .centers = {0, 100, 1000, 2000},
     .want_centers = {0.5, 100.5, 6, 104},
     .want_labels = {0, 0, 2, 1, 1, 3},
     .want_inertia = 1,
     .want_first = 54},
    {.name = "empty clusters may be kept",
     .rows = 3,
     .clusters = 2,
     .x = {0, 1, 5},
     .weight = {-1},
     .centers = {0, 100},
     .empty = EMPTY_KEEP,
     .want_centers = {2, 100},
     .want_labels = {0, 0, 0},
     .want_inertia = 14,
     .want_first = 26,
     .want_empty = 1},
};
enum { HANDS = sizeof hands / sizeof *hands };

static struct data hand_data(const struct hand *hand, enum number number)
{
    struct data data = data_new(number, hand->rows, 1);

    for (int i = 0; i < hand->rows; i++)
        data_set(&data, i, 0, hand->x[i]);
    if (hand->weight[0] >= 0) {
        data.weight = malloc((size_t)hand->rows * sizeof *data.weight);
        memcpy(data.weight, hand->weight, (size_t)hand->rows * sizeof *data.weight);
    }
    return data;
}

static void hand_check(struct check *check, const struct hand *hand,
                       const struct kmeans_result *got)
{
    for (int j = 0; j < hand->clusters; j++)
        check_near(check, got->centers[j], hand->want_centers[j], 1e-15);
    for (int i = 0; i < hand->rows; i++)
        check_equal_i64(check, got->labels[i], hand->want_labels[i]);
    check_near(check, got->inertia, hand->want_inertia, 1e-14);
    check_near(check, got->history[0], hand->want_first, 1e-15);
    check_equal_i64(check, got->empty, hand->want_empty);
}

static void relocation_is_what_a_hand_computes(struct check *check)
{
    struct machines machines = machines_open(check, threads);

    for (int i = 0; i < HANDS; i++)
        for (int m = 0; m < machines.count; m++)
            for (int number = NUMBER_F32; number <= NUMBER_F64; number++) {
                struct data data = hand_data(&hands[i], (enum number)number);
                struct kmeans_params params = {.n_clusters = hands[i].clusters,
                                               .max_iter = 1,
                                               .fixed_rounds = true,
                                               .history = true,
                                               .init = INIT_CENTERS,
                                               .init_centers = hands[i].centers,
                                               .empty_clusters = hands[i].empty};
                struct kmeans_result got;
                check_note(check, "%s, %s, f%d", hands[i].name, machines.machine[m].name,
                           32 * number);
                if (law_fit(check, &machines.machine[m], &data, m % 2 ? 2 : 0, &params, &got))
                    hand_check(check, &hands[i], &got);
                kmeans_result_free(&got);
                data_free(&data);
            }
    machines_close(&machines);
}

/* tol is met by any move, but not in a round that relocated. */
static void a_round_that_relocated_does_not_stop(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    struct data data = hand_data(&hands[0], NUMBER_F64);

    for (int m = 0; m < machines.count; m++) {
        struct kmeans_params params = {.n_clusters = 3,
                                       .max_iter = 50,
                                       .tol = 1e9,
                                       .init = INIT_CENTERS,
                                       .init_centers = hands[0].centers};
        struct kmeans_result got;
        check_note(check, "%s", machines.machine[m].name);
        if (law_fit(check, &machines.machine[m], &data, 0, &params, &got)) {
            check_equal_i64(check, got.n_iter, 2);
            check_equal_i64(check, got.stop, STOP_TOLERANCE);
            check_equal_i64(check, got.empty, 0);
        }
        kmeans_result_free(&got);
    }
    data_free(&data);
    machines_close(&machines);
}

static void empty_clusters_may_be_refused(struct check *check)
{
    static const int one[] = {1, 0};
    struct machines machines = machines_open(check, one);
    struct data data = hand_data(&hands[0], NUMBER_F64);
    struct kmeans_params params = {.n_clusters = 3,
                                   .max_iter = 5,
                                   .init = INIT_CENTERS,
                                   .init_centers = hands[0].centers,
                                   .empty_clusters = EMPTY_ERROR};
    struct error error;

    check_equal_i64(check, law_fit_status(machine_tested(&machines), &data, &params, &error),
                    STATUS_EMPTY_CLUSTER);
    check_equal_text(check, error_value(&error, "cluster"), "1");
    check_equal_text(check, error_value(&error, "round"), "1");
    data_free(&data);
    machines_close(&machines);
}

CHECKS(CLAIM(relocation_is_what_a_hand_computes), CLAIM(a_round_that_relocated_does_not_stop),
       CLAIM(empty_clusters_may_be_refused))
