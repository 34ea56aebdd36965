/* ledger.h - bytes of the host and of each device: reserved at admission, given back in one place.
 *
 * Any thread may ask; one lock, held for a few instructions. A need is taken whole or not at all. */
#ifndef BARY_HOST_JOBS_LEDGER_H
#define BARY_HOST_JOBS_LEDGER_H

#include <stdint.h>

#include "host/base/error.h"

enum { LEDGER_DEVICES = 8 };

struct ledger;

struct ledger *ledger_new(int64_t budget_bytes); /* NULL: no memory */
void ledger_free(struct ledger **ledger);

/* MEMORY_PRESSURE: not now; EXCEEDS_CAPACITY: never. `what` names it. */
enum status ledger_reserve(struct ledger *ledger, const char *what, int64_t bytes,
                           struct error *error);
/* The same, with only the first `most` bytes of the budget on offer: uploads leave the rest to jobs. */
enum status ledger_reserve_below(struct ledger *ledger, const char *what, int64_t bytes,
                                 int64_t most, struct error *error);
void ledger_return(struct ledger *ledger, int64_t bytes);

int64_t ledger_budget(const struct ledger *ledger);
int64_t ledger_reserved(struct ledger *ledger);

/* What running takes: bytes of the host, and of one device and of the pages pinned for it. A device
 * that was never offered (a CPU) has neither. */
struct need {
    int64_t bytes;
    int device;
    int64_t device_bytes, pinned_bytes;
};
enum status ledger_take(struct ledger *ledger, const char *what, const struct need *need,
                        struct error *error);
void ledger_give_back(struct ledger *ledger, struct need *need); /* and zeroes it */

struct device_bytes {
    int64_t budget, reserved, pinned_budget, pinned_reserved;
};
/* What a device offers from now on; what is reserved stays so. */
void ledger_offer(struct ledger *ledger, int device, int64_t bytes, int64_t pinned_bytes);
void ledger_device(struct ledger *ledger, int device, struct device_bytes *out);

#endif
