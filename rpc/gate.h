/* gate.h - looks at a message once, before anybody unpacks it.
 *
 * protobuf-c checks neither depth nor counts nor text, and merges a repeated singular sub-message in
 * quadratic time. What passes here unpacks in linear time and holds text that is text.
 *
 * MALFORMED with the message's name and the byte: depth over 16; over 2^19 fields or 2^18 elements
 * of repeated fields in all; a singular sub-message twice; field 0, a group, a wrong wire type for a
 * known field; text that is not UTF-8, over 4 KiB, or with a control character (NUL is one). */
#ifndef BARY_RPC_GATE_H
#define BARY_RPC_GATE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "host/base/error.h"

enum { GATE_DEPTH_MAX = 16, GATE_FIELDS_MAX = 1 << 19, GATE_ELEMENTS_MAX = 1 << 18 };

enum status gate_check(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
                       size_t bytes, struct error *error);

/* Whether text is UTF-8 without control characters; *bad: the first byte that is not. */
bool gate_text(const uint8_t *text, size_t bytes, size_t *bad);

#endif
