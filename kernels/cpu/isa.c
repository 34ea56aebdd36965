/* isa.c - which instruction sets this machine has, and which one a device uses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/cpu.h"

#if defined(__x86_64__)
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
static bool has_avx512(void) /* the whole of x86-64-v4, which its file is compiled for */
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#else
static bool has_avx2(void)
{
    return false;
}
static bool has_avx512(void)
{
    return false;
}
#endif

static bool always(void)
{
    return true;
}

/* Best first; the last two by name alone. */
static const struct level {
    const char *name;
    const struct lanes *(*lanes)(void);
    bool (*here)(void);
} levels[] = {
    {"avx512", lanes_avx512, has_avx512}, {"avx2", lanes_avx2, has_avx2},
    {"neon", lanes_neon, always},         {"plain", lanes_plain, always},
    {"wide", lanes_wide, always},
};
enum { LEVELS = sizeof levels / sizeof levels[0] };

static bool available(int at)
{
    return levels[at].here() && levels[at].lanes() != NULL;
}

/* The place of a name, or -1 with the reason. */
static int level_named(const char *name, const char *whose, char *why)
{
    char known[64] = "";

    for (int i = 0; i < LEVELS; i++) {
        if (!available(i))
            continue;
        if (strcmp(levels[i].name, name) == 0)
            return i;
        if (levels[i].lanes != lanes_wide)
            snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s",
                     known[0] ? ", " : "", levels[i].name);
    }
    snprintf(why, 128, "%s is '%.24s'; this machine has %s", whose, name, known);
    return -1;
}

const struct lanes *lanes_choose(const char *asked, char *why)
{
    const char *names[] = {asked, getenv("BARY_ISA")};
    const char *whose[] = {"isa", "BARY_ISA"};
    int at = 0;

    while (!available(at))
        at++;
    for (int i = 0; i < 2; i++) {
        if (!names[i] || !names[i][0])
            continue;
        int named = level_named(names[i], whose[i], why);
        if (named < 0)
            return NULL;
        at = named > at ? named : at; /* a ceiling only lowers */
    }
    return levels[at].lanes();
}

const char *cpu_refusal(void)
{
#if defined(__x86_64__)
    if (!has_avx2())
        return "this CPU lacks AVX2 and FMA; x86-64-v3 or arm64 is needed";
#endif
    return NULL;
}
