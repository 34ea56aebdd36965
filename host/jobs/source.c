#include "host/jobs/source.h"

#include "host/base/memory.h"
#include "host/jobs/plan.h"

static enum status no_memory(struct error *error, size_t bytes)
{
    return FAIL(error, OUT_OF_MEMORY, TEXT("what", "the selected rows"), INT("needed", bytes),
                INT("retry_ms", 1000));
}

/* Rows of a piece, of `rows` that take `bytes` when packed. */
static int64_t piece_rows(int64_t rows, int64_t bytes)
{
    int64_t row_bytes = bytes / rows;
    int64_t most = PIECE_BYTES / (row_bytes > 0 ? row_bytes : 1);

    return most > 0 ? most : 1;
}

static enum status pieces_select(struct source *source, struct table *table, int64_t each,
                                 const struct turn *turn, const struct fit_progress *progress,
                                 struct error *error)
{
    struct selection part = source->selection;
    int64_t end = part.first + part.rows;
    enum status status = STATUS_OK;

    for (; part.first < end && status == STATUS_OK; part.first += each) {
        part.rows = end - part.first < each ? end - part.first : each;
        TRY(matrix_select(table, &part, &source->piece[source->pieces], error));
        source->pieces++;
        status = turn->fn(turn->context, progress, error);
    }
out:
    return status;
}

/* One matrix over all pieces: a chunk of rows for each. */
static enum status pieces_join(struct source *source, struct table *table, struct error *error)
{
    struct matrix *matrix = &source->matrix;
    struct rows *chunk = memory_zeroed((size_t)source->pieces, sizeof *chunk);

    if (!chunk)
        return no_memory(error, (size_t)source->pieces * sizeof *chunk);
    *matrix = (struct matrix){.table = table,
                              .number = source->piece[0].number,
                              .columns = source->piece[0].columns,
                              .first = source->selection.first,
                              .chunks = source->pieces,
                              .chunk = chunk};
    table_pin(table);
    for (int i = 0; i < source->pieces; i++) {
        chunk[i] = source->piece[i].chunk[0]; /* packed rows are one chunk */
        chunk[i].first = matrix->rows;
        matrix->rows += source->piece[i].rows;
    }
    return STATUS_OK;
}

static enum status rows_open(struct source *source, struct table *table, const struct turn *turn,
                             const struct fit_progress *progress, struct error *error)
{
    int64_t bytes = 0, each;
    enum status status;

    if (source->selection.rows == 0)
        source->selection.rows = table->rows - source->selection.first;
    TRY(matrix_bytes(table, &source->selection, &bytes, error));
    if (bytes <= 2 * PIECE_BYTES)
        return matrix_select(table, &source->selection, &source->matrix, error);
    each = piece_rows(source->selection.rows, bytes);
    size_t pieces = (size_t)(source->selection.rows / each + 1);
    source->piece = memory_zeroed(pieces, sizeof *source->piece);
    if (!source->piece)
        return no_memory(error, pieces * sizeof *source->piece);
    TRY(pieces_select(source, table, each, turn, progress, error));
    TRY(pieces_join(source, table, error));
out:
    return status;
}

enum status source_open(struct source *source, const struct job_request *request,
                        const struct turn *turn, const struct fit_progress *progress,
                        struct error *error)
{
    enum status status;

    *source = (struct source){.weights = request->weight};
    TRY(request_selection(request, &source->selection, error));
    TRY(rows_open(source, request->table, turn, progress, error));
    if (request->weight_column[0]) {
        TRY(table_doubles(request->table, request->weight_column, request->first_row,
                          source->matrix.rows, &source->column, error));
        source->weights = source->column;
    }
out:
    if (status != STATUS_OK)
        source_close(source);
    return status;
}

void source_close(struct source *source)
{
    matrix_release(&source->matrix);
    for (int i = 0; i < source->pieces; i++)
        matrix_release(&source->piece[i]);
    memory_free(source->piece);
    memory_free(source->column);
    selection_free(&source->selection);
    *source = (struct source){.weights = NULL};
}
