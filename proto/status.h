/* status.h - how functions end: OK, or one row of status.def.
 *
 * The world fails: a function returns a status and leaves its outputs as they were.
 * We fail: assert. The numbers, the words and the sentences all come from status.def. */
#ifndef BARY_PROTO_STATUS_H
#define BARY_PROTO_STATUS_H

enum status {
#define STATUS(name, number, code, retry, sentence) STATUS_##name = (number),
#include "proto/status.def"
#undef STATUS
};

#endif
