/* catalog.c - bary datasets and bary models: what the server keeps by name. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/fit.h"
#include "clients/cli/remote.h"

static const char *enum_name(const ProtobufCEnumDescriptor *descriptor, int value, size_t prefix)
{
    const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(descriptor, value);
    return known ? known->name + prefix : "UNKNOWN";
}

static const char *dataset_state(const Bary__V1__Dataset *dataset)
{
    return enum_name(&bary__v1__dataset_state__descriptor, (int)dataset->state,
                     strlen("DATASET_STATE_"));
}

static const char *dtype_word(Bary__V1__DType dtype)
{
    return enum_name(&bary__v1__dtype__descriptor, (int)dtype, strlen("DTYPE_"));
}

static int tell_created(struct baryc *connection, const struct arguments *arguments,
                        const char *name)
{
    Bary__V1__GetDatasetRequest request = BARY__V1__GET_DATASET_REQUEST__INIT;
    Bary__V1__Dataset *dataset = NULL;
    struct baryc_error error;

    if (!flag_given(arguments, FLAG_JSON)) {
        puts(short_name(name));
        return EXIT_DONE;
    }
    request.name = baryc_borrow(name);
    if (baryc_dataset_get(connection, &request, NULL, &dataset, &error) != 0)
        return complain_error(&error, true);
    say_json(&dataset->base, NULL);
    baryc_free(dataset);
    return EXIT_DONE;
}

int command_datasets_create(const struct arguments *arguments)
{
    struct array array = {0}, none = {0};
    struct baryc *connection = NULL;
    struct progress_line progress;
    struct baryc_error error;
    char *name = NULL;
    int code = array_open(arguments->positional[0], &array, &error);

    if (code != 0)
        return complain_error(&error, flag_given(arguments, FLAG_JSON));
    stop_install();
    progress_start(&progress, flag_given(arguments, FLAG_PROGRESS));
    int status = connect_or_complain(arguments, &connection);
    if (status == EXIT_DONE) {
        struct baryc_upload what = {.id = flag_text(arguments, FLAG_ID)};
        what.ttl_s = flag_integer(arguments, FLAG_TTL, 0);
        code =
            upload_array(connection, &array, &none, what.id, what.ttl_s, &progress, &name, &error);
        progress_end(&progress);
        if (code != 0)
            status = complain_error(&error, flag_given(arguments, FLAG_JSON));
        else
            status = tell_created(connection, arguments, name);
    }
    free(name);
    array_close(&array);
    baryc_disconnect(&connection);
    return status;
}

static void show_dataset(const Bary__V1__Dataset *dataset)
{
    char text[32];

    printf("%-13s %s\n", "dataset", short_name(dataset->name));
    printf("%-13s %s%s\n", "state", dataset_state(dataset),
           dataset->volatile_ ? ", in memory" : "");
    printf("%-13s %" PRId64 "\n", "rows", dataset->rows);
    for (size_t i = 0; dataset->schema && i < dataset->schema->n_columns; i++) {
        const Bary__V1__Column *column = dataset->schema->columns[i];
        printf("%-13s %s%s%s", i == 0 ? "columns" : "", column->name, column->name[0] ? " " : "",
               dtype_word(column->dtype));
        if (column->width > 1)
            printf(" x %" PRId64, column->width);
        putchar('\n');
    }
    printf("%-13s %s\n", "bytes", say_bytes(dataset->bytes, text));
    printf("%-13s %s\n", "created", say_stamp(dataset->created, text));
    if (dataset->ttl)
        printf("%-13s %" PRId64 " s without use\n", "ttl", dataset->ttl->seconds);
    if (dataset->content_hash[0])
        printf("%-13s %s\n", "hash", dataset->content_hash);
}

int command_datasets_get(const struct arguments *arguments)
{
    Bary__V1__GetDatasetRequest request = BARY__V1__GET_DATASET_REQUEST__INIT;
    Bary__V1__Dataset *dataset = NULL;
    struct baryc *connection = NULL;
    struct baryc_error error;
    bool json = flag_given(arguments, FLAG_JSON);
    int status = connect_or_complain(arguments, &connection);

    if (status != EXIT_DONE)
        return status;
    request.name = baryc_borrow(arguments->positional[0]);
    if (baryc_dataset_get(connection, &request, NULL, &dataset, &error) != 0)
        status = complain_error(&error, json);
    else if (json)
        say_json(&dataset->base, NULL);
    else
        show_dataset(dataset);
    baryc_free(dataset);
    baryc_disconnect(&connection);
    return status;
}

static int datasets_page(struct baryc *connection, const struct arguments *arguments, char *token,
                         ProtobufCMessage **out, struct baryc_error *error)
{
    Bary__V1__ListDatasetsRequest request = BARY__V1__LIST_DATASETS_REQUEST__INIT;
    Bary__V1__ListDatasetsResponse *response = NULL;

    (void)arguments;
    request.page_token = token;
    int code = baryc_dataset_list(connection, &request, NULL, &response, error);
    *out = (ProtobufCMessage *)response;
    return code;
}

static void datasets_row(const ProtobufCMessage *message)
{
    const Bary__V1__Dataset *dataset = (const void *)message;
    char bytes[32];

    printf("%-40s %-8s %14" PRId64 " %12s\n", short_name(dataset->name), dataset_state(dataset),
           dataset->rows, say_bytes(dataset->bytes, bytes));
}

int command_datasets_list(const struct arguments *arguments)
{
    static const struct listing listing = {datasets_page, datasets_row};

    return list_all(arguments, &listing);
}

static int delete_dataset(struct baryc *connection, const char *name, struct baryc_error *error)
{
    Bary__V1__DeleteDatasetRequest request = BARY__V1__DELETE_DATASET_REQUEST__INIT;
    Bary__V1__DeleteDatasetResponse *response = NULL;

    request.name = baryc_borrow(name);
    int code = baryc_dataset_delete(connection, &request, NULL, &response, error);
    baryc_free(response);
    return code;
}

static int delete_model(struct baryc *connection, const char *name, struct baryc_error *error)
{
    Bary__V1__DeleteModelRequest request = BARY__V1__DELETE_MODEL_REQUEST__INIT;
    Bary__V1__DeleteModelResponse *response = NULL;

    request.name = baryc_borrow(name);
    int code = baryc_model_delete(connection, &request, NULL, &response, error);
    baryc_free(response);
    return code;
}

/* Deletes each name; one that fails does not keep the rest. The first failure is the exit status. */
static int delete_all(const struct arguments *arguments,
                      int (*delete_one)(struct baryc *, const char *, struct baryc_error *))
{
    struct baryc *connection = NULL;
    struct baryc_error error;
    int status = connect_or_complain(arguments, &connection);

    if (status != EXIT_DONE)
        return status;
    for (int i = 0; i < arguments->count; i++) {
        if (delete_one(connection, arguments->positional[i], &error) == 0)
            continue;
        int failed = complain_error(&error, flag_given(arguments, FLAG_JSON));
        status = status == EXIT_DONE ? failed : status;
    }
    if (status == EXIT_DONE && flag_given(arguments, FLAG_JSON))
        puts("{}"); /* the answer of Delete is an empty message */
    baryc_disconnect(&connection);
    return status;
}

