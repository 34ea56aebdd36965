/* names.h - handles, page tokens and ids as clients write them.
 *
 * "iris" or "namespaces/default/datasets/iris"; a model may end in "/versions/3". Ids are
 * [a-z0-9][a-z0-9._-]{0,62}. */
#ifndef BARY_RPC_NAMES_H
#define BARY_RPC_NAMES_H

#include "host/auth/auth.h"

enum thing { THING_DATASET, THING_MODEL, THING_JOB };
enum { HANDLE_BYTES = 192 };

/* The id of a handle that the principal may touch, else the thing's *_NOT_FOUND (MISSING when empty).
 * *version: 0 where none was given; NULL: a version is no part of such names. */
enum status name_parse(const struct principal *principal, enum thing thing, const char *given,
                       char id[64], int64_t *version, struct error *error);

/* "namespaces/default/models/m/versions/3"; version 0: without. Returns `out`. */
char *name_print(const struct principal *principal, enum thing thing, const char *id,
                 int64_t version, char out[HANDLE_BYTES]);

/* A page token: the place to go on after, bound to who asked what (`list`: "datasets",
 * "jobs tag=x state=2"). Hexadecimal, with a checksum. */
enum { TOKEN_PLACE_BYTES = 128, TOKEN_BYTES = 2 * (TOKEN_PLACE_BYTES + 4) + 1 };
char *token_print(const struct principal *principal, const char *list, const char *place,
                  char out[TOKEN_BYTES]);
/* "" gives place "". MALFORMED: not ours, or of another list. */
enum status token_parse(const struct principal *principal, const char *list, const char *token,
                        char place[TOKEN_PLACE_BYTES], struct error *error);

/* How many to list: 0 is `most`, and more than `most` is `most`. OUT_OF_RANGE: negative. */
enum status page_size_check(int32_t page_size, int most, int *out, struct error *error);

/* "" or a UUID, into a struct's field. MALFORMED. */
enum status request_id_check(const char *given, char out[64], struct error *error);

#endif
