/* fit_batch.c - bary fit-batch: many small problems, computed here or on the server. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/fit.h"
#include "clients/cli/remote.h"
#include "host/base/memory.h"
#include "proto/limits.h"

static const enum flag_id outputs[] = {FLAG_LABELS, FLAG_CENTERS, FLAG_INERTIA};
enum { OUTPUTS = sizeof outputs / sizeof outputs[0] };

static int check_flags(const struct arguments *arguments)
{
    static const enum flag_id remote[] = {FLAG_ADDRESS, FLAG_TAG};

    for (size_t i = 0; i < sizeof remote / sizeof remote[0]; i++)
        if (flag_given(arguments, FLAG_LOCAL) && flag_given(arguments, remote[i]))
            return complain(EXIT_USAGE, "--local and --%s do not go together",
                            flags[remote[i]].name);
    if (flag_given(arguments, FLAG_PROBLEMS) == flag_given(arguments, FLAG_ROW_OFFSETS))
        return complain(EXIT_USAGE,
                        "bary fit-batch needs --problems or --row-offsets, one of them");
    return EXIT_DONE;
}

static int refuse_offsets(const char *path, const char *found, const char *expected,
                          struct baryc_error *error)
{
    struct error why = {0};

    FAIL(&why, SHAPE_MISMATCH, TEXT("what", path), TEXT("found", found),
         TEXT("expected", expected));
    return error_of_host(&why, error);
}

/* The offsets as whole numbers. */
static int read_offsets(struct fit_order *order, const double *values, int64_t count,
                        struct baryc_error *error)
{
    struct error why = {0};

    order->row = malloc((size_t)count * sizeof *order->row);
    if (!order->row) {
        FAIL(&why, OUT_OF_MEMORY, TEXT("what", "the row offsets"),
             INT("needed", count * (int64_t)sizeof *order->row), INT("retry_ms", 1000));
        return error_of_host(&why, error);
    }
    for (int64_t i = 0; i < count; i++) {
        if (!(values[i] >= 0 && values[i] <= 0x1p53 && floor(values[i]) == values[i]))
            return refuse_offsets(order->offsets.path, "values that are no row numbers",
                                  "whole numbers from 0 on", error);
        order->row[i] = (int64_t)values[i];
    }
    return 0;
}

/* --problems or --row-offsets: how many there are. */
static int open_problems(struct fit_order *order, struct baryc_error *error)
{
    const char *path = flag_text(order->arguments, FLAG_ROW_OFFSETS);
    struct error why = {0};
    double *values = NULL;
    char found[64];

    order->problems = flag_integer(order->arguments, FLAG_PROBLEMS, 0);
    if (!path)
        return 0;
    int code = array_open(path, &order->offsets, error);
    if (code == 0)
        code = array_load(&order->offsets, error);
    if (code != 0)
        return code;
    int64_t count = order->offsets.header.rows;
    snprintf(found, sizeof found, "%" PRId64 " x %" PRId64 " values", count,
             order->offsets.header.columns);
    if (order->offsets.header.columns != 1 || count < 2 || count > BATCH_PROBLEMS_MAX + 1)
        return refuse_offsets(path, found, "one column of 2 to 65537 values", error);
    order->problems = count - 1;
    if (table_doubles(order->offsets.table, "", 0, 0, &values, &why) != STATUS_OK)
        return error_of_host(&why, error);
    code = read_offsets(order, values, count, error);
    memory_free(values);
    return code;
}

/* A problem that failed has no inertia. */
static void failed_mark(Bary__V1__FitBatchResult *batch)
{
    for (size_t p = 0; p < batch->n_inertia; p++)
        if (batch->status[p] != 0)
            batch->inertia[p] = (double)NAN;
}

static int write_outputs(const struct fit_order *order, const struct fitted *fitted,
                         struct baryc_error *error)
{
    const Bary__V1__FitBatchResult *batch = fitted->job->batch;
    const char *labels = flag_text(order->arguments, FLAG_LABELS);
    const char *centers = flag_text(order->arguments, FLAG_CENTERS);
    const char *inertia = flag_text(order->arguments, FLAG_INERTIA);
    int code = 0;

    if (labels)
        code = output_write(labels, DTYPE_I32, batch->rows, 0, fitted->labels, error);
    if (code == 0 && centers)
        code = output_write(centers, DTYPE_F64, batch->center_offsets[batch->problems],
                            batch->columns, fitted->centers, error);
    if (code == 0 && inertia)
        code = output_write(inertia, DTYPE_F64, batch->problems, 0, batch->inertia, error);
    return code;
}

static void tell(const struct fit_order *order, const struct fitted *fitted)
{
    const char *files[2 * OUTPUTS + 1] = {NULL};
    int used = 0;

    for (int i = 0; i < OUTPUTS; i++)
        if (flag_given(order->arguments, outputs[i])) {
            files[used++] = flags[outputs[i]].name;
            files[used++] = flag_text(order->arguments, outputs[i]);
        }
    if (flag_given(order->arguments, FLAG_JSON)) {
        say_json(&fitted->job->base, files);
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

    if (code == 0) {
        failed_mark(fitted->job->batch);
        code = write_outputs(order, fitted, error);
    }
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

int command_fit_batch(const struct arguments *arguments)
{
    struct fit_order order = {.arguments = arguments};
    struct fitted fitted = {0};
    struct baryc_error error = {0};
    int status = check_flags(arguments);

    if (status != EXIT_DONE)
        return status;
    stop_install();
    progress_start(&order.progress, flag_given(arguments, FLAG_PROGRESS));
    int code = open_problems(&order, &error);
    if (code == 0)
        code = fit_order_open(&order, &error);
    if (code == 0)
        code = flag_given(arguments, FLAG_LOCAL) ? fit_batch_local(&order, &fitted, &error)
                                                 : fit_batch_remote(&order, &fitted, &error);
    progress_end(&order.progress);
    status = finish(&order, &fitted, code, &error);
    baryc_free(fitted.job);
    free(fitted.centers);
    free(fitted.labels);
    fit_order_close(&order);
    return status;
}
