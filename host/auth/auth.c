/* auth.c - in this version there is one principal, `local`, and it may do everything in its own
 * namespace. Roles, keys and certificates answer the same two questions later. */
#include "host/auth/auth.h"

#include <string.h>

static const char LOCAL[] = "local";

struct principal principal_local(void)
{
    return (struct principal){.name = "local", .namespace_ = "default"};
}

enum status auth_allow_method(const struct principal *principal, const char *method,
                              enum permission permission, struct error *error)
{
    if (permission == PERMISSION_NONE || strcmp(principal->name, LOCAL) == 0)
        return STATUS_OK;
    return FAIL(error, PERMISSION, TEXT("principal", principal->name), TEXT("method", method));
}

enum status auth_allow_namespace(const struct principal *principal, const char *namespace_,
                                 enum status not_found, const char *name, struct error *error)
{
    const struct field fields[] = {TEXT("name", name)};

    if (namespace_[0] == '\0' || strcmp(namespace_, principal->namespace_) == 0)
        return STATUS_OK;
    return error_set(error, not_found, fields, 1);
}
