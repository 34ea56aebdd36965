/* bary_call.h - what the functions of bary.h share: errors out, data in, a device for a call. */
#ifndef BARY_HOST_BARY_CALL_H
#define BARY_HOST_BARY_CALL_H

#include "host/bary.h"
#include "host/cluster/fit.h"
#include "host/cluster/model.h"

struct bary_device {
    const struct backend *backend;
    struct device *device;
};

/* Turns how a call ended into what the caller sees. Returns `status`. */
int call_end(enum status status, const struct error *error, struct bary_error *out);

/* Checks the data and makes them a matrix; on success matrix_release is owed. */
enum status call_matrix(const struct bary_data *data, struct matrix *out, struct error *error);
const char *call_name(const struct bary_data *data);

enum status device_open(const struct bary_run *run, struct bary_device *out, struct error *error);

/* The device of `run`, or one opened into *own; call_device_close closes *own alone. */
enum status call_device(const struct bary_run *run, struct bary_device *own,
                        const struct bary_device **out, struct error *error);
void call_device_close(struct bary_device *own);

/* The turn that asks run's progress function; `context` must outlive it. */
struct turn call_turn(const struct bary_run *run);

/* A model is a struct model: the public name only hides what it is made of. */
static inline const struct model *call_model(const struct bary_model *model)
{
    return (const struct model *)(const void *)model;
}

#endif
