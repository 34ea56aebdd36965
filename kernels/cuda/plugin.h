/* plugin.h - what of the plug-in its own files share beside works: the table, the kernels, refusals. */
#ifndef BARY_KERNELS_CUDA_PLUGIN_H
#define BARY_KERNELS_CUDA_PLUGIN_H

#include "kernels/cuda/work.h"

/* Set by the build: CUDA's release, architectures of the machine code and PTX in the plug-in, its name. */
#ifndef CUDA_RELEASE
#define CUDA_RELEASE "emulated"
#endif
#ifndef CUDA_TARGETS
#define CUDA_TARGETS "no machine code"
#endif
#ifndef CUDA_BACKEND_NAME
#define CUDA_BACKEND_NAME "cuda"
#endif

extern const struct backend backend_cuda;

/* Every kernel of the plug-in. */
void kernel_list_all(struct kernel_list *list);

/* Fills *why (NULL: nobody asks) and returns the status. */
enum status cuda_refuse(struct refusal *why, enum status status, enum device_reason reason,
                        const char *text);

#endif
