/* fault.h - making things fail on purpose.
 *
 * Compiled in by BARY_FAULTS=ON, else nothing. BARY_FAULT="point:nth:action" (actions: fail, kill,
 * sleep) makes the nth passage of a point fail, "nth+" that one and all after it; several are
 * separated by commas. A misspelt one aborts. */
#ifndef BARY_HOST_BASE_FAULT_H
#define BARY_HOST_BASE_FAULT_H

#ifdef BARY_FAULTS
/* 1: this passage must fail. "kill" does not return, "sleep" returns 0 after 2 s. */
int fault_here(const char *point);

/* Replaces BARY_FAULT's words and starts counting anew; NULL: no faults. For tests in one process. */
void fault_set(const char *spec);
#else
#define fault_here(point) 0
#define fault_set(spec) ((void)(spec))
#endif

#endif
