/* machine.c - limits of the container first, of the machine second.
 *
 * Read once: budgets are fixed at start, and what `source` points to stays for the process's life. */
#include "host/base/machine.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/error.h"

static const struct machine_roots REAL_ROOTS = {
    .membership = "/proc/self/cgroup",
    .cgroups = "/sys/fs/cgroup",
};

/* The start of a small file, NUL-terminated; false: it cannot be read. */
static bool small_read(const char *path, char *text, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    ssize_t got = 0;

    if (fd < 0)
        return false;
    while (used < bytes - 1 && (got = read(fd, text + used, bytes - 1 - used)) > 0)
        used += (size_t)got;
    close(fd);
    text[used] = 0;
    return got >= 0;
}

/* The group's path below the root from the line "0::/path" of cgroup v2; "" if there is none. A
 * path outside our namespace ("/../x") cannot be followed: the root then speaks for all. */
static void group_find(const struct machine_roots *roots, char *group, size_t bytes)
{
    char text[4096], *save = NULL;

    group[0] = 0;
    if (!small_read(roots->membership, text, sizeof text))
        return;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, "0::/", 4) != 0 || strstr(line, "/..") || strlen(line + 3) >= bytes)
            continue;
        memcpy(group, line + 3, strlen(line + 3) + 1);
        if (strcmp(group, "/") == 0)
            group[0] = 0;
    }
}

/* What a file of a group allows: a number of bytes or of threads; INT64_MAX: no limit. */
static int64_t bytes_allowed(const char *text)
{
    char *end;
    long long value = strtoll(text, &end, 10);

    return end != text && value >= 0 ? value : INT64_MAX; /* else "max" */
}

static int64_t threads_allowed(const char *text)
{
    long long quota, period;

    if (sscanf(text, "%lld %lld", &quota, &period) != 2 || quota <= 0 || period <= 0)
        return INT64_MAX; /* "max 100000" */
    return (quota + period - 1) / period;
}

struct least {
    int64_t value;
    char source[MACHINE_SOURCE_BYTES];
};

/* Folds `file` of the group and of each parent up to the root into *least. */
static void group_walk(const struct machine_roots *roots, const char *file,
                       int64_t (*allowed)(const char *), struct least *least)
{
    char group[2048], path[MACHINE_SOURCE_BYTES], text[128];

    group_find(roots, group, sizeof group);
    for (;;) {
        int bytes = snprintf(path, sizeof path, "%s%s/%s", roots->cgroups, group, file);
        if (bytes > 0 && (size_t)bytes < sizeof path && small_read(path, text, sizeof text)) {
            int64_t value = allowed(text);
            if (value < least->value) {
                least->value = value;
                memcpy(least->source, path, (size_t)bytes + 1);
            }
        }
        if (group[0] == 0)
            return;
        *strrchr(group, '/') = 0;
    }
}

int64_t machine_memory_of(const struct machine_roots *roots, int64_t ram,
                          char source[MACHINE_SOURCE_BYTES])
{
    struct least least = {.value = ram, .source = "ram"};
    int64_t spare;

    group_walk(roots, "memory.max", bytes_allowed, &least);
    group_walk(roots, "memory.high", bytes_allowed, &least);
    spare = least.value / 10 > MACHINE_SPARE_MIN ? least.value / 10 : MACHINE_SPARE_MIN;
    text_cut(source, MACHINE_SOURCE_BYTES, least.source);
    return least.value > spare ? least.value - spare : 0;
}

int machine_threads_of(const struct machine_roots *roots, int affinity, const char *omp,
                       char source[MACHINE_SOURCE_BYTES])
{
    struct least least = {.value = affinity, .source = "affinity"};
    int64_t asked = omp ? strtoll(omp, NULL, 10) : 0; /* "4,2": the outer level's */

    group_walk(roots, "cpu.max", threads_allowed, &least);
    if (asked > 0 && asked < least.value)
        least = (struct least){.value = asked, .source = "OMP_NUM_THREADS"};
    text_cut(source, MACHINE_SOURCE_BYTES, least.source);
    return least.value < 1 ? 1 : least.value > INT_MAX ? INT_MAX : (int)least.value;
}

/* The mask may be wider than cpu_set_t: the kernel says EINVAL until it fits. */
static int affinity_count(void)
{
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        size_t bytes = CPU_ALLOC_SIZE((size_t)cpus);
        int count = 0;
        if (!set)
            break;
        if (sched_getaffinity(0, bytes, set) == 0)
            count = CPU_COUNT_S(bytes, set);
        CPU_FREE(set);
        if (count > 0)
            return count;
    }
    return 1;
}

/* Written once, under the once. */
static pthread_once_t machine_once = PTHREAD_ONCE_INIT;
static struct {
    int64_t memory;
    int threads;
    char memory_source[MACHINE_SOURCE_BYTES], threads_source[MACHINE_SOURCE_BYTES];
} machine;

static void machine_read(void)
{
    int64_t ram = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);

    machine.memory = machine_memory_of(&REAL_ROOTS, ram, machine.memory_source);
    machine.threads = machine_threads_of(&REAL_ROOTS, affinity_count(), getenv("OMP_NUM_THREADS"),
                                         machine.threads_source);
}

int64_t machine_memory_budget(const char **source)
{
    pthread_once(&machine_once, machine_read);
    if (source)
        *source = machine.memory_source;
    return machine.memory;
}

int machine_threads(const char **source)
{
    pthread_once(&machine_once, machine_read);
    if (source)
        *source = machine.threads_source;
    return machine.threads;
}

const char *machine_refusal(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return "this CPU lacks AVX2 or FMA; Bary needs x86-64-v3 (Intel Haswell, AMD Excavator or "
               "newer) or arm64";
#endif
    return NULL;
}

void machine_wait_quietly(char **argv)
{
    char path[4096];
    ssize_t bytes;

    if (getenv("OMP_WAIT_POLICY"))
        return;
    bytes = readlink("/proc/self/exe", path, sizeof path - 1);
    if (bytes <= 0 || setenv("OMP_WAIT_POLICY", "passive", 1) != 0)
        return;
    path[bytes] = '\0';
    execv(path, argv);
}
