/* cuda_runtime.h - in place of CUDA's own, where a .cu file is compiled for the emulator. */
#ifndef BARY_TESTS_CUEMU_SHADOW_CUDA_RUNTIME_H
#define BARY_TESTS_CUEMU_SHADOW_CUDA_RUNTIME_H

#include "tests/cuemu/atomic.h"
#include "tests/cuemu/host.h"
#include "tests/cuemu/scalar.h"
#include "tests/cuemu/warp.h"
#include "tests/cuemu/words.h"

#endif
