/* fit.c - bary fit: reads the order, has it computed here or there, writes and tells. */
#include "clients/cli/fit.h"
#include "clients/cli/remote.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Flags that make no sense together: one row each. */
static const struct {
    enum flag_id one, other;
} quarrels[] = {
    {FLAG_LOCAL, FLAG_MODEL},          {FLAG_LOCAL, FLAG_DATASET}, {FLAG_LOCAL, FLAG_KEEP_DATASET},
    {FLAG_LOCAL, FLAG_DETACH},         {FLAG_LOCAL, FLAG_ADDRESS}, {FLAG_LOCAL, FLAG_TAG},
    {FLAG_DATASET, FLAG_KEEP_DATASET}, {FLAG_DETACH, FLAG_LABELS}, {FLAG_DETACH, FLAG_CENTERS},
};

static int check_flags(const struct arguments *arguments)
{
    for (size_t i = 0; i < sizeof quarrels / sizeof quarrels[0]; i++)
        if (flag_given(arguments, quarrels[i].one) && flag_given(arguments, quarrels[i].other))
            return complain(EXIT_USAGE, "--%s and --%s do not go together",
                            flags[quarrels[i].one].name, flags[quarrels[i].other].name);
    if (flag_given(arguments, FLAG_MODEL_OUT) && !flag_given(arguments, FLAG_LOCAL))
        return complain(EXIT_USAGE, "--model-out goes with --local; a server keeps its model "
                                    "under the name of --model");
    if (arguments->count == 0 && !flag_given(arguments, FLAG_DATASET))
        return complain(EXIT_USAGE, "bary fit needs a file: bary fit X.npy");
    if (arguments->count > 0 && flag_given(arguments, FLAG_DATASET))
        return complain(EXIT_USAGE, "give a file or --dataset, not both");
    return EXIT_DONE;
}

static int shape_error(struct baryc_error *error, const char *what, int64_t rows, int64_t columns,
                       int64_t want_rows, int64_t want_columns)
{
    struct error why = {0};
    char found[64], expected[64];

    snprintf(found, sizeof found, "%" PRId64 " rows and %" PRId64 " columns", rows, columns);
    snprintf(expected, sizeof expected, "%" PRId64 " rows and %" PRId64 " columns", want_rows,
             want_columns);
    FAIL(&why, SHAPE_MISMATCH, TEXT("what", what), TEXT("found", found),
         TEXT("expected", expected));
    return error_of_host(&why, error);
}

static int open_weight(struct fit_order *order, struct baryc_error *error)
{
    const char *path = flag_text(order->arguments, FLAG_SAMPLE_WEIGHT);

    if (!path)
        return 0;
    int code = array_open(path, &order->weight, error);
    if (code == 0)
        code = array_load(&order->weight, error);
    if (code == 0 && order->x.path &&
        (order->weight.header.rows != order->x.header.rows || order->weight.header.columns != 1))
        code = shape_error(error, path, order->weight.header.rows, order->weight.header.columns,
                           order->x.header.rows, 1);
    return code;
}

/* --init: a word, or a file of centers. */
static int open_init(struct fit_order *order, struct baryc_error *error)
{
    const char *init = flag_text(order->arguments, FLAG_INIT);
    struct error why = {0};

    if (!init || strcmp(init, "k-means++") == 0) {
        order->request.init = BARY__V1__INIT__INIT_KMEANS_PLUS_PLUS;
        return 0;
    }
    if (strcmp(init, "random") == 0) {
        order->request.init = BARY__V1__INIT__INIT_RANDOM;
        return 0;
    }
    if (!strchr(init, '/') && !strstr(init, ".npy")) {
        FAIL(&why, UNKNOWN_VALUE, TEXT("what", "--init"), TEXT("value", init),
             TEXT("known", "k-means++, random and a .npy file"));
        return error_of_host(&why, error);
    }
    int code = array_open(init, &order->init, error);
    if (code == 0)
        code = array_load(&order->init, error);
    if (code != 0)
        return code;
    order->request.init = BARY__V1__INIT__INIT_CENTERS;
    if (!flag_given(order->arguments, FLAG_N_CLUSTERS))
        order->request.n_clusters =
            order->init.header.rows / (order->problems > 0 ? order->problems : 1);
    int64_t columns = order->x.path ? order->x.header.columns : order->init.header.columns;
    int64_t rows = order->request.n_clusters * (order->problems > 0 ? order->problems : 1);
    if (order->init.header.rows != rows || order->init.header.columns != columns)
        return shape_error(error, init, order->init.header.rows, order->init.header.columns, rows,
                           columns);
    return 0;
}

static int open_inputs(struct fit_order *order, struct baryc_error *error)
{
    const struct arguments *arguments = order->arguments;
    int code = 0;

    if (arguments->count > 0)
        code = array_open(arguments->positional[0], &order->x, error);
    if (code == 0)
        code = open_weight(order, error);
    if (code == 0)
        code = open_init(order, error);
    static const enum flag_id outputs[] = {FLAG_LABELS, FLAG_CENTERS, FLAG_MODEL_OUT, FLAG_INERTIA};
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0] && code == 0; i++)
        code = output_check(flag_text(arguments, outputs[i]), error);
    return code;
}

