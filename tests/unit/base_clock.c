#include "host/base/clock.h"

#include "tests/check.h"

static void the_monotonic_clock_never_goes_back(struct check *check)
{
    int64_t before = clock_ns();

    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_ns();
        check_true(check, now >= before);
        before = now;
    }
}

static void wall_time_prints_in_utc_with_milliseconds(struct check *check)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1795500000123456789, "2026-11-24T06:00:00.123Z"},
        {1709164800999999999, "2024-02-29T00:00:00.999Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {INT64_MAX, "2262-04-11T23:47:16.854Z"},
    };
    char text[32];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clock_print(cases[i].ns, text);
        check_equal_text(check, text, cases[i].text);
    }
    check_true(check, clock_wall_ns() > 1700000000000000000);
}

CHECKS(CLAIM(the_monotonic_clock_never_goes_back), CLAIM(wall_time_prints_in_utc_with_milliseconds))
