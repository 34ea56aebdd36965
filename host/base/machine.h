/* machine.h - what this process may use of its machine.
 *
 * Read once, at the first call: later changes of a cgroup do not show. `source` (NULL: not asked)
 * points to text that stays for the life of the process. */
#ifndef BARY_HOST_BASE_MACHINE_H
#define BARY_HOST_BASE_MACHINE_H

#include <stdint.h>

/* The least of cgroup v2 memory.max and memory.high (own group and parents) and RAM, less 10 %, at
 * least 256 MiB less; 0 where that leaves nothing. *source: "ram" or the path of the file that decided. */
int64_t machine_memory_budget(const char **source);

/* CPUs of the affinity mask, cut by cgroup v2 cpu.max (rounded up) and OMP_NUM_THREADS. At least 1.
 * *source: "affinity", the path of the file that decided, or "OMP_NUM_THREADS". */
int machine_threads(const char **source);

/* NULL, or one sentence why this CPU cannot run Bary (x86-64 without AVX2 and FMA). */
const char *machine_refusal(void);

/* The same decisions as pure functions of files, RAM, mask and variable, for tests. */
enum { MACHINE_SOURCE_BYTES = 2304 };
#define MACHINE_SPARE_MIN ((int64_t)256 << 20)

struct machine_roots {
    const char *membership; /* /proc/self/cgroup */
    const char *cgroups;    /* /sys/fs/cgroup */
};
int64_t machine_memory_of(const struct machine_roots *roots, int64_t ram,
                          char source[MACHINE_SOURCE_BYTES]);
int machine_threads_of(const struct machine_roots *roots, int affinity, const char *omp,
                       char source[MACHINE_SOURCE_BYTES]);

/* First in main: OpenMP's threads sleep while they wait, instead of spinning on a core that others
 * want. The runtime reads OMP_WAIT_POLICY before main, so without one the program starts itself once
 * more, with `passive`; returns when there is one, or when it cannot. */
void machine_wait_quietly(char **argv);

#endif
