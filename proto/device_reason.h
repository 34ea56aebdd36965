/* device_reason.h - why a device is not there, or no longer: one row of device_reason.def. */
#ifndef BARY_PROTO_DEVICE_REASON_H
#define BARY_PROTO_DEVICE_REASON_H

enum device_reason {
#define DEVICE_REASON(name, number, advice) REASON_##name = (number),
#include "proto/device_reason.def"
#undef DEVICE_REASON
};

#endif
