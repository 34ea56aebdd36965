/* json.c - any message of the protocol as JSON, by its descriptor.
 *
 * Names are those of the .proto files. Differences from protobuf's own mapping: 64-bit integers are
 * numbers (above 2^63 - 1: text), fields at their default are there, bytes are hexadecimal, and a
 * Matrix shows its values only while they are few: --centers and --labels write the rest. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clients/cli/say.h"
#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"

enum { MATRIX_VALUES_MAX = 10000 };

static json_t *of_message(const ProtobufCMessage *message);

static json_t *of_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *of_unsigned(uint64_t value)
{
    char text[24];

    if (value <= INT64_MAX)
        return json_integer((json_int_t)value);
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    return json_string(text);
}

static json_t *of_text(const char *text)
{
    json_t *value = json_string(text ? text : "");
    return value ? value : json_string("(not UTF-8)");
}

static json_t *of_bytes(const ProtobufCBinaryData *bytes)
{
    char text[2 * 64 + 1] = "";

    for (size_t i = 0; i < bytes->len && i < 64; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes->data[i]);
    return json_string(text);
}

static json_t *of_enum(const ProtobufCFieldDescriptor *field, int value)
{
    const ProtobufCEnumValue *known =
        protobuf_c_enum_descriptor_get_value(field->descriptor, value);
    return known ? json_string(known->name) : json_integer(value);
}

static size_t size_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4; /* the rest, and protobuf_c_boolean */
    }
}

static json_t *of_value(const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return json_integer(*(const int32_t *)at);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return json_integer(*(const uint32_t *)at);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return json_integer(*(const int64_t *)at);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return of_unsigned(*(const uint64_t *)at);
    case PROTOBUF_C_TYPE_FLOAT:
        return of_real((double)*(const float *)at);
    case PROTOBUF_C_TYPE_DOUBLE:
        return of_real(*(const double *)at);
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)at);
    case PROTOBUF_C_TYPE_ENUM:
        return of_enum(field, *(const int *)at);
    case PROTOBUF_C_TYPE_STRING:
        return of_text(*(const char *const *)at);
    case PROTOBUF_C_TYPE_BYTES:
        return of_bytes(at);
    case PROTOBUF_C_TYPE_MESSAGE:
        return of_message(*(const ProtobufCMessage *const *)at);
    }
    return json_null();
}

/* map<string, string>: entries of key and value. */
static bool is_map(const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *entry = field->descriptor;

    return field->type == PROTOBUF_C_TYPE_MESSAGE && entry->n_fields == 2 &&
           strcmp(entry->fields[0].name, "key") == 0 &&
           strcmp(entry->fields[1].name, "value") == 0 &&
           entry->fields[0].type == PROTOBUF_C_TYPE_STRING;
}

static json_t *of_map(const ProtobufCFieldDescriptor *field, ProtobufCMessage *const *entry,
                      size_t count)
{
    const ProtobufCFieldDescriptor *part =
        ((const ProtobufCMessageDescriptor *)field->descriptor)->fields;
    json_t *object = json_object();

    for (size_t i = 0; i < count; i++) {
        const char *base = (const char *)entry[i];
        json_object_set_new(object, *(const char *const *)(base + part[0].offset),
                            of_value(&part[1], base + part[1].offset));
    }
    return object;
}

static json_t *of_repeated(const ProtobufCFieldDescriptor *field, const char *base)
{
    size_t count = *(const size_t *)(base + field->quantifier_offset);
    const char *at = *(const char *const *)(base + field->offset);

    if (is_map(field))
        return of_map(field, (ProtobufCMessage *const *)(const void *)at, count);
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, of_value(field, at + i * size_of(field->type)));
    return array;
}

static json_t *of_fields(const ProtobufCMessage *message)
{
    const char *base = (const char *)message;
    json_t *object = json_object();

    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        bool one_of = field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
        if (one_of && *(const uint32_t *)(base + field->quantifier_offset) != field->id)
            continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            json_object_set_new(object, field->name, of_repeated(field, base));
        else if (field->type != PROTOBUF_C_TYPE_MESSAGE ||
                 *(const void *const *)(base + field->offset))
            json_object_set_new(object, field->name, of_value(field, base + field->offset));
    }
    return object;
}

