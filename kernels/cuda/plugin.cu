/* plugin.cu - the table, and the one symbol that leaves the plug-in. */
#include "kernels/cuda/plugin.h"

/* In the order of struct backend. */
const struct backend backend_cuda = {
    BACKEND_ABI,       sizeof(struct backend),
    CUDA_BACKEND_NAME, "cuda " CUDA_RELEASE "; " CUDA_TARGETS,
    cuda_devices,      cuda_open,
    cuda_close,        cuda_describe,
    cuda_failure,      cuda_plan,
    cuda_work_open,    cuda_work_close,
    cuda_load,         cuda_unload,
    cuda_wait,         cuda_facts,
    cuda_moments,      cuda_grid_set,
    cuda_begin,        cuda_assign,
    cuda_assigned,     cuda_labels_read,
    cuda_labels_write, cuda_sums_read,
    cuda_sums_write,   cuda_inertia,
    cuda_distances,    cuda_seed_reset,
    cuda_seed_mark,    cuda_seed_take,
    cuda_seed_largest, cuda_seed_total,
    cuda_seed_find,    cuda_seed_try,
    cuda_farthest,     cuda_gather,
    cuda_fits_plan,    cuda_fits,
};

extern "C" __attribute__((visibility("default"))) const struct backend *bary_plugin(uint32_t abi);

const struct backend *bary_plugin(uint32_t abi)
{
    return abi == BACKEND_ABI ? &backend_cuda : NULL;
}
