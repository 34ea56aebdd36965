/* check_found.cu - what the emulator calls a bug ends the process with a sentence that names it. */
#include <cuda_runtime.h>

#include <sys/wait.h>
#include <unistd.h>

#include "kernels/cuda/ptx.h"
#include "tests/check.h"
#include "tests/cuemu/sample.h"

enum { FULL = -1 };
struct block_words {
    unsigned word[64];
};

/* ---- kernels, each with one bug ---- */

static __global__ void not_in_mask_kernel()
{
    __syncwarp(threadIdx.x == 0 ? 0xfffffffeu : 0xffffffffu);
}
static __global__ void lanes_apart_kernel()
{
    if (threadIdx.x == 3)
        __syncwarp();
    else
        __syncwarp();
}
static __global__ void other_collective_kernel()
{
    unsigned value = threadIdx.x;
    value % 2 ? __ballot_sync(FULL, 1) : __reduce_add_sync(FULL, value);
}
static __global__ void returned_kernel()
{
    if (threadIdx.x == 31)
        return;
    __shfl_sync(FULL, threadIdx.x, 0);
}
static __global__ void outside_mask_kernel()
{
    if (threadIdx.x < 8)
        __shfl_sync(0xffu, threadIdx.x, 9);
}
static __global__ void barriers_apart_kernel()
{
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
}
/* Eight lanes wait for lanes that wait for all. */
static __global__ void deadlock_kernel()
{
    if (threadIdx.x >= 32 && threadIdx.x < 40)
        __syncwarp(0xffffu);
    else
        __syncthreads();
}
static __global__ void too_large_kernel()
{
    block_shared<struct block_words>()->word[0] = 1;
}
static __global__ void misaligned_copy_kernel(const char *from)
{
    cp_async16(block_shared<struct block_words>(), from + 8);
}
static __global__ void copy_left_kernel(const char *from)
{
    cp_async16(block_shared<struct block_words>(), from);
    cp_async_commit();
}
static __global__ void misaligned_atomic_kernel(char *at)
{
    atomicAdd(reinterpret_cast<unsigned *>(at + 2), 1u);
}
static __global__ void beyond_kernel(unsigned *at, int by)
{
    volatile unsigned *beyond = at + by;
    if (threadIdx.x == 0)
        *beyond = 1;
}
static __global__ void beyond_shared_kernel(int by)
{
    volatile unsigned *word = block_shared<struct block_words>()->word + by;
    if (threadIdx.x == 0)
        *word = 1;
}

/* ---- cases: they run in a process of their own ---- */

static cudaStream_t stream;
static unsigned *memory; /* 16 words on the device */

template <class... P, class... A>
static void one_block(unsigned threads, size_t shared, void (*kernel)(P...), A... arguments)
{
    sample_launch(stream, 1, threads, shared, kernel, arguments...);
    must(cudaStreamSynchronize(stream));
}
static void launch_with(dim3 grid, dim3 block, size_t shared, cudaStream_t on)
{
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared;
    config.stream = on;
    must(cudaLaunchKernelEx(&config, too_large_kernel));
}

