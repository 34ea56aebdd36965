/* probe.cu - what a card must do as we think it does, and how fast it is at its best.
 *
 * probe arithmetic SEED: fp64 operations of the card against the host's, bit for bit; the wrappers of
 * kernels/cuda/ptx.h on small integers; 64-bit adds in shared memory against a carry by hand.
 * probe ceilings: copy bandwidth, fp64 FMA rate, the cost of a launch, rates of atomics: what the
 * figures of the same run are divided by. A line of JSON each; exit 1 when something is wrong. */
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernels/cuda/ptx.h"

#define CHECK(call) check(call, #call)

enum { BLOCK = 256, LANES = 32, PATTERNS = 1 << 20, WORDS = 512, RUNS = 15 };

static void check(cudaError_t code, const char *call)
{
    if (code == cudaSuccess)
        return;
    std::fprintf(stderr, "probe: %s: code %d, %s\n", call, (int)code, cudaGetErrorString(code));
    std::exit(2);
}

template <class... P, class... A>
static void launch(void (*kernel)(P...), int blocks, int threads, size_t shared, A... arguments)
{
    cudaLaunchConfig_t config{};

    config.gridDim = dim3((unsigned)blocks);
    config.blockDim = dim3((unsigned)threads);
    config.dynamicSmemBytes = shared;
    CHECK(cudaLaunchKernelEx(&config, kernel, P(arguments)...));
}

template <class T>
static T *device_new(size_t count)
{
    void *memory;
    CHECK(cudaMalloc(&memory, count * sizeof(T)));
    return static_cast<T *>(memory);
}

/* ---- arithmetic ---- */

static uint64_t next(uint64_t *state) /* splitmix64 (Steele, Lea and Flood, 2014) */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct operands {
    double a, b, c;
};
struct results {
    double fma, add, product, quotient, root;
    float narrowed;
};

static __global__ void operations(const struct operands *in, int count, struct results *out)
{
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < count) {
        struct operands o = in[i];
        out[i] = {fma(o.a, o.b, o.c), o.a + o.b,       o.a * o.b,
                  o.a / o.b,          sqrt(fabs(o.a)), (float)o.a * (float)o.b};
    }
}

/* Random bits are random exponents: subnormal, huge and infinite values are all among them. */
static double any_double(uint64_t *state)
{
    uint64_t bits = next(state);
    double x;

    std::memcpy(&x, &bits, sizeof x);
    return std::isnan(x) ? 1.5 : x;
}

/* NaNs of both sides are one: their bits are not promised. */
template <class T>
static bool same(T x, T y)
{
    return std::memcmp(&x, &y, sizeof x) == 0 || (std::isnan(x) && std::isnan(y));
}

static int operations_wrong(uint64_t seed)
{
    std::vector<struct operands> in(PATTERNS);
    std::vector<struct results> out(PATTERNS);
    int wrong = 0;

    for (auto &o : in)
        o = {any_double(&seed), any_double(&seed), any_double(&seed)};
    auto *d_in = device_new<struct operands>(PATTERNS);
    auto *d_out = device_new<struct results>(PATTERNS);
    CHECK(cudaMemcpy(d_in, in.data(), in.size() * sizeof in[0], cudaMemcpyHostToDevice));
    launch(operations, PATTERNS / BLOCK, BLOCK, 0, d_in, (int)PATTERNS, d_out);
    CHECK(cudaMemcpy(out.data(), d_out, out.size() * sizeof out[0], cudaMemcpyDeviceToHost));
    for (int i = 0; i < PATTERNS; i++) {
        const struct operands &o = in[(size_t)i];
        const struct results &r = out[(size_t)i];
        volatile double sum = o.a + o.b, product = o.a * o.b, quotient = o.a / o.b;
        volatile float narrowed = (float)o.a * (float)o.b;
        wrong += !(same(r.fma, std::fma(o.a, o.b, o.c)) && same(r.add, (double)sum) &&
                   same(r.product, (double)product) && same(r.quotient, (double)quotient) &&
                   same(r.root, std::sqrt(std::fabs(o.a))) && same(r.narrowed, (float)narrowed));
    }
    cudaFree(d_in);
    cudaFree(d_out);
    return wrong;
}

struct ring {
    alignas(16) uint32_t word[2][WORDS];
};