static void fill_options(struct fit_order *order)
{
    const struct arguments *arguments = order->arguments;
    double runtime_s = flag_real(arguments, FLAG_MAX_RUNTIME, 0);

    order->options = (Bary__V1__RunOptions)BARY__V1__RUN_OPTIONS__INIT;
    order->options.n_tags = (size_t)arguments->list_count;
    order->options.tags = (char **)(uintptr_t)arguments->list;
    if (runtime_s > 0) {
        order->max_runtime = (Google__Protobuf__Duration)GOOGLE__PROTOBUF__DURATION__INIT;
        order->max_runtime.seconds = (int64_t)runtime_s;
        order->max_runtime.nanos = (int32_t)((runtime_s - floor(runtime_s)) * 1e9);
        order->options.max_runtime = &order->max_runtime;
    }
    read_placement(arguments, &order->placement);
    order->request.options = &order->options;
    order->request.placement = &order->placement;
}

static void fill_request(struct fit_order *order)
{
    const struct arguments *arguments = order->arguments;
    Bary__V1__FitRequest *request = &order->request;

    *request = (Bary__V1__FitRequest)BARY__V1__FIT_REQUEST__INIT;
    request->n_clusters = flag_integer(arguments, FLAG_N_CLUSTERS, 8);
    request->n_init = flag_integer(arguments, FLAG_N_INIT, 0);
    request->max_iter = flag_integer(arguments, FLAG_MAX_ITER, 300);
    order->tol = (Google__Protobuf__DoubleValue)GOOGLE__PROTOBUF__DOUBLE_VALUE__INIT;
    order->tol.value = flag_real(arguments, FLAG_TOL, 1e-4);
    request->tol = &order->tol;
    request->fixed_rounds = flag_given(arguments, FLAG_FIXED_ROUNDS);
    order->random_state = (Google__Protobuf__UInt64Value)GOOGLE__PROTOBUF__UINT64_VALUE__INIT;
    order->random_state.value = arguments->flag[FLAG_RANDOM_STATE].number;
    if (flag_given(arguments, FLAG_RANDOM_STATE))
        request->random_state = &order->random_state;
    request->non_finite = (Bary__V1__NonFinite)flag_integer(arguments, FLAG_NON_FINITE, 0);
    request->empty_clusters =
        (Bary__V1__EmptyClusters)flag_integer(arguments, FLAG_EMPTY_CLUSTERS, 0);
    request->history = flag_given(arguments, FLAG_HISTORY);
    if (flag_given(arguments, FLAG_MODEL))
        request->model = baryc_borrow(flag_text(arguments, FLAG_MODEL));
    request->no_labels = !flag_given(arguments, FLAG_LABELS) && !flag_given(arguments, FLAG_DETACH);
    fill_options(order);
}

int fit_order_open(struct fit_order *order, struct baryc_error *error)
{
    fill_request(order);
    return open_inputs(order, error);
}

void fit_order_close(struct fit_order *order)
{
    array_close(&order->x);
    array_close(&order->weight);
    array_close(&order->init);
    array_close(&order->offsets);
    free(order->row);
}

static int write_outputs(const struct fit_order *order, const struct fitted *fitted,
                         struct baryc_error *error)
{
    const char *labels = flag_text(order->arguments, FLAG_LABELS);
    const char *centers = flag_text(order->arguments, FLAG_CENTERS);
    int code = 0;

    if (labels)
        code = output_write(labels, DTYPE_I32, fitted->job->fit->rows, 0, fitted->labels, error);
    if (code == 0 && centers)
        code = output_write(centers, DTYPE_F64, fitted->job->fit->n_clusters,
                            fitted->job->fit->columns, fitted->centers, error);
    return code;
}

static void tell(const struct fit_order *order, const struct fitted *fitted)
{
    static const enum flag_id outputs[] = {FLAG_LABELS, FLAG_CENTERS, FLAG_MODEL_OUT};
    const char *files[7] = {NULL};
    int used = 0;

    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++)
        if (flag_given(order->arguments, outputs[i])) {
            files[used++] = flags[outputs[i]].name;
            files[used++] = flag_text(order->arguments, outputs[i]);
        }
    if (flag_given(order->arguments, FLAG_JSON)) {
        say_json(&fitted->job->base, files);
        return;
    }
    if (flag_given(order->arguments, FLAG_DETACH)) {
        printf("%s\n", fitted->job->name);
        return;
    }
    say_fit(fitted->job);
    for (int i = 0; i < used; i += 2)
        printf("%-13s %s\n", files[i], files[i + 1]);
}

static int finish(const struct fit_order *order, const struct fitted *fitted, int code,
                  struct baryc_error *error)
{
    bool json = flag_given(order->arguments, FLAG_JSON);

    if (code == 0)
        code = write_outputs(order, fitted, error);
    if (code == 0) {
        tell(order, fitted);
        return EXIT_DONE;
    }
    if (json && fitted->job) {
        say_json(&fitted->job->base, NULL);
        json = false;
    }
    return complain_error(error, json);
}

int command_fit(const struct arguments *arguments)
{
    struct fit_order order = {.arguments = arguments};
    struct fitted fitted = {0};
    struct baryc_error error = {0};
    int status = check_flags(arguments);

    if (status != EXIT_DONE)
        return status;
    stop_install();
    progress_start(&order.progress, flag_given(arguments, FLAG_PROGRESS));
    int code = fit_order_open(&order, &error);
    if (code == 0)
        code = flag_given(arguments, FLAG_LOCAL) ? fit_local(&order, &fitted, &error)
                                                 : fit_remote(&order, &fitted, &error);
    progress_end(&order.progress);
    status = finish(&order, &fitted, code, &error);
    baryc_free(fitted.job);
    free(fitted.centers);
    free(fitted.labels);
    fit_order_close(&order);
    return status;
}
