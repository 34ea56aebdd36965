/* settings.h - what the environment asks of the emulator. README.md explains each. */
#ifndef BARY_TESTS_CUEMU_SETTINGS_H
#define BARY_TESTS_CUEMU_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

namespace cuemu
{

enum order { ORDER_UP, ORDER_DOWN, ORDER_RANDOM };
enum driver {
    DRIVER_FINE,
    DRIVER_NONE,
    DRIVER_STUB,
    DRIVER_OLD,
    DRIVER_BROKEN,
    DRIVER_NO_DEVICE,
    DRIVER_BUSY,
    DRIVER_WRONG_ARCH
};

/* What a call of the API is, for CUEMU_FAIL. CALL_ANY counts them all. */
enum call_kind {
    CALL_ANY,
    CALL_DEVICE,  /* versions, count, properties, attributes */
    CALL_CONTEXT, /* set device, memory info */
    CALL_MALLOC,
    CALL_HOST_MALLOC,
    CALL_FREE,
    CALL_COPY, /* and set */
    CALL_LAUNCH,
    CALL_STREAM, /* create, destroy, wait for an event */
    CALL_EVENT,  /* create, destroy, record, elapsed time */
    CALL_SYNC,
    CALL_QUERY,
    CALL_FUNCTION, /* attributes of a kernel, occupancy */
    CALL_KINDS
};

/* The nth call of a kind answers code. */
struct failure {
    enum call_kind kind;
    long nth;
    int code;
};
enum { FAILURES_MOST = 8, DEVICES_MOST = 16 };

struct settings {
    enum order order;
    uint64_t seed;
    long resident;
    bool yield, lazy;
    bool zeroed; /* memory that is given back must be zeros */
    enum driver driver;
    int driver_code;
    struct failure failure[FAILURES_MOST];
    int failures;
    long hang, hang_ms; /* the nth wait; 0: none. ms 0: without end */
    long wrong;         /* the nth launch; 0: none */
    bool wrong_on;      /* and every later one */
    long devices, processors, arch, contexts;
    size_t memory;
    char name[64];
};

/* Reads the environment; what it cannot understand is a found bug. */
void settings_read(struct settings *out);

} // namespace cuemu

#endif