int command_datasets_delete(const struct arguments *arguments)
{
    return delete_all(arguments, delete_dataset);
}

int command_models_delete(const struct arguments *arguments)
{
    return delete_all(arguments, delete_model);
}

static int models_page(struct baryc *connection, const struct arguments *arguments, char *token,
                       ProtobufCMessage **out, struct baryc_error *error)
{
    Bary__V1__ListModelsRequest request = BARY__V1__LIST_MODELS_REQUEST__INIT;
    Bary__V1__ListModelsResponse *response = NULL;

    (void)arguments;
    request.page_token = token;
    int code = baryc_model_list(connection, &request, NULL, &response, error);
    *out = (ProtobufCMessage *)response;
    return code;
}

static void models_row(const ProtobufCMessage *message)
{
    const Bary__V1__Model *model = (const void *)message;
    char created[32];

    printf("%-40s %6" PRId64 " x %-6" PRId64 " %20.10g  %s\n", short_name(model->name),
           model->n_clusters, model->columns, model->inertia, say_stamp(model->created, created));
}

int command_models_list(const struct arguments *arguments)
{
    static const struct listing listing = {models_page, models_row};

    return list_all(arguments, &listing);
}

static void show_model(const Bary__V1__Model *model)
{
    char text[32];

    printf("%-13s %s\n", "model", short_name(model->name));
    printf("%-13s %" PRId64 " x %" PRId64 "\n", "centers", model->n_clusters, model->columns);
    printf("%-13s %" PRId64 " of %s\n", "rows", model->rows, dtype_word(model->dtype));
    printf("%-13s %.17g\n", "inertia", model->inertia);
    printf("%-13s %" PRId64 " of at most %" PRId64 "\n", "n_iter", model->n_iter, model->max_iter);
    printf("%-13s %" PRIu64 "\n", "random_state", model->random_state);
    printf("%-13s %s\n", "created", say_stamp(model->created, text));
    printf("%-13s %s\n", "bytes", say_bytes(model->bytes, text));
    printf("%-13s %s\n", "hash", model->content_hash);
}

/* Centers of a model that no message holds are asked of the model itself only. */
static int write_centers(const Bary__V1__Model *model, const char *path, struct baryc_error *error)
{
    struct error why = {0};

    if (!path)
        return 0;
    if (!model->cluster_centers) {
        FAIL(&why, MESSAGE_SIZE, INT("bytes", model->n_clusters * model->columns * 8),
             INT("limit", 3 << 20));
        return error_of_host(&why, error);
    }
    return output_write(path, DTYPE_F64, model->n_clusters, model->columns,
                        model->cluster_centers->data.data, error);
}

int command_models_get(const struct arguments *arguments)
{
    Bary__V1__GetModelRequest request = BARY__V1__GET_MODEL_REQUEST__INIT;
    Bary__V1__Model *model = NULL;
    struct baryc *connection = NULL;
    struct baryc_error error;
    bool json = flag_given(arguments, FLAG_JSON);
    int status = connect_or_complain(arguments, &connection);

    if (status != EXIT_DONE)
        return status;
    request.name = baryc_borrow(arguments->positional[0]);
    if (baryc_model_get(connection, &request, NULL, &model, &error) != 0 ||
        write_centers(model, flag_text(arguments, FLAG_CENTERS), &error) != 0)
        status = complain_error(&error, json);
    else if (json)
        say_json(&model->base, NULL);
    else
        show_model(model);
    baryc_free(model);
    baryc_disconnect(&connection);
    return status;
}