/* Two stages of asynchronous copies; a thread reads what another one asked for. */
static __global__ void copies(const uint32_t *in, int stages, uint32_t *out)
{
    auto &s = *block_shared<struct ring>();
    int at = (int)threadIdx.x * 4;
    uint32_t sum = 0;

    cp_async16(&s.word[0][at], in + at);
    cp_async_commit();
    for (int stage = 0; stage < stages; stage++) {
        bool more = stage + 1 < stages;
        cp_async16_or_zero(&s.word[(stage + 1) & 1][at], in + (more ? (stage + 1) * WORDS + at : 0),
                           more);
        cp_async_commit();
        cp_async_wait<1>();
        __syncthreads();
        sum += s.word[stage & 1][(at + 4) % WORDS];
        __syncthreads();
    }
    cp_async_wait<0>();
    out[threadIdx.x] = sum;
}

static int copies_wrong()
{
    enum { STAGES = 7, THREADS = WORDS / 4 };
    std::vector<uint32_t> in(STAGES * WORDS), out(THREADS);
    int wrong = 0;

    for (size_t i = 0; i < in.size(); i++)
        in[i] = (uint32_t)(i * 2654435761u);
    auto *d_in = device_new<uint32_t>(in.size());
    auto *d_out = device_new<uint32_t>(out.size());
    CHECK(cudaMemcpy(d_in, in.data(), in.size() * 4, cudaMemcpyHostToDevice));
    launch(copies, 1, THREADS, sizeof(struct ring), d_in, (int)STAGES, d_out);
    CHECK(cudaMemcpy(out.data(), d_out, out.size() * 4, cudaMemcpyDeviceToHost));
    for (size_t t = 0; t < THREADS; t++) {
        uint32_t want = 0;
        for (size_t stage = 0; stage < STAGES; stage++)
            want += in[stage * WORDS + (t * 4 + 4) % WORDS];
        wrong += want != out[t];
    }
    cudaFree(d_in);
    cudaFree(d_out);
    return wrong;
}

struct counters {
    unsigned long long whole[LANES];
    uint32_t low[LANES], high[LANES];
};

static __global__ void adds(const unsigned long long *in, int count, unsigned long long *out)
{
    auto &s = *block_shared<struct counters>();
    int lane = (int)threadIdx.x % LANES;

    if (threadIdx.x < LANES)
        s.whole[lane] = s.low[lane] = s.high[lane] = 0;
    __syncthreads();
    for (int i = (int)threadIdx.x; i < count; i += (int)blockDim.x) {
        int at = (int)(in[i] >> 59);
        uint32_t low = (uint32_t)in[i], before = atomicAdd(&s.low[at], low);
        atomicAdd(&s.high[at], (uint32_t)(in[i] >> 32) + (before + low < before));
        atomicAdd(&s.whole[at], in[i]);
    }
    __syncthreads();
    if (threadIdx.x < LANES) {
        out[lane] = s.whole[lane];
        out[LANES + lane] = (unsigned long long)s.high[lane] << 32 | s.low[lane];
    }
}

static int adds_wrong(uint64_t seed)
{
    enum { COUNT = 1 << 16 };
    std::vector<unsigned long long> in(COUNT), out(2 * LANES), want(LANES);
    int wrong = 0;

    for (auto &x : in) {
        x = next(&seed);
        want[x >> 59] += x;
    }
    auto *d_in = device_new<unsigned long long>(COUNT);
    auto *d_out = device_new<unsigned long long>(2 * LANES);
    CHECK(cudaMemcpy(d_in, in.data(), COUNT * 8, cudaMemcpyHostToDevice));
    launch(adds, 1, BLOCK, sizeof(struct counters), d_in, (int)COUNT, d_out);
    CHECK(cudaMemcpy(out.data(), d_out, 2 * LANES * 8, cudaMemcpyDeviceToHost));
    for (size_t lane = 0; lane < LANES; lane++)
        wrong += out[lane] != want[lane] || out[LANES + lane] != want[lane];
    cudaFree(d_in);
    cudaFree(d_out);
    return wrong;
}

static int arithmetic(uint64_t seed)
{
    int operations = operations_wrong(seed), copied = copies_wrong(), added = adds_wrong(seed);

    std::printf("{\"probe\": \"arithmetic\", \"patterns\": %d, \"operations_wrong\": %d, "
                "\"copies_wrong\": %d, \"adds_wrong\": %d}\n",
                (int)PATTERNS, operations, copied, added);
    return operations + copied + added != 0;
}

/* ---- ceilings ---- */

static __global__ void stream(const double2 *in, double2 *out, int64_t count)
{
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step)
        out[i] = in[i];
}

