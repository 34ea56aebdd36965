/* clock.h - the only place that reads a clock.
 *
 * Deadlines, ages and rates use clock_ns (monotonic). Wall time is for people's eyes. */
#ifndef BARY_HOST_BASE_CLOCK_H
#define BARY_HOST_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_ns(void);      /* monotonic nanoseconds since some fixed point */
int64_t clock_wall_ns(void); /* nanoseconds since 1970-01-01 UTC */

/* "2026-11-24T06:00:00.123Z" into text[32]. */
void clock_print(int64_t wall_ns, char text[32]);

#endif
