/* device.cu - finding the cards, opening one, and every way in which that can fail.
 *
 * Loading the plug-in touches nothing: devices is the first contact. open makes the context, loads every
 * kernel (a lazy load would strike inside a timed pass), then compares small passes of every kind with ref. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/cuda/plugin.h"
#include "kernels/selftest.h"

/* What codes mean before a device works. Any other: DRIVER_BROKEN. */
struct meaning {
    int code;
    enum device_reason reason;
    enum status status;
};
static const struct meaning meanings[] = {
    {2, REASON_NO_MEMORY, STATUS_OUT_OF_MEMORY}, {3, REASON_FORKED, STATUS_NO_DEVICE},
    {34, REASON_NO_DRIVER, STATUS_NO_DEVICE},    {35, REASON_NO_DRIVER, STATUS_NO_DEVICE},
    {46, REASON_DEVICE_BUSY, STATUS_NO_DEVICE},  {98, REASON_WRONG_ARCH, STATUS_NO_DEVICE},
    {100, REASON_NO_DEVICE, STATUS_NO_DEVICE},   {101, REASON_NO_DEVICE, STATUS_NO_DEVICE},
    {209, REASON_WRONG_ARCH, STATUS_NO_DEVICE},  {218, REASON_WRONG_ARCH, STATUS_NO_DEVICE},
    {221, REASON_WRONG_ARCH, STATUS_NO_DEVICE},  {222, REASON_WRONG_ARCH, STATUS_NO_DEVICE},
    {223, REASON_WRONG_ARCH, STATUS_NO_DEVICE}};

static struct meaning meaning_of(cudaError_t code)
{
    for (const struct meaning &known : meanings)
        if (known.code == (int)code)
            return known;
    return {(int)code, REASON_DRIVER_BROKEN, STATUS_NO_DEVICE};
}

enum status cuda_refuse(struct refusal *why, enum status status, enum device_reason reason,
                        const char *text)
{
    if (why) {
        why->reason = reason;
        snprintf(why->text, sizeof why->text, "%s", text);
    }
    return status;
}

/* 35 is what no driver and an old one both give; the driver's version tells them apart. */
static enum status driver_refused(int code, const char *words, struct refusal *why)
{
    char text[192];
    int have = 0, need = 0;

    cudaDriverGetVersion(&have);
    cudaRuntimeGetVersion(&need);
    if (code == 34 || have == 0) {
        snprintf(text, sizeof text, "no NVIDIA driver answers: code %d, %.80s", code, words);
        return cuda_refuse(why, STATUS_NO_DEVICE, REASON_NO_DRIVER, text);
    }
    snprintf(text, sizeof text, "the driver supports CUDA %d.%d, the plug-in needs %d.%d (code %d)",
             have / 1000, have % 1000 / 10, need / 1000, need % 1000 / 10, code);
    return cuda_refuse(why, STATUS_NO_DEVICE, REASON_DRIVER_TOO_OLD, text);
}

/* `call` failed before the device worked; `device`: what is known of it. */
static enum status start_refused(cudaError_t code, const char *call,
                                 const struct device_info *device, struct refusal *why)
{
    struct meaning meaning = meaning_of(code);
    const char *words = cudaGetErrorString(code);
    char text[192];

    cudaGetLastError();
    if (meaning.reason == REASON_NO_DRIVER)
        return driver_refused((int)code, words, why);
    if (meaning.reason == REASON_WRONG_ARCH)
        snprintf(text, sizeof text, "%.60s is %s, the plug-in holds %.60s (code %d)",
                 device ? device->name : "the device", device ? device->isa : "unknown",
                 CUDA_TARGETS, (int)code);
    else
        snprintf(text, sizeof text, "%.40s: code %d, %.100s", call, (int)code, words);
    return cuda_refuse(why, meaning.status, meaning.reason, text);
}

