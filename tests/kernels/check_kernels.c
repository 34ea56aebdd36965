/* check_kernels.c - runs the claims of claims.h.
 *
 * With more threads than CPUs, OpenMP threads that spin while they wait take the time of those that
 * work; libgomp reads its policy before main, so the program starts itself again. */
#include "tests/kernels/claims.h"

#define ROW(name) CLAIM(name),
int main(int argc, char **argv)
{
    static const struct claim claims[] = {KERNEL_CLAIMS(ROW)};

    if (!getenv("OMP_WAIT_POLICY")) {
        setenv("OMP_WAIT_POLICY", "passive", 1);
        execv("/proc/self/exe", argv);
    }
    return check_main(argc, argv, claims, sizeof claims / sizeof claims[0]);
}
