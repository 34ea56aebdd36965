/* gpu.h - a GPU that fails to order: a plug-in named "cuda" that computes with kernels/ref.
 *
 * What it is and when it fails is one text: BARY_FAKE_GPU in the environment, read by `devices`, or
 * fake_gpu_set from a test that has the library in its own process. Words, separated by spaces:
 *
 *   devices=2           how many there are (1)
 *   free=1000000        bytes that each can give (2^30); memory= is the same unless given
 *   row_ns= tile_ns= copy_ns= tile_rows=    what plan says (ref's row_ns over 100, 10000, 10, ref's)
 *   absent=NO_DRIVER    devices finds none, for that reason
 *   open=DEVICE_WRONG   open refuses; open=DEVICE_BUSY*2 the first two times
 *   fail=assign:3:DEVICE_LOST    the third call of that entry on any device; fail= may come again.
 *                       Actions: OUT_OF_MEMORY, DEVICE_LOST, HANG (until fake_gpu_release, then
 *                       DEVICE_LOST), WRONG (labels_read alone: another label; then open runs the
 *                       self-test, whose calls count), NOTICED (DEVICE_LOST, for the reason
 *                       DEVICE_WRONG). assign@1 counts device 1 alone
 *
 * A misspelt word aborts. Rows of RESIDENT take 8 bytes a value and 16 more on the device, those of
 * STREAMED 4; the scratch of RESIDENT_SMALL and STREAMED is a quarter of RESIDENT's. */
#ifndef BARY_TESTS_FAULTS_GPU_H
#define BARY_TESTS_FAULTS_GPU_H

#include <stdint.h>

/* The library's, for dlsym: fake_gpu_set (counts start anew), fake_gpu_release (lets what hangs return),
 * fake_gpu_hanging (threads that hang), fake_gpu_used (device bytes that works and blocks hold),
 * fake_gpu_calls (of the entry that a fail= word names, counted from 0). */
typedef void fake_gpu_set_words(const char *words);
typedef void fake_gpu_call(void);
typedef int64_t fake_gpu_number(void);
typedef int64_t fake_gpu_count(int word);

#endif
