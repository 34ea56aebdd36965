/* gemm_probe.h - is the product as accurate as the proof takes it to be? */
#ifndef BARY_KERNELS_CUDA_GEMM_PROBE_H
#define BARY_KERNELS_CUDA_GEMM_PROBE_H

#include "kernels/cuda/work.h"

/* Multiplies vectors made to be hard (cancelling, one huge, all equal, subnormal) by the work's own
 * matmul, in its memory. *accurate: no score was further than Gamma from the exact one. */
enum status gemm_probe(struct work *work, bool *accurate);

#endif
