/* auth.h - two questions: may this principal call this method, may it touch this namespace. */
#ifndef BARY_HOST_AUTH_AUTH_H
#define BARY_HOST_AUTH_AUTH_H

#include "host/base/error.h"

enum permission { PERMISSION_NONE, PERMISSION_READ, PERMISSION_WRITE, PERMISSION_ADMIN };

struct principal {
    char name[64];       /* "local" */
    char namespace_[64]; /* "default" */
};

/* The principal of an unauthenticated peer on loopback or a unix socket. */
struct principal principal_local(void);

/* Before the first read: may it call this method? PERMISSION. */
enum status auth_allow_method(const struct principal *principal, const char *method,
                              enum permission permission, struct error *error);
/* After the unpack: may it touch this namespace ("" means its own)? Hidden and missing look the same, so the caller
 * says which *_NOT_FOUND to give. */
enum status auth_allow_namespace(const struct principal *principal, const char *namespace_,
                                 enum status not_found, const char *name, struct error *error);

#endif
