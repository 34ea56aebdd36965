/* check.h - the one test harness: claims, and a program that runs them.
 *
 *     static void ties_go_to_the_lowest_index(struct check *check)
 *     {
 *         check_equal_i64(check, label, 0);
 *     }
 *     CHECKS(CLAIM(ties_go_to_the_lowest_index))
 *
 * Usage of a program: [name-part]... runs the claims whose name contains one of the parts; --list.
 * A failed check prints file, line, the expression, what was found and check_note's words, and the
 * claim goes on; the program's exit status is 1 when any failed. Last line: "N passed, N failed, N skipped".
 */
#ifndef BARY_TESTS_CHECK_H
#define BARY_TESTS_CHECK_H

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 1 in a build with sanitizers: ten times slower, it takes one of several cases of a large set. The build
 * without takes all of them. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CHECK_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CHECK_SANITIZED 1
#endif
#endif
#ifndef CHECK_SANITIZED
#define CHECK_SANITIZED 0
#endif

struct check {
    const char *name;
    int failures;
    const char *skipped; /* why, or NULL */
    char note[256];      /* the case at hand: "rows=257 seed=0x51" */
};

struct claim {
    const char *name;
    void (*run)(struct check *check);
};
#define CLAIM(function)     \
    {                       \
#function, function \
    }

/* The words that a failure prints: which case it was, ready to rerun. */
__attribute__((format(printf, 2, 3), unused)) static void check_note(struct check *check,
                                                                     const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(check->note, sizeof check->note, format, list);
    va_end(list);
}

/* Ends as skipped; return after it. */
__attribute__((unused)) static void check_skip(struct check *check, const char *why)
{
    check->skipped = why;
}

__attribute__((format(printf, 4, 5), unused)) static bool
check_failed(struct check *check, const char *file, int line, const char *format, ...)
{
    va_list list;
    check->failures++;
    if (check->failures > 20) /* one broken loop must not fill a disk */
        return false;
    printf("  %s:%d: ", file, line);
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    printf("%s%s%s\n", check->note[0] ? " [" : "", check->note, check->note[0] ? "]" : "");
    return false;
}

/* Each yields whether it held. */
#define check_true(check, condition) \
    ((condition) ? true : check_failed((check), __FILE__, __LINE__, "%s does not hold", #condition))
#define check_equal_i64(check, got, want) \
    check_i64((check), __FILE__, __LINE__, #got, (int64_t)(got), (int64_t)(want))
#define check_equal_u64(check, got, want) \
    check_u64((check), __FILE__, __LINE__, #got, (uint64_t)(got), (uint64_t)(want))
#define check_equal_bits(check, got, want) \
    check_bits((check), __FILE__, __LINE__, #got, (got), (want)) /* doubles */
#define check_equal_text(check, got, want) \
    check_text((check), __FILE__, __LINE__, #got, (got), (want))
#define check_equal_bytes(check, got, want, bytes) \
    check_memory((check), __FILE__, __LINE__, #got, (got), (want), (bytes))
#define check_near(check, got, want, relative) \
    check_close((check), __FILE__, __LINE__, #got, (got), (want), (relative))

__attribute__((unused)) static bool check_i64(struct check *check, const char *file, int line,
                                              const char *what, int64_t got, int64_t want)
{
    return got == want ||
           check_failed(check, file, line, "%s is %" PRId64 ", not %" PRId64, what, got, want);
}
__attribute__((unused)) static bool check_u64(struct check *check, const char *file, int line,
                                              const char *what, uint64_t got, uint64_t want)
{
    return got == want ||
           check_failed(check, file, line, "%s is %" PRIu64 ", not %" PRIu64, what, got, want);
}
__attribute__((unused)) static bool check_bits(struct check *check, const char *file, int line,
                                               const char *what, double got, double want)
{
    uint64_t a, b;
    memcpy(&a, &got, sizeof a);
    memcpy(&b, &want, sizeof b);
    return a == b || check_failed(check, file, line, "%s is %a, not %a", what, got, want);
}
__attribute__((unused)) static bool check_text(struct check *check, const char *file, int line,
                                               const char *what, const char *got, const char *want)
{
    return (got && want && strcmp(got, want) == 0) ||
           check_failed(check, file, line, "%s is \"%s\", not \"%s\"", what, got ? got : "(null)",
                        want ? want : "(null)");
}
__attribute__((unused)) static bool check_memory(struct check *check, const char *file, int line,
                                                 const char *what, const void *got,
                                                 const void *want, size_t bytes)
{
    const unsigned char *a = (const unsigned char *)got, *b = (const unsigned char *)want;
    for (size_t i = 0; i < bytes; i++)
        if (a[i] != b[i])
            return check_failed(check, file, line, "%s differs at byte %zu of %zu: %02x, not %02x",
                                what, i, bytes, a[i], b[i]);
    return true;
}
__attribute__((unused)) static bool check_close(struct check *check, const char *file, int line,
                                                const char *what, double got, double want,
                                                double relative)
{
    double bound = relative * fmax(fabs(got), fabs(want));
    return fabs(got - want) <= bound || (isnan(got) && isnan(want)) ||
           check_failed(check, file, line, "%s is %.17g, not %.17g within %g", what, got, want,
                        relative);
}

/* A small generator for test data; not for answers. */
__attribute__((unused)) static uint64_t check_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
__attribute__((unused)) static double check_uniform(uint64_t *state) /* [0, 1) */
{
    return (double)(check_random(state) >> 11) * 0x1p-53;
}
__attribute__((unused)) static double check_normal(uint64_t *state)
{
    double u = 1.0 - check_uniform(state), v = check_uniform(state);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

__attribute__((unused)) static bool check_asked(const char *name, int argc, char **argv)
{
    if (argc < 2)
        return true;
    for (int i = 1; i < argc; i++)
        if (strstr(name, argv[i]))
            return true;
    return false;
}

__attribute__((unused)) static int check_main(int argc, char **argv, const struct claim *claims,
                                              size_t count)
{
    int passed = 0, failed = 0, skipped = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < count; i++) {
        struct check check = {.name = claims[i].name};
        if (argc == 2 && strcmp(argv[1], "--list") == 0) {
            printf("%s\n", claims[i].name);
            continue;
        }
        if (!check_asked(claims[i].name, argc, argv))
            continue;
        claims[i].run(&check);
        printf("%s %s%s%s\n",
               check.failures  ? "FAIL"
               : check.skipped ? "skip"
                               : "ok  ",
               claims[i].name, check.skipped ? ": " : "", check.skipped ? check.skipped : "");
        failed += check.failures > 0;
        skipped += check.failures == 0 && check.skipped;
        passed += check.failures == 0 && !check.skipped;
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed > 0;
}

#define CHECKS(...)                                                              \
    int main(int argc, char **argv)                                              \
    {                                                                            \
        static const struct claim claims[] = {__VA_ARGS__};                      \
        return check_main(argc, argv, claims, sizeof claims / sizeof claims[0]); \
    }

#endif
