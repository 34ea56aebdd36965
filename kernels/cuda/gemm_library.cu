/* gemm_library.cu - finding cuBLASLt, once a device, when a plan first wants it. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/gemm_library.h"
#include "kernels/cuda/work.h"

/* Set by the build of the emulator, whose streams CUDA's own library does not know. */
#ifndef CUBLASLT_NAMES
#define CUBLASLT_NAMES "libcublasLt.so.13", "libcublasLt.so.12"
#endif

struct entry_point {
    const char *name;
    size_t at; /* in struct cublaslt */
};
static const struct entry_point entry_points[] = {
    {"cublasLtCreate", offsetof(struct cublaslt, create)},
    {"cublasLtDestroy", offsetof(struct cublaslt, destroy)},
    {"cublasLtMatmulDescCreate", offsetof(struct cublaslt, operation_create)},
    {"cublasLtMatmulDescSetAttribute", offsetof(struct cublaslt, operation_set)},
    {"cublasLtMatmulDescDestroy", offsetof(struct cublaslt, operation_destroy)},
    {"cublasLtMatrixLayoutCreate", offsetof(struct cublaslt, layout_create)},
    {"cublasLtMatrixLayoutDestroy", offsetof(struct cublaslt, layout_destroy)},
    {"cublasLtMatmulPreferenceCreate", offsetof(struct cublaslt, preference_create)},
    {"cublasLtMatmulPreferenceSetAttribute", offsetof(struct cublaslt, preference_set)},
    {"cublasLtMatmulPreferenceDestroy", offsetof(struct cublaslt, preference_destroy)},
    {"cublasLtMatmulAlgoGetHeuristic", offsetof(struct cublaslt, heuristic)},
    {"cublasLtMatmulAlgoConfigGetAttribute", offsetof(struct cublaslt, algorithm_get)},
    {"cublasLtMatmul", offsetof(struct cublaslt, matmul)},
};

/* BARY_CUDA_GEMM: "off", or the least columns that take this path, with any number of clusters. Another
 * word is as if it were not set: the answer is the same. */
static void thresholds_read(struct gemm_library *library)
{
    const char *text = getenv("BARY_CUDA_GEMM");
    char *end = NULL;
    long long columns = text ? strtoll(text, &end, 10) : 0;

    library->columns_least = GEMM_COLUMNS;
    library->clusters_least = GEMM_CLUSTERS;
    if (text && strcmp(text, "off") == 0)
        library->asked = true;
    if (text && end != text && *end == 0 && columns >= 1) {
        library->columns_least = columns;
        library->clusters_least = 1;
    }
}

struct gemm_library *gemm_library_new(void)
{
    struct gemm_library *library = (struct gemm_library *)calloc(1, sizeof *library);

    if (!library)
        return NULL;
    if (pthread_mutex_init(&library->lock, NULL) != 0) {
        free(library);
        return NULL;
    }
    thresholds_read(library);
    return library;
}

/* The library itself stays: what it hung up at the process's exit must stay callable. */
void gemm_library_free(struct gemm_library **library, bool alive)
{
    if (!*library)
        return;
    if ((*library)->context && alive)
        (*library)->call.destroy((*library)->context);
    pthread_mutex_destroy(&(*library)->lock);
    free(*library);
    *library = NULL;
}

static bool entry_points_find(void *handle, struct cublaslt *out)
{
    for (const struct entry_point &entry : entry_points) {
        void *symbol = dlsym(handle, entry.name);
        if (!symbol)
            return false;
        memcpy((char *)out + entry.at, &symbol, sizeof symbol);
    }
    return true;
}

/* The name "" is the plug-in itself, for one that holds its own. */
static void *library_open(const char *name)
{
    Dl_info self;

    if (*name == 0 && dladdr(entry_points, &self))
        name = self.dli_fname;
    return dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

static bool library_try(const char *name, struct cublaslt *out)
{
    void *handle = library_open(name);
    bool found = handle && entry_points_find(handle, out);

    if (handle && !found)
        dlclose(handle);
    return found;
}

/* BARY_CUBLASLT: a path, for a library that the loader does not find by its name. */
static bool library_find(struct cublaslt *out)
{
    static const char *const names[] = {CUBLASLT_NAMES};
    const char *path = getenv("BARY_CUBLASLT");

    if (path && *path)
        return library_try(path, out);
    for (const char *name : names)
        if (library_try(name, out))
            return true;
    return false;
}

static bool wanted(const struct gemm_library *library, const struct shape *shape)
{
    return shape->columns >= library->columns_least && shape->columns <= GEMM_COLUMNS_MOST &&
           shape->clusters >= library->clusters_least && shape->clusters <= GEMM_CLUSTERS_MOST &&
           shape->rows > 0;
}

bool gemm_ready(const struct device *device, const struct shape *shape)
{
    struct gemm_library *library = device->gemm;
    bool ready;

    if (!wanted(library, shape))
        return false;
    pthread_mutex_lock(&library->lock);
    if (!library->asked)
        library->usable = library_find(&library->call);
    library->asked = true;
    ready = library->usable;
    pthread_mutex_unlock(&library->lock);
    return ready;
}

void gemm_refuse(struct device *device)
{
    pthread_mutex_lock(&device->gemm->lock);
    device->gemm->usable = false;
    pthread_mutex_unlock(&device->gemm->lock);
}
