/* ledger.h - bytes: reserved at admission, given back in one place.
 *
 * Any thread may ask; one lock, held for a few instructions. */
#ifndef BARY_HOST_JOBS_LEDGER_H
#define BARY_HOST_JOBS_LEDGER_H

#include <stdint.h>

#include "host/base/error.h"

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

#endif
