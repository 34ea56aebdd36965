#include "host/base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t clock_read(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_ns(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

int64_t clock_wall_ns(void)
{
    return clock_read(CLOCK_REALTIME);
}

void clock_print(int64_t wall_ns, char text[32])
{
    int64_t seconds = wall_ns / 1000000000, rest = wall_ns % 1000000000;
    time_t whole = (time_t)(seconds - (rest < 0));
    int milliseconds = (int)((rest < 0 ? rest + 1000000000 : rest) / 1000000);
    struct tm parts;
    size_t used;

    gmtime_r(&whole, &parts);
    used = strftime(text, 24, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + used, 32 - used, ".%03dZ", milliseconds);
}
