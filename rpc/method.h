/* method.h - the table of methods. No row, no call. */
#ifndef BARY_RPC_METHOD_H
#define BARY_RPC_METHOD_H

#include "rpc/call.h"

/* Every handler of methods.def is declared here and defined in its *_service.c. */
#define METHOD(service, name, kind, request, permission, track, handler_) \
    extern const struct handler handler_;
#include "rpc/methods.def"
#undef METHOD

/* NULL: no such method. */
const struct method *method_find(const char *path, size_t bytes);

/* Whether a method of the table belongs to this service: "bary.v1.JobService". */
bool method_service_exists(const char *service);

#endif