/* Eight chains a thread hide the latency of one. */
static __global__ void chains(double *out, int rounds)
{
    double x[8], t = 1e-9 * (double)threadIdx.x;

    for (int i = 0; i < 8; i++)
        x[i] = (double)i;
    for (int r = 0; r < rounds; r++)
        for (int i = 0; i < 8; i++)
            x[i] = fma(x[i], 0.999, t);
    double sum = 0;
    for (int i = 0; i < 8; i++)
        sum += x[i];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

static __global__ void nothing()
{
}

static __global__ void global_adds(unsigned long long *to, int64_t count, unsigned mask)
{
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step)
        atomicAdd(&to[((unsigned)i * 2654435761u) & mask], 1ull);
}

struct table {
    unsigned long long slot[2048];
};
static __global__ void shared_adds(unsigned long long *out, int rounds)
{
    auto &s = *block_shared<struct table>();
    for (int i = (int)threadIdx.x; i < 2048; i += (int)blockDim.x)
        s.slot[i] = 0;
    __syncthreads();
    for (int r = 0; r < rounds; r++)
        atomicAdd(&s.slot[((threadIdx.x + (unsigned)r) * 2654435761u) >> 21], 1ull);
    __syncthreads();
    if (threadIdx.x == 0)
        out[blockIdx.x] = s.slot[blockIdx.x & 2047];
}

/* The least of RUNS times between two events, in milliseconds. */
template <class F>
static double least_ms(F body)
{
    cudaEvent_t begun, ended;
    float least = INFINITY;

    CHECK(cudaEventCreate(&begun));
    CHECK(cudaEventCreate(&ended));
    for (int run = 0; run < RUNS; run++) {
        float ms;
        CHECK(cudaEventRecord(begun));
        body();
        CHECK(cudaEventRecord(ended));
        CHECK(cudaEventSynchronize(ended));
        CHECK(cudaEventElapsedTime(&ms, begun, ended));
        least = run > 0 && ms < least ? ms : least; /* the first run warms up */
    }
    cudaEventDestroy(begun);
    cudaEventDestroy(ended);
    return least;
}

static int ceilings()
{
    enum { CHAIN_ROUNDS = 4096, SHARED_ROUNDS = 4096, LAUNCHES = 200 };
    const int64_t values = (int64_t)1 << 27, adds = (int64_t)1 << 26; /* 2 GiB in, 2 GiB out */
    int device, processors;

    CHECK(cudaGetDevice(&device));
    CHECK(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
    auto *in = device_new<double2>((size_t)values), *out = device_new<double2>((size_t)values);
    auto *slots = device_new<unsigned long long>(1 << 20);
    CHECK(cudaMemset(in, 0x3f,
                     (size_t)values * sizeof *in)); /* not zeros: they are stored squeezed */
    CHECK(cudaMemset(slots, 0, (size_t)8 << 20));

    double copy = least_ms([=] { launch(stream, processors * 16, 512, 0, in, out, values); });
    double flops =
        least_ms([=] { launch(chains, processors * 8, 256, 0, (double *)out, (int)CHAIN_ROUNDS); });
    double launches = least_ms([] {
        for (int i = 0; i < LAUNCHES; i++)
            launch(nothing, 1, 32, 0);
    });
    double spread =
        least_ms([=] { launch(global_adds, processors * 8, 256, 0, slots, adds, (1u << 20) - 1); });
    double few = least_ms([=] { launch(global_adds, processors * 8, 256, 0, slots, adds, 63u); });
    double shared = least_ms([=] {
        launch(shared_adds, processors * 4, 512, sizeof(struct table), slots, (int)SHARED_ROUNDS);
    });

    std::printf("{\"probe\": \"ceilings\", \"copy_gb_s\": %.1f, \"fp64_gfma_s\": %.1f, "
                "\"launch_us\": %.3f, "
                "\"global_adds_g_s\": %.3f, \"global_adds_64_slots_g_s\": %.3f, "
                "\"shared_adds_g_s\": %.3f}\n",
                (double)values * 32 / copy * 1e-6,
                (double)processors * 8 * 256 * 8 * CHAIN_ROUNDS / flops * 1e-6,
                launches * 1e3 / LAUNCHES, (double)adds / spread * 1e-6, (double)adds / few * 1e-6,
                (double)processors * 4 * 512 * SHARED_ROUNDS / shared * 1e-6);
    cudaFree(in);
    cudaFree(out);
    cudaFree(slots);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && std::strcmp(argv[1], "arithmetic") == 0)
        return arithmetic(std::strtoull(argv[2], nullptr, 0));
    if (argc == 2 && std::strcmp(argv[1], "ceilings") == 0)
        return ceilings();
    std::fprintf(stderr, "usage: probe arithmetic SEED | probe ceilings\n");
    return 2;
}
