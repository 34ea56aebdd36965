/* check_collectives.cu - barriers, shuffles, votes, matches and reductions give what CUDA's do. */
#include <cuda_runtime.h>

#include <stdint.h>

#include "kernels/cuda/ptx.h"
#include "tests/check.h"
#include "tests/cuemu/sample.h"

enum { FULL = -1, LANES = 32, THREADS = 96 };

/* What a lane brings: neither sorted nor symmetric. */
static __device__ unsigned brought(unsigned lane)
{
    return (lane * 2654435761u) ^ (lane << 7);
}

template <class T>
struct shuffled {
    T index, up, down, with;
};
template <class T>
static __global__ void shuffle_kernel(struct shuffled<T> *out, int by, int width)
{
    unsigned lane = threadIdx.x % LANES;
    T value = (T)brought(lane);
    out[threadIdx.x].index = __shfl_sync(FULL, value, by, width);
    out[threadIdx.x].up = __shfl_up_sync(FULL, value, (unsigned)by, width);
    out[threadIdx.x].down = __shfl_down_sync(FULL, value, (unsigned)by, width);
    out[threadIdx.x].with = __shfl_xor_sync(FULL, value, by, width);
}

/* By the words of the CUDA C++ programming guide, written apart from the emulator's. */
template <class T>
static void check_shuffle(struct check *check, const struct shuffled<T> *got, int by, int width)
{
    for (int i = 0; i < THREADS; i++) {
        int lane = i % LANES, place = lane % width, section = lane - place;
        int up = place >= by ? lane - by : lane, down = place + by < width ? lane + by : lane;
        int with = (lane ^ by) < section + width ? lane ^ by : lane;
        check_note(check, "lane=%d by=%d width=%d bytes=%zu", lane, by, width, sizeof(T));
        check_true(check, got[i].index == (T)brought((unsigned)(section + by % width)));
        check_true(check, got[i].up == (T)brought((unsigned)up));
        check_true(check, got[i].down == (T)brought((unsigned)down));
        check_true(check, got[i].with == (T)brought((unsigned)with));
    }
}

template <class T>
static void shuffle_all(struct check *check)
{
    cudaStream_t stream = sample_stream();
    for (int width = 1; width <= LANES; width *= 2)
        for (int by = 0; by < LANES; by += by < 4 ? 1 : 7) {
            struct sample<struct shuffled<T>> out(stream, THREADS);
            sample_launch(stream, 1, THREADS, 0, shuffle_kernel<T>, out.device, by, width);
            out.down();
            check_shuffle(check, out.host, by, width);
        }
    must(cudaStreamDestroy(stream));
}
static void shuffles_move_values_of_32_and_64_bits(struct check *check)
{
    shuffle_all<unsigned>(check);
    shuffle_all<unsigned long long>(check);
    shuffle_all<double>(check);
    shuffle_all<float>(check);
}

