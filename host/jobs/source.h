/* source.h - the rows and weights of a request, as kernels want them.
 *
 * Columns that must be packed are packed in pieces of PIECE_BYTES, with a turn after each: also a
 * large selection can be cancelled, and lets the fast lane in. Where pieces are cut never shows in
 * an answer. */
#ifndef BARY_HOST_JOBS_SOURCE_H
#define BARY_HOST_JOBS_SOURCE_H

#include "host/jobs/job.h"

enum { PIECE_BYTES = 16 << 20 };

struct source {
    struct selection selection;
    struct matrix matrix; /* all rows; borrows from the pieces where there are some */
    struct matrix *piece;
    int pieces;
    double *column;        /* weights that came from a column */
    const double *weights; /* that count: these or the request's; NULL: none */
};

/* `progress` is what the turns are told. On failure nothing is held. */
enum status source_open(struct source *source, const struct job_request *request,
                        const struct turn *turn, const struct fit_progress *progress,
                        struct error *error);
void source_close(struct source *source); /* a zeroed one is fine */

#endif
