/* machine.h - what this process may use of its machine. */
#ifndef BARY_HOST_BASE_MACHINE_H
#define BARY_HOST_BASE_MACHINE_H

#include <stdint.h>

/* The least of cgroup v2 memory.max and memory.high (own group and parents) and RAM, less 10 %, at
 * least 256 MiB less. *source: "ram" or the path of the file that decided. */
int64_t machine_memory_budget(const char **source);

/* CPUs of the affinity mask, cut by cgroup v2 cpu.max (rounded up) and OMP_NUM_THREADS. At least 1. */
int machine_threads(const char **source);

/* NULL, or one sentence why this CPU cannot run Bary (x86-64 without AVX2 and FMA). */
const char *machine_refusal(void);

#endif
