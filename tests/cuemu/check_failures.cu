/* check_failures.cu - a driver's states and a device's failures, played on purpose. */
#include <cuda_runtime.h>

#include <pthread.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/cuemu/sample.h"

static __global__ void count_kernel(unsigned *out)
{
    atomicAdd(out, 1u);
}

/* What the calls of a plug-in's start answer, in their order; -1: not called. */
struct answers {
    int version, count, devices, set, memory, function, stream;
};
static struct answers answers_under(const char *driver)
{
    struct answers got = {-1, -1, -1, -1, -1, -1, -1};
    cudaFuncAttributes attributes;
    size_t free_bytes, total;
    cudaStream_t stream;

    sample_setting("CUEMU_DRIVER", driver);
    must(cudaDriverGetVersion(&got.version));
    got.devices = 77; /* on failure it stays */
    got.count = cudaGetDeviceCount(&got.devices);
    got.set = cudaSetDevice(0);
    got.memory = cudaMemGetInfo(&free_bytes, &total);
    got.function = cudaFuncGetAttributes(&attributes, count_kernel);
    got.stream = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    if (got.stream == cudaSuccess)
        must(cudaStreamDestroy(stream));
    sample_setting("CUEMU_DRIVER", NULL);
    return got;
}
static void a_driver_is_missing_old_broken_or_busy(struct check *check)
{
    static const struct {
        const char *driver;
        struct answers want;
    } rows[] = {
        {"fine", {13000, 0, 1, 0, 0, 0, 0}},
        {"none", {0, 35, 77, 35, 35, 35, 35}},
        {"stub", {0, 34, 77, 34, 34, 34, 34}},
        {"old", {11040, 35, 77, 35, 35, 35, 35}},
        {"broken", {13000, 803, 77, 803, 803, 803, 803}},
        {"broken:802", {13000, 802, 77, 802, 802, 802, 802}},
        {"no_device", {13000, 100, 77, 100, 100, 100, 100}},
        {"busy", {13000, 0, 1, 46, 46, 46, 46}},
        {"wrong_arch", {13000, 0, 1, 0, 0, 209, 0}},
        {"wrong_arch:222", {13000, 0, 1, 0, 0, 222, 0}},
    };
    for (const auto &row : rows) {
        struct answers got = answers_under(row.driver);
        check_note(check, "CUEMU_DRIVER=%s", row.driver);
        check_equal_bytes(check, &got, &row.want, sizeof got);
    }
}

static void a_device_is_what_the_environment_says(struct check *check)
{
    struct cudaDeviceProp about;
    size_t free_bytes, total;
    int devices, processors;
    void *memory;

    setenv("CUEMU_DEVICES", "3", 1);
    setenv("CUEMU_NAME", "a card", 1);
    setenv("CUEMU_PROCESSORS", "5", 1);
    setenv("CUEMU_ARCH", "103", 1);
    sample_setting("CUEMU_MEMORY", "100000");
    must(cudaGetDeviceCount(&devices));
    check_equal_i64(check, devices, 3);
    check_equal_i64(check, cudaSetDevice(3), cudaErrorInvalidDevice);
    check_equal_i64(check, cudaGetLastError(), cudaErrorInvalidDevice);
    check_equal_i64(check, cudaGetLastError(), cudaSuccess);
    must(cudaSetDevice(2));
    must(cudaGetDeviceProperties(&about, 2));
    check_equal_text(check, about.name, "a card");
    check_true(check, about.major == 10 && about.minor == 3 && about.totalGlobalMem == 100000);
    must(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 2));
    check_equal_i64(check, processors, 5);
    must(cudaMalloc(&memory, 60000));
    must(cudaMemGetInfo(&free_bytes, &total));
    check_true(check, total == 100000 && free_bytes <= 40000 && free_bytes > 39000);
    void *second = memory;
    check_equal_i64(check, cudaMalloc(&second, 50000), cudaErrorMemoryAllocation);
    check_true(check, second == NULL);
    must(cudaSetDevice(1)); /* each has its own memory */
    must(cudaMalloc(&second, 50000));
    must(cudaFree(second));
    must(cudaFree(memory));
    must(cudaMemGetInfo(&free_bytes, &total));
    check_equal_u64(check, free_bytes, 100000);
    must(cudaSetDevice(0));
    unsetenv("CUEMU_DEVICES");
    unsetenv("CUEMU_NAME");
    unsetenv("CUEMU_PROCESSORS");
    unsetenv("CUEMU_ARCH");
    sample_setting("CUEMU_MEMORY", NULL);
}