/* What a warp's votes, matches and reductions give each lane. */
struct voted {
    unsigned ballot, match, match_wide, all_same, add, least, most, conjunction, disjunction,
        parity;
    int any, all, all_of_all, same, add_int, least_int, most_int;
};
static __device__ int signed_value(unsigned lane)
{
    return (int)brought(lane) / 3;
}
static __global__ void vote_kernel(struct voted *out)
{
    unsigned lane = threadIdx.x % LANES, value = brought(lane);
    struct voted &mine = out[threadIdx.x];
    mine.ballot = __ballot_sync(FULL, lane % 3 == 0);
    mine.any = __any_sync(FULL, lane == 7);
    mine.all = __all_sync(FULL, lane != 7);
    mine.all_of_all = __all_sync(FULL, 1);
    mine.match = __match_any_sync(FULL, lane % 5);
    mine.match_wide = __match_any_sync(FULL, (unsigned long long)(lane % 3) << 40);
    mine.all_same = __match_all_sync(FULL, lane / 32, &mine.same);
    mine.add = __reduce_add_sync(FULL, value);
    mine.least = __reduce_min_sync(FULL, value);
    mine.most = __reduce_max_sync(FULL, value);
    mine.conjunction = __reduce_and_sync(FULL, value | 3u);
    mine.disjunction = __reduce_or_sync(FULL, value & ~3u);
    mine.parity = __reduce_xor_sync(FULL, value);
    mine.add_int = __reduce_add_sync(FULL, signed_value(lane));
    mine.least_int = __reduce_min_sync(FULL, signed_value(lane));
    mine.most_int = __reduce_max_sync(FULL, signed_value(lane));
}
static struct voted vote_expected()
{
    struct voted want = {};
    want.least = want.conjunction = ~0u;
    want.least_int = INT32_MAX;
    want.most_int = INT32_MIN;
    for (unsigned lane = 0; lane < LANES; lane++) {
        unsigned value = brought(lane);
        int number = signed_value(lane);
        want.add += value;
        want.least = value < want.least ? value : want.least;
        want.most = value > want.most ? value : want.most;
        want.conjunction &= value | 3u;
        want.disjunction |= value & ~3u;
        want.parity ^= value;
        want.add_int = (int)((unsigned)want.add_int + (unsigned)number);
        want.least_int = number < want.least_int ? number : want.least_int;
        want.most_int = number > want.most_int ? number : want.most_int;
    }
    return want;
}
static void votes_and_reductions_fold_all_lanes(struct check *check)
{
    cudaStream_t stream = sample_stream();
    {
        struct sample<struct voted> out(stream, THREADS);
        struct voted want = vote_expected();
        sample_launch(stream, 1, THREADS, 0, vote_kernel, out.device);
        out.down();
        for (unsigned i = 0; i < THREADS; i++) {
            const struct voted *got = &out.host[i];
            check_note(check, "thread=%u", i);
            check_equal_u64(check, got->ballot, 0x49249249u);
            check_true(check, got->any && !got->all && got->all_of_all && got->same);
            check_equal_u64(check, got->all_same, 0xffffffffu);
            check_equal_u64(check, got->match, (0x42108421u << i % LANES % 5) & 0xffffffffu);
            check_equal_u64(check, got->match_wide, (0x49249249u << i % LANES % 3) & 0xffffffffu);
            check_equal_u64(check, got->add, want.add);
            check_equal_u64(check, got->least, want.least);
            check_equal_u64(check, got->most, want.most);
            check_equal_u64(check, got->conjunction, want.conjunction);
            check_equal_u64(check, got->disjunction, want.disjunction);
            check_equal_u64(check, got->parity, want.parity);
            check_equal_i64(check, got->add_int, want.add_int);
            check_equal_i64(check, got->least_int, want.least_int);
            check_equal_i64(check, got->most_int, want.most_int);
        }
    }
    must(cudaStreamDestroy(stream));
}

/* Halves of a warp go their own ways. */
static __global__ void halves_kernel(unsigned *out)
{
    unsigned lane = threadIdx.x % LANES, mask = lane < 16 ? 0x0000ffffu : 0xffff0000u;
    if (lane < 16)
        out[threadIdx.x] = __reduce_add_sync(mask, 1u) + __shfl_sync(mask, lane, 3);
    else
        out[threadIdx.x] = __reduce_max_sync(mask, lane) + __shfl_xor_sync(mask, lane, 1);
    __syncwarp();
}
static void a_mask_names_who_takes_part(struct check *check)
{
    cudaStream_t stream = sample_stream();
    {
        struct sample<unsigned> out(stream, THREADS);
        sample_launch(stream, 1, THREADS, 0, halves_kernel, out.device);
        out.down();
        for (unsigned i = 0; i < THREADS; i++)
            check_equal_u64(check, out.host[i], i % LANES < 16 ? 16 + 3 : 31 + (i % LANES ^ 1u));
    }
    must(cudaStreamDestroy(stream));
}

