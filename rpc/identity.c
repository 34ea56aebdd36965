/* identity.c - see identity.h. */
#include "rpc/identity.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>

#include "host/base/clock.h"

struct principal identity_of_peer(const char *peer)
{
    (void)peer; /* what may connect was decided when it was accepted */
    return principal_local();
}

void identity_make_id(char *out, size_t bytes)
{
    uint64_t number;

    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number)
        number = (uint64_t)clock_ns() * 0x9e3779b97f4a7c15u;
    snprintf(out, bytes, "%016llx", (unsigned long long)number);
}