static cudaError_t info_read(int index, struct device_info *out)
{
    struct cudaDeviceProp properties;
    cudaError_t code = cudaGetDeviceProperties(&properties, index);
    struct device_info info = {};

    if (code != cudaSuccess)
        return code;
    snprintf(info.name, sizeof info.name, "%.63s", properties.name);
    snprintf(info.isa, sizeof info.isa, "sm_%d%d", properties.major, properties.minor);
    info.memory_bytes = (int64_t)properties.totalGlobalMem;
    info.free_bytes = info.memory_bytes; /* until it is open, nobody can tell without a context */
    *out = info;
    return cudaSuccess;
}

int cuda_devices(struct device_info *info, int most, struct refusal *why)
{
    int count = 0; /* a failure leaves it unwritten */
    cudaError_t code = cudaGetDeviceCount(&count);

    if (code != cudaSuccess) {
        start_refused(code, "cudaGetDeviceCount", NULL, why);
        return 0;
    }
    for (int i = 0; i < count && i < most; i++)
        if (info_read(i, &info[i]) != cudaSuccess) {
            cudaGetLastError();
            info[i] = {}; /* it is there; open says what is wrong with it */
        }
    if (count == 0)
        cuda_refuse(why, STATUS_NO_DEVICE, REASON_NO_DEVICE,
                    "the driver works and shows no device");
    return count;
}

void kernel_list_row(struct kernel_list *list, const struct kernel_row &row)
{
    assert(list->count < KERNELS_MOST);
    list->row[list->count++] = row;
}

void kernel_list_all(struct kernel_list *list)
{
    static void (*const files[])(struct kernel_list *) = {
        facts_kernels,   moments_kernels, labels_kernels,   assign_kernels,
        inertia_kernels, seed_kernels,    farthest_kernels, fits_kernels};

    list->count = 0;
    for (auto file : files)
        file(list);
}

/* The first kernel that does not load, or none. */
static cudaError_t kernels_load(const char **name)
{
    struct kernel_list list;
    struct cudaFuncAttributes attributes;
    cudaError_t code = cudaSuccess;

    kernel_list_all(&list);
    for (int i = 0; code == cudaSuccess && i < list.count; i++) {
        const struct kernel_row *row = &list.row[i];
        *name = row->name;
        code = cudaFuncGetAttributes(&attributes, row->function);
        if (code == cudaSuccess && row->shared > 48 << 10)
            code = cudaFuncSetAttribute(row->function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                        (int)row->shared);
    }
    return code;
}

/* BARY_CUDA_TILE_ROWS, or the most there may be. 0: it is no such number. */
static int64_t tile_rows_asked(struct refusal *why)
{
    const char *text = getenv("BARY_CUDA_TILE_ROWS");
    char *end, words[192];
    long long rows;

    if (!text)
        return TILE_ROWS_MOST;
    rows = strtoll(text, &end, 10);
    if (end != text && *end == 0 && rows >= 1 && rows <= TILE_ROWS_MOST)
        return rows;
    snprintf(words, sizeof words, "BARY_CUDA_TILE_ROWS is '%.60s'; it takes 1 to %d", text,
             TILE_ROWS_MOST);
    cuda_refuse(why, STATUS_UNSUPPORTED, REASON_NO_DEVICE, words);
    return 0;
}

/* Expected, not measured: two fp64 instructions a column of a pair at half the rate; to the device as fast
 * as one thread fills pinned buffers. */
static void speeds_expect(struct device *device, const struct cudaDeviceProp *properties)
{
    /* fp64 lanes of a processor: 8.0, 9.0 and 10.0 have many, 10.3 and cards for graphics few. */
    double lanes = properties->major <= 10 && properties->minor == 0 ? 64 : 2;

    device->pair_ns = 2 / (0.5 * 1.5 * lanes * properties->multiProcessorCount);
    device->byte_ns = 0.1;
    device->shared_most = (int64_t)properties->sharedMemPerBlockOptin;
}

static cudaError_t lanes_make(struct device *device)
{
    cudaError_t code = cudaStreamCreateWithFlags(&device->compute, cudaStreamNonBlocking);

    if (code == cudaSuccess)
        code = cudaStreamCreateWithFlags(&device->copy, cudaStreamNonBlocking);
    for (struct piece &piece : device->piece) {
        if (code == cudaSuccess)
            code = cudaMallocHost((void **)&piece.bytes, PIECE_BYTES);
        if (code == cudaSuccess)
            code = cudaEventCreateWithFlags(&piece.sent, cudaEventDisableTiming);
    }
    return code;
}