struct folded {
    int count, any, none, all, some;
    uint3 thread, block;
};
static __global__ void barrier_kernel(struct folded *out)
{
    unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    unsigned block = blockIdx.x + gridDim.x * blockIdx.y;
    unsigned threads = blockDim.x * blockDim.y * blockDim.z;
    struct folded &mine = out[block * threads + thread];
    mine.count = __syncthreads_count(thread % 3 == 0);
    mine.any = __syncthreads_or(thread == 5);
    mine.none = __syncthreads_or(thread > threads);
    mine.all = __syncthreads_and(2);
    mine.some = __syncthreads_and(thread != 5);
    mine.thread = threadIdx;
    mine.block = blockIdx;
}
static void barriers_fold_predicates_of_a_block(struct check *check)
{
    cudaStream_t stream = sample_stream();
    {
        struct sample<struct folded> out(stream, THREADS * 6);
        cudaLaunchConfig_t config = {};
        config.gridDim = dim3(3, 2);
        config.blockDim = dim3(8, 6, 2);
        config.stream = stream;
        must(cudaLaunchKernelEx(&config, barrier_kernel, out.device));
        out.down();
        for (unsigned i = 0; i < THREADS * 6; i++) {
            const struct folded *got = &out.host[i];
            unsigned thread = i % THREADS, block = i / THREADS;
            check_note(check, "block=%u thread=%u", block, thread);
            check_equal_i64(check, got->count, THREADS / 3);
            check_true(check, got->any && !got->none && got->all && !got->some);
            check_true(check, got->thread.x == thread % 8 && got->thread.y == thread / 8 % 6 &&
                                  got->thread.z == thread / 48);
            check_true(check, got->block.x == block % 3 && got->block.y == block / 3);
        }
    }
    must(cudaStreamDestroy(stream));
}

/* Fresh shared memory, as a kernel finds it. */
struct shared_words {
    unsigned word[40];
};
static __global__ void fresh_kernel(unsigned *out)
{
    struct shared_words &words = *block_shared<struct shared_words>();
    for (unsigned i = threadIdx.x; i < 40; i += LANES)
        out[blockIdx.x * 40 + i] = words.word[i];
    __syncthreads();
    words.word[threadIdx.x] = 7; /* the next block must not find it */
}
static void fresh_memory_is_poison(struct check *check)
{
    cudaStream_t stream = sample_stream();
    {
        struct sample<unsigned> out(stream, 4 * 40), untouched(stream, 3);
        sample_launch(stream, 4, LANES, sizeof(struct shared_words), fresh_kernel, out.device);
        out.down();
        for (unsigned i = 0; i < 4 * 40; i++)
            check_equal_u64(check, out.host[i], 0xffffffffu);
        untouched.down();
        for (unsigned i = 0; i < 3; i++)
            check_equal_u64(check, untouched.host[i], 0xffffffffu);
    }
    must(cudaStreamDestroy(stream));
}

/* Thread i fetches piece i; where not `valid` there come zeros. The target is NaN until the wait. */
struct fetched {
    uint4 piece[LANES];
};
static __global__ void fetch_kernel(const uint4 *from, uint4 *early, uint4 *late)
{
    struct fetched &fetched = *block_shared<struct fetched>();
    unsigned i = threadIdx.x;
    cp_async16_or_zero(&fetched.piece[i], from + i, i % 2 == 0);
    cp_async_commit();
    cp_async_commit(); /* an empty group */
    early[i] = fetched.piece[i];
    cp_async_wait<1>();
    late[i] = fetched.piece[i];
    cp_async_wait<0>();
}
static void asynchronous_copies_arrive_at_the_wait(struct check *check)
{
    cudaStream_t stream = sample_stream();
    {
        struct sample<uint4> from(stream, LANES), early(stream, LANES), late(stream, LANES);
        for (unsigned i = 0; i < LANES; i++)
            from.host[i] = {i, i + 1, i + 2, i + 3};
        from.up();
        sample_launch(stream, 1, LANES, sizeof(struct fetched), fetch_kernel, from.device,
                      early.device, late.device);
        early.down();
        late.down();
        for (unsigned i = 0; i < LANES; i++) {
            check_equal_u64(check, early.host[i].x & early.host[i].w, 0xffffffffu);
            check_equal_u64(check, late.host[i].x, i % 2 == 0 ? i : 0);
            check_equal_u64(check, late.host[i].w, i % 2 == 0 ? i + 3 : 0);
        }
    }
    must(cudaStreamDestroy(stream));
}

CHECKS(CLAIM(shuffles_move_values_of_32_and_64_bits), CLAIM(votes_and_reductions_fold_all_lanes),
       CLAIM(a_mask_names_who_takes_part), CLAIM(barriers_fold_predicates_of_a_block),
       CLAIM(fresh_memory_is_poison), CLAIM(asynchronous_copies_arrive_at_the_wait))