struct death {
    const char *name;
    void (*run)();
    int code;
    const char *says;
};
static const struct death deaths[] = {
    {"mask", [] { one_block(32, 0, not_in_mask_kernel); }, 97, "leaves out lane 0"},
    {"lanes apart", [] { one_block(32, 0, lanes_apart_kernel); }, 97,
     "different collectives: lane"},
    {"other kind", [] { one_block(32, 0, other_collective_kernel); }, 97, "different collectives"},
    {"returned", [] { one_block(32, 0, returned_kernel); }, 97, "returned"},
    {"source", [] { one_block(32, 0, outside_mask_kernel); }, 97,
     "reads lane 9, which mask 000000ff"},
    {"barriers", [] { one_block(64, 0, barriers_apart_kernel); }, 97, "__syncthreads in a branch"},
    {"shared", [] { one_block(32, 192, too_large_kernel); }, 97, "is 256 bytes of shared memory"},
    {"copy line", [] { one_block(32, 256, misaligned_copy_kernel, (const char *)memory); }, 97,
     "not aligned"},
    {"copy left", [] { one_block(32, 256, copy_left_kernel, (const char *)memory); }, 97,
     "1 asynchronous copies under way"},
    {"atomic", [] { one_block(32, 0, misaligned_atomic_kernel, (char *)memory); }, 97,
     "not aligned"},
    {"grid", [] { launch_with(0, 32, 256, stream); }, 97, "grid of 0 x 1 x 1"},
    {"block", [] { launch_with(1, 2048, 256, stream); }, 97, "2048 x 1 x 1 threads"},
    {"warp", [] { launch_with(1, 48, 256, stream); }, 97, "no multiple of 32"},
    {"48 KiB", [] { launch_with(1, 32, 50 << 10, stream); }, 97, "the kernel may have 49152"},
    {"227 KiB", [] { launch_with(1, 32, 228 << 10, stream); }, 97, "a block has 232448"},
    {"default stream", [] { launch_with(1, 32, 256, nullptr); }, 97, "stream 0"},
    {"copy beyond", [] { must(cudaMemsetAsync(memory + 8, 0, 36, stream)); }, 97,
     "36 bytes at byte 32 of a device allocation of 64"},
    {"host as device",
     [] { must(cudaMemcpyAsync(&memory, memory, 4, cudaMemcpyDeviceToDevice, stream)); }, 97,
     "is not device memory"},
    {"device as host",
     [] { must(cudaMemcpyAsync(memory, memory + 4, 4, cudaMemcpyHostToDevice, stream)); }, 97,
     "host memory is wanted"},
    {"freed twice",
     [] {
         must(cudaFree(memory));
         must(cudaFree(memory));
     },
     97, "freed before"},
    {"not zeroed",
     [] {
         sample_setting("CUEMU_ZEROED", "1");
         must(cudaFree(memory));
     },
     97, "byte 0 of an allocation of 64 bytes is not zero"},
    {"freed inside", [] { must(cudaFree(memory + 1)); }, 97, "not what an allocation gave"},
    {"waits for stream 0", [] { must(cudaStreamCreateWithFlags(&stream, cudaStreamDefault)); }, 97,
     "cudaStreamNonBlocking is wanted"},
    {"bad setting", [] { sample_setting("CUEMU_ORDER", "sideways"); }, 97, "'sideways'"},
};

/* Runs a case in a child; its exit code, and what it said into text. */
static int child_run(void (*run)(), char *text, size_t bytes)
{
    int ends[2], status = 0;
    size_t length = 0;
    ssize_t got;
    if (pipe(ends) != 0)
        exit(3);
    fflush(nullptr);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        stream = sample_stream();
        must(cudaMalloc(&memory, 64));
        run();
        _exit(0);
    }
    close(ends[1]);
    while ((got = read(ends[0], text + length, bytes - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = 0;
    close(ends[0]);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void every_found_bug_has_a_sentence(struct check *check)
{
    static char text[1 << 16];
    for (const auto &death : deaths) {
        check_note(check, "%s", death.name);
        check_equal_i64(check, child_run(death.run, text, sizeof text), death.code);
        if (!check_true(check, strstr(text, death.says)))
            printf("%s\n", text);
    }
}

static void a_deadlock_is_a_table(struct check *check)
{
    static char text[1 << 16];
    int code = child_run([] { one_block(64, 0, deadlock_kernel); }, text, sizeof text);
    check_equal_i64(check, code, 98);
    check_true(
        check,
        strstr(text, "block (0, 0, 0): 56 threads, the first of them 0, wait at __syncthreads at"));
    check_true(
        check,
        strstr(text,
               "block (0, 0, 0): 8 threads, the first of them 32, wait at a warp's collective at"));
    check_true(check, strstr(text, "with mask 0000ffff"));
}

static void writes_beyond_are_found(struct check *check)
{
    static char text[1 << 16];
    static const struct {
        void (*run)();
        const char *says;
    } rows[] = {
        {[] { one_block(32, 0, beyond_kernel, memory, 16); },
         "0 bytes behind an allocation of 64 bytes"},
        {[] { one_block(32, 0, beyond_kernel, memory, -1); },
         "4 bytes before an allocation of 64 bytes"},
        {[] { one_block(32, 256, beyond_shared_kernel, 65); },
         "4 bytes behind its 256 bytes of shared"},
    };
    for (const auto &row : rows) {
        int code = child_run(row.run, text, sizeof text);
        bool sanitizer = strstr(text, "AddressSanitizer: ");
        check_note(check, "%s", row.says);
        check_true(check, sanitizer ? code == 1 : code == 97 && strstr(text, row.says));
    }
}

CHECKS(CLAIM(every_found_bug_has_a_sentence), CLAIM(a_deadlock_is_a_table),
       CLAIM(writes_beyond_are_found))