static json_t *of_timestamp(const ProtobufCMessage *message)
{
    const Google__Protobuf__Timestamp *stamp = (const void *)message;
    time_t seconds = (time_t)stamp->seconds;
    struct tm parts;
    char day[32], text[48];

    gmtime_r(&seconds, &parts);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text, sizeof text, "%s.%03dZ", day, stamp->nanos / 1000000);
    return json_string(text);
}

static json_t *of_duration(const ProtobufCMessage *message)
{
    const Google__Protobuf__Duration *duration = (const void *)message;
    return json_real((double)duration->seconds + 1e-9 * (double)duration->nanos);
}

/* DoubleValue and its like: the value itself. */
static json_t *of_wrapper(const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field = &message->descriptor->fields[0];
    return of_value(field, (const char *)message + field->offset);
}

static json_t *matrix_value(const Bary__V1__Matrix *matrix, size_t index)
{
    double real;
    int32_t integer;

    if (matrix->dtype == BARY__V1__DTYPE__DTYPE_F64) {
        memcpy(&real, matrix->data.data + index * sizeof real, sizeof real);
        return of_real(real);
    }
    memcpy(&integer, matrix->data.data + index * sizeof integer, sizeof integer);
    return json_integer(integer);
}

/* Answers hold F64 (centers, distances) and I32 (labels) alone. */
static json_t *matrix_values(const Bary__V1__Matrix *matrix)
{
    int64_t columns = matrix->columns > 0 ? matrix->columns : 1;
    json_t *rows = json_array();

    for (int64_t r = 0; r < matrix->rows; r++) {
        json_t *row = matrix->columns > 0 ? json_array() : NULL;
        for (int64_t c = 0; c < columns; c++)
            json_array_append_new(row ? row : rows,
                                  matrix_value(matrix, (size_t)(r * columns + c)));
        if (row)
            json_array_append_new(rows, row);
    }
    return rows;
}

static json_t *of_matrix(const ProtobufCMessage *message)
{
    const Bary__V1__Matrix *matrix = (const void *)message;
    size_t size = baryc_dtype_bytes(matrix->dtype);
    json_t *object = json_object();

    json_object_set_new(object, "rows", json_integer(matrix->rows));
    json_object_set_new(object, "columns", json_integer(matrix->columns));
    if ((matrix->dtype == BARY__V1__DTYPE__DTYPE_F64 ||
         matrix->dtype == BARY__V1__DTYPE__DTYPE_I32) &&
        matrix->data.len / size <= MATRIX_VALUES_MAX && matrix->rows >= 0 &&
        matrix->data.len / size ==
            (size_t)matrix->rows * (size_t)(matrix->columns > 0 ? matrix->columns : 1))
        json_object_set_new(object, "values", matrix_values(matrix));
    return object;
}

static json_t *of_message(const ProtobufCMessage *message)
{
    static const struct {
        const char *name;
        json_t *(*make)(const ProtobufCMessage *);
    } special[] = {{"google.protobuf.Timestamp", of_timestamp},
                   {"google.protobuf.Duration", of_duration},
                   {"google.protobuf.DoubleValue", of_wrapper},
                   {"google.protobuf.Int64Value", of_wrapper},
                   {"google.protobuf.Int32Value", of_wrapper},
                   {"google.protobuf.UInt64Value", of_wrapper},
                   {"bary.v1.Matrix", of_matrix}};

    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
        if (strcmp(message->descriptor->name, special[i].name) == 0)
            return special[i].make(message);
    return of_fields(message);
}

void say_json(const ProtobufCMessage *message, const char *const *files)
{
    json_t *root = of_message(message);

    if (files && files[0]) {
        json_t *object = json_object();
        for (; files[0] && files[1]; files += 2)
            json_object_set_new(object, files[0], of_text(files[1]));
        json_object_set_new(root, "files", object);
    }
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(root);
}
