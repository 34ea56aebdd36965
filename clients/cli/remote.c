/* remote.c - the server's address, uploads, names. */
#include "clients/cli/remote.h"

#include <stdlib.h>
#include <string.h>

const struct baryc_options stoppable = {.stop = stop_asked};

/* Long enough for a fit that starts late, short enough that what a killed command left goes. */
enum { TEMPORARY_TTL_S = 900 };

int open_server(const struct arguments *arguments, struct baryc **out, struct baryc_error *error)
{
    const char *address = flag_text(arguments, FLAG_ADDRESS);

    if (!address)
        address = getenv("BARY_ADDRESS");
    if (!address || !address[0])
        address = "127.0.0.1:7433";
    double wait_s = flag_real(arguments, FLAG_CONNECT_TIMEOUT, 0);
    return baryc_connect(address, (int64_t)(wait_s * 1000), out, error);
}

int connect_or_complain(const struct arguments *arguments, struct baryc **out)
{
    struct baryc_error error;

    if (open_server(arguments, out, &error) == 0)
        return EXIT_DONE;
    return complain_error(&error, flag_given(arguments, FLAG_JSON));
}

static void show_upload(void *context, int64_t bytes, int64_t total)
{
    progress_upload(context, bytes, total);
}

int upload_array(struct baryc *connection, struct array *array, struct array *weight,
                 const char *id, int64_t ttl_s, struct progress_line *progress, char **name,
                 struct baryc_error *error)
{
    struct baryc_column column[2];
    struct baryc_upload what = {.id = id,
                                .ttl_s = id ? ttl_s : TEMPORARY_TTL_S,
                                .npy = array->file.data,
                                .npy_bytes = array->file.bytes,
                                .progress = show_upload,
                                .progress_context = progress};
    Bary__V1__Dataset *dataset = NULL;
    int code = 0;

    if (weight->path) {
        code = array_load(array, error);
        if (code == 0)
            code = array_load(weight, error);
        if (code != 0)
            return code;
        column[0] = (struct baryc_column){"x", (Bary__V1__DType)array->header.dtype,
                                          array->header.columns, array_values(array)};
        column[1] = (struct baryc_column){"sample_weight", (Bary__V1__DType)weight->header.dtype, 1,
                                          array_values(weight)};
        what.npy = NULL;
        what.column = column;
        what.columns = 2;
        what.rows = array_rows(array);
    }
    code = baryc_upload(connection, &what, &stoppable, &dataset, error);
    if (code == 0)
        *name = strdup(dataset->name);
    baryc_free(dataset);
    return code;
}

void drop_dataset(struct baryc *connection, char **name)
{
    Bary__V1__DeleteDatasetRequest request = BARY__V1__DELETE_DATASET_REQUEST__INIT;
    Bary__V1__DeleteDatasetResponse *response = NULL;
    struct baryc_options options = {.timeout_ms = 5000, .attempts = 1};

    if (!*name)
        return;
    request.name = *name;
    baryc_dataset_delete(connection, &request, &options, &response, NULL);
    baryc_free(response);
    free(*name);
    *name = NULL;
}

const char *short_name(const char *name)
{
    const char *at = name;

    if (strncmp(name, "namespaces/default/", 19) != 0)
        return name;
    at = strchr(name + 19, '/');
    return at ? at + 1 : name;
}

void read_placement(const struct arguments *arguments, Bary__V1__Placement *out)
{
    *out = (Bary__V1__Placement)BARY__V1__PLACEMENT__INIT;
    out->backend = (Bary__V1__Backend)flag_integer(arguments, FLAG_DEVICE, 0);
    out->forbid_fallback = flag_given(arguments, FLAG_FORBID_FALLBACK);
    out->threads = (int32_t)flag_integer(arguments, FLAG_THREADS, 0);
}
