/* inertia.h - what assign's neighbors need of a tile's slot. */
#ifndef BARY_KERNELS_CUDA_INERTIA_H
#define BARY_KERNELS_CUDA_INERTIA_H

#include "kernels/cuda/work.h"

int64_t inertia_slot_bytes(const struct shape *shape);   /* inertia.cu */
int64_t distances_slot_bytes(const struct shape *shape); /* distances.cu */
void distances_kernels(struct kernel_list *list);

#endif
