/* auth_allow.c - what `local` may, and what nobody else does. */
#include "host/auth/auth.h"
#include "tests/check.h"

static void local_may_call_everything(struct check *check)
{
    struct principal local = principal_local();

    for (int permission = PERMISSION_NONE; permission <= PERMISSION_ADMIN; permission++)
        check_equal_i64(check,
                        auth_allow_method(&local, "bary.v1.ModelService/Delete",
                                          (enum permission)permission, NULL),
                        STATUS_OK);
}

static void a_stranger_may_call_only_what_needs_no_permission(struct check *check)
{
    struct principal stranger = {.name = "eve", .namespace_ = "eve"};
    struct error error;

    check_equal_i64(check, auth_allow_method(&stranger, "m", PERMISSION_NONE, NULL), STATUS_OK);
    check_equal_i64(check, auth_allow_method(&stranger, "m", PERMISSION_READ, &error),
                    STATUS_PERMISSION);
    check_equal_text(check, error_value(&error, "principal"), "eve");
}

static void a_foreign_namespace_looks_like_a_missing_name(struct check *check)
{
    struct principal local = principal_local();
    struct error error;

    check_equal_i64(check, auth_allow_namespace(&local, "", STATUS_DATASET_NOT_FOUND, "iris", NULL),
                    STATUS_OK);
    check_equal_i64(check,
                    auth_allow_namespace(&local, "default", STATUS_DATASET_NOT_FOUND, "iris", NULL),
                    STATUS_OK);
    check_equal_i64(check,
                    auth_allow_namespace(&local, "other", STATUS_MODEL_NOT_FOUND, "m", &error),
                    STATUS_MODEL_NOT_FOUND);
    check_equal_text(check, error_value(&error, "name"), "m");
}

CHECKS(CLAIM(local_may_call_everything), CLAIM(a_stranger_may_call_only_what_needs_no_permission),
       CLAIM(a_foreign_namespace_looks_like_a_missing_name))