/* Context, kernels, queues: what fails is refused by its code. */
static enum status device_start(struct device *device, struct refusal *why)
{
    struct cudaDeviceProp properties;
    const char *kernel = "";
    char call[64];
    cudaError_t code = cudaGetDeviceProperties(&properties, device->index);

    if (code == cudaSuccess)
        code = info_read(device->index, &device->info);
    if (code != cudaSuccess)
        return start_refused(code, "cudaGetDeviceProperties", NULL, why);
    device->processors = properties.multiProcessorCount;
    speeds_expect(device, &properties);
    code = cudaSetDevice(device->index);
    if (code != cudaSuccess)
        return start_refused(code, "cudaSetDevice", &device->info, why);
    code = kernels_load(&kernel);
    snprintf(call, sizeof call, "loading %.50s", kernel);
    if (code != cudaSuccess)
        return start_refused(code, call, &device->info, why);
    code = lanes_make(device);
    return code == cudaSuccess ? STATUS_OK
                               : start_refused(code, "cudaMallocHost", &device->info, why);
}

static enum status device_prove(struct device *device, struct refusal *why)
{
    if (selftest_passes(&backend_cuda, device))
        return STATUS_OK;
    if (device->failure.reason == REASON_NONE)
        return cuda_refuse(why, STATUS_DEVICE_LOST, REASON_DEVICE_WRONG,
                           "its results differ from the reference's");
    return cuda_refuse(why, STATUS_DEVICE_LOST, device->failure.reason, device->failure.text);
}

enum status cuda_open(int index, const struct device_options *options, struct device **out,
                      struct refusal *why)
{
    struct device *device;
    enum status status = STATUS_UNSUPPORTED;
    const char *sync = getenv("BARY_CUDA_SYNC");

    (void)options; /* threads and isa are a CPU's */
    device = (struct device *)calloc(1, sizeof *device);
    if (!device)
        return cuda_refuse(why, STATUS_OUT_OF_MEMORY, REASON_NO_MEMORY, "no memory for a device");
    device->index = index;
    device->owner = getpid();
    device->gemm = gemm_library_new();
    if (!device->gemm) {
        free(device);
        return cuda_refuse(why, STATUS_OUT_OF_MEMORY, REASON_NO_MEMORY, "no memory for a device");
    }
    device->sync = sync && strcmp(sync, "0") != 0;
    device->tile_rows_most = tile_rows_asked(why);
    if (device->tile_rows_most == 0)
        goto out;
    TRY(device_start(device, why));
    TRY(device_prove(device, why));
    *out = device;
    device = NULL;
out:
    cuda_close(&device);
    return status;
}

/* Pinned memory held the user's rows: zeros, then back. */
static void lanes_end(struct device *device)
{
    for (struct piece &piece : device->piece) {
        if (piece.busy)
            cudaEventSynchronize(piece.sent); /* else a copy would bring zeros */
        if (piece.sent)
            cudaEventDestroy(piece.sent);
        if (piece.bytes) {
            memset(piece.bytes, 0, PIECE_BYTES);
            cudaFreeHost(piece.bytes);
        }
    }
    if (device->compute)
        cudaStreamDestroy(device->compute);
    if (device->copy)
        cudaStreamDestroy(device->copy);
    cudaGetLastError();
}

void cuda_close(struct device **device)
{
    bool alive;

    if (!device || !*device)
        return;
    alive = device_leave(*device) == STATUS_OK;
    gemm_library_free(&(*device)->gemm, alive);
    if (alive)
        lanes_end(*device);
    free(*device);
    *device = NULL;
}

void cuda_describe(const struct device *device, struct device_info *out)
{
    size_t free_bytes = 0, whole = 0;

    *out = device->info;
    if (device->failure.reason == REASON_NONE && device->owner == getpid() &&
        cudaSetDevice(device->index) == cudaSuccess &&
        cudaMemGetInfo(&free_bytes, &whole) == cudaSuccess)
        out->free_bytes = (int64_t)free_bytes;
}