/* Launches and waits a few times; the code of each launch and of each wait, 0 to 3. */
struct run {
    int launch[3], wait[3];
    unsigned counted;
};
static struct run run_under(const char *fail)
{
    cudaStream_t stream = sample_stream();
    struct run got = {};
    {
        struct sample<unsigned> count(stream, 1);
        count.up();
        must(cudaStreamSynchronize(stream));
        sample_setting("CUEMU_FAIL", fail);
        for (int i = 0; i < 3; i++) {
            cudaLaunchConfig_t config = {};
            config.blockDim = dim3(32);
            config.stream = stream;
            got.launch[i] = cudaLaunchKernelEx(&config, count_kernel, count.device);
            got.wait[i] = cudaStreamSynchronize(stream);
        }
        sample_setting("CUEMU_FAIL", NULL);
        count.down();
        got.counted = *count.host;
    }
    must(cudaStreamDestroy(stream));
    return got;
}
static void a_call_fails_at_its_turn(struct check *check)
{
    static const struct {
        const char *fail;
        struct run want;
    } rows[] = {
        {NULL, {{0, 0, 0}, {0, 0, 0}, 96}},
        /* a code that does no harm: this call alone, and its launch is not done */
        {"launch:2:701", {{0, 701, 0}, {0, 0, 0}, 64}},
        {"sync:2:2", {{0, 0, 0}, {0, 2, 0}, 96}},
        {"any:3:9,any:5:1", {{0, 9, 1}, {0, 0, 0}, 32}},
        /* a sticky one shows behind the launch, and stays */
        {"launch:2:719", {{0, 0, 719}, {0, 719, 719}, 32}},
        {"sync:1:700", {{0, 700, 700}, {700, 700, 700}, 32}},
        {"launch:3:12345", {{0, 0, 0}, {0, 0, 12345}, 64}},
    };
    for (const auto &row : rows) {
        struct run got = run_under(row.fail);
        check_note(check, "CUEMU_FAIL=%s", row.fail ? row.fail : "");
        check_equal_bytes(check, &got, &row.want, sizeof got);
    }
}
static void every_call_answers_a_dead_device(struct check *check)
{
    cudaStream_t stream = sample_stream(), second;
    cudaEvent_t event;
    void *memory = NULL;
    size_t free_bytes, total;

    sample_setting("CUEMU_FAIL", "sync:1:999");
    must(cudaEventCreate(&event));
    check_equal_i64(check, cudaStreamSynchronize(stream), 999);
    check_equal_i64(check, cudaMalloc(&memory, 8), 999);
    check_equal_i64(check, cudaHostAlloc(&memory, 8, 0), 999);
    check_equal_i64(check, cudaEventRecord(event, stream), 999);
    check_equal_i64(check, cudaEventQuery(event), 999);
    check_equal_i64(check, cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking), 999);
    check_equal_i64(check, cudaMemGetInfo(&free_bytes, &total), 999);
    check_equal_i64(check, cudaGetLastError(), 999);
    check_equal_i64(check, cudaGetLastError(), 999);
    check_equal_text(check, cudaGetErrorName(cudaErrorUnknown), "cudaErrorUnknown");
    check_equal_text(check, cudaGetErrorString(cudaErrorIllegalAddress),
                     "an illegal memory access was encountered");
    sample_setting("CUEMU_FAIL", NULL);
    must(cudaEventDestroy(event));
    must(cudaStreamDestroy(stream));
}

static void a_wrong_device_spoils_one_bit(struct check *check)
{
    cudaStream_t stream = sample_stream();
    for (int wrong = 0; wrong <= 2; wrong++) {
        struct sample<unsigned> count(stream, 1);
        sample_setting("CUEMU_WRONG", wrong == 0 ? NULL : wrong == 1 ? "2" : "2+");
        count.up();
        for (int i = 0; i < 4; i++)
            sample_launch(stream, 1, 32, 0, count_kernel, count.device);
        count.down();
        check_note(check, "wrong=%d", wrong);
        check_equal_i64(check, *count.host == 128, wrong == 0);
        if (wrong == 1) /* one bit of a byte that the launch changed, and 32 a launch after it */
            check_equal_u64(check, *count.host, 128 + 1);
    }
    sample_setting("CUEMU_WRONG", NULL);
    must(cudaStreamDestroy(stream));
}

/* A wait that hangs leaves the others to go on; one that hangs for a while ends. */
static void *wait_for_ever(void *stream)
{
    cudaStreamSynchronize((cudaStream_t)stream);
    return NULL;
}
static void a_wait_hangs(struct check *check)
{
    cudaStream_t stream = sample_stream();
    pthread_t thread;
    cudaEvent_t event;
    void *memory;

    must(cudaEventCreate(&event));
    must(cudaEventRecord(event, stream));
    sample_setting("CUEMU_HANG", "1:20");
    must(cudaStreamSynchronize(stream));
    must(cudaEventQuery(event));
    sample_setting("CUEMU_HANG", "1");
    check_equal_i64(check, pthread_create(&thread, NULL, wait_for_ever, stream), 0);
    pthread_detach(thread);
    while (cudaEventQuery(event) == cudaSuccess) /* until it hangs */
        usleep(1000);
    check_equal_i64(check, cudaEventQuery(event), cudaErrorNotReady);
    must(cudaMalloc(&memory, 16));
    sample_setting("CUEMU_HANG", NULL);
    must(cudaFree(memory));
    must(cudaEventDestroy(event));
}

CHECKS(CLAIM(a_driver_is_missing_old_broken_or_busy), CLAIM(a_device_is_what_the_environment_says),
       CLAIM(a_call_fails_at_its_turn), CLAIM(every_call_answers_a_dead_device),
       CLAIM(a_wrong_device_spoils_one_bit), CLAIM(a_wait_hangs))
