/* fit_batch_remote.c - a batch on the server: what it shares with a fit, its problems, its arrays. */
#include "clients/cli/fit.h"
#include "clients/cli/remote.h"

/* The fit that was ordered, as a batch. Borrows from the order. */
static Bary__V1__FitBatchRequest batch_of(const struct fit_order *order)
{
    const Bary__V1__FitRequest *fit = &order->request;
    Bary__V1__FitBatchRequest batch = BARY__V1__FIT_BATCH_REQUEST__INIT;

    batch.source = fit->source;
    batch.problems = order->row ? 0 : order->problems;
    batch.row_offsets = order->row;
    batch.n_row_offsets = order->row ? (size_t)order->problems + 1 : 0;
    batch.n_clusters = fit->n_clusters;
    batch.init = fit->init;
    batch.init_centers = fit->init_centers;
    batch.init_dataset = fit->init_dataset;
    batch.n_init = fit->n_init;
    batch.max_iter = fit->max_iter;
    batch.tol = fit->tol;
    batch.fixed_rounds = fit->fixed_rounds;
    batch.random_state = fit->random_state;
    batch.sample_weight = fit->sample_weight;
    batch.non_finite = fit->non_finite;
    batch.empty_clusters = fit->empty_clusters;
    batch.no_labels = fit->no_labels;
    batch.placement = fit->placement;
    batch.options = fit->options;
    return batch;
}

int fit_batch_remote(struct fit_order *order, struct fitted *out, struct baryc_error *error)
{
    struct baryc *connection = NULL;
    struct placed placed = {0};
    int code = open_server(order->arguments, &connection, error);

    if (code != 0)
        return code;
    code = fit_place(order, connection, &placed, error);
    if (code == 0) {
        Bary__V1__FitBatchRequest request = batch_of(order);
        code =
            baryc_fit_batch_wait(connection, &request, NULL, fit_progress, order, &out->job, error);
    }
    if (code == 0 && flag_given(order->arguments, FLAG_LABELS))
        code = fetch_labels(connection, out->job, &out->labels, error);
    if (code == 0 && flag_given(order->arguments, FLAG_CENTERS))
        code = fetch_centers(connection, out->job, &out->centers, error);
    drop_dataset(connection, &placed.x);
    drop_dataset(connection, &placed.init);
    baryc_disconnect(&connection);
    return code;
}
