/* warp.h - barriers, fences, shuffles, votes, matches and reductions. */
#ifndef BARY_TESTS_CUEMU_WARP_H
#define BARY_TESTS_CUEMU_WARP_H

#include <type_traits>

#include "tests/cuemu/cuemu.h"

static inline void __syncthreads(CUEMU_HERE)
{
    cuemu::block_barrier(0, cuemu::FOLD_OR, here);
}
static inline int __syncthreads_or(int predicate, CUEMU_HERE)
{
    return cuemu::block_barrier(predicate, cuemu::FOLD_OR, here);
}
static inline int __syncthreads_and(int predicate, CUEMU_HERE)
{
    return cuemu::block_barrier(predicate, cuemu::FOLD_AND, here);
}
static inline int __syncthreads_count(int predicate, CUEMU_HERE)
{
    return cuemu::block_barrier(predicate, cuemu::FOLD_COUNT, here);
}
static inline void __syncwarp(unsigned mask = ~0u, CUEMU_HERE)
{
    cuemu::warp_collective(mask, nullptr, nullptr, true, here);
}
static inline void __threadfence()
{
    cuemu::fence_device();
}
static inline void __threadfence_system()
{
    cuemu::fence_device();
}
static inline void __threadfence_block()
{
    cuemu::fence_block();
}

namespace cuemu
{

enum direction { SHUFFLE_INDEX, SHUFFLE_UP, SHUFFLE_DOWN, SHUFFLE_XOR };

template <class T>
struct shuffle_operand {
    T value, result;
    int argument, width;
};

/* The lane that `lane` reads; itself where the source lies outside its section. */
static inline CUEMU_UNSEEN int shuffle_source(enum direction direction, int lane, int argument,
                                              int width)
{
    int first = lane & ~(width - 1), end = first + width;
    if (direction == SHUFFLE_INDEX)
        return first + (argument & (width - 1));
    int source = direction == SHUFFLE_UP     ? lane - argument
                 : direction == SHUFFLE_DOWN ? lane + argument
                                             : (lane ^ argument);
    bool outside = direction == SHUFFLE_UP ? source < first : source >= end;
    return outside ? lane : source;
}

template <class T, enum direction DIRECTION>
CUEMU_UNSEEN void shuffle_run(void *const *lane, unsigned mask)
{
    for (int i = 0; i < 32; i++) {
        if (!(mask >> i & 1))
            continue;
        auto *mine = static_cast<struct shuffle_operand<T> *>(lane[i]);
        int source = shuffle_source(DIRECTION, i, mine->argument, mine->width);
        if (!(mask >> source & 1))
            found("shuffle: lane %d reads lane %d, which mask %08x leaves out", i, source, mask);
        mine->result = static_cast<struct shuffle_operand<T> *>(lane[source])->value;
    }
}

template <enum direction DIRECTION, class T>
CUEMU_UNSEEN T shuffle(unsigned mask, T value, int argument, int width, place here)
{
    static_assert(std::is_arithmetic<T>::value && (sizeof(T) == 4 || sizeof(T) == 8),
                  "CUDA shuffles values of 32 or 64 bits");
    if (width < 1 || width > 32 || (width & (width - 1)) != 0)
        found("%s:%d: shuffle: width %d is no power of two up to 32", here.file, here.line, width);
    struct shuffle_operand<T> operand = {
        value, value, argument, width
    };
    warp_collective(mask, &operand, shuffle_run<T, DIRECTION>, false, here);
    return operand.result;
}

/* Values of all lanes folded for each: what votes, matches and reductions share. */
struct vote_operand {
    uint64_t value, result;
};
using vote_fold = uint64_t (*)(void *const *lane, unsigned mask, int me);

static inline CUEMU_UNSEEN uint64_t vote_of(void *const *lane, int i)
{
    return static_cast<struct vote_operand *>(lane[i])->value;
}
template <vote_fold FOLD>
CUEMU_UNSEEN void vote_run(void *const *lane, unsigned mask)
{
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1)
            static_cast<struct vote_operand *>(lane[i])->result = FOLD(lane, mask, i);
}
template <vote_fold FOLD>
CUEMU_UNSEEN uint64_t vote(unsigned mask, uint64_t value, place here)
{
    struct vote_operand operand = {value, 0};
    warp_collective(mask, &operand, vote_run<FOLD>, false, here);
    return operand.result;
}

/* NAME(lanes): result starts as START and takes in each lane's value `v` by EXPRESSION. */
#define CUEMU_FOLD(NAME, START, EXPRESSION)                                            \
    static inline CUEMU_UNSEEN uint64_t NAME(void *const *lane, unsigned mask, int me) \
    {                                                                                  \
        uint64_t result = START, mine = vote_of(lane, me);                             \
        (void)mine;                                                                    \
        for (int i = 0; i < 32; i++) {                                                 \
            if (!(mask >> i & 1))                                                      \
                continue;                                                              \
            uint64_t v = vote_of(lane, i);                                             \
            result = EXPRESSION;                                                       \
        }                                                                              \
        return result;                                                                 \
    }
CUEMU_FOLD(fold_ballot, 0, result | (uint64_t)(v != 0) << i)
CUEMU_FOLD(fold_match, 0, result | (uint64_t)(v == mine) << i)
CUEMU_FOLD(fold_add, 0, (uint32_t)(result + v))
CUEMU_FOLD(fold_min, UINT32_MAX, v < result ? v : result)
CUEMU_FOLD(fold_max, 0, v > result ? v : result)
CUEMU_FOLD(fold_and, UINT32_MAX, result &v)
CUEMU_FOLD(fold_or, 0, result | v)
CUEMU_FOLD(fold_xor, 0, result ^ v)
#undef CUEMU_FOLD

/* int in the order of unsigned. */
static inline CUEMU_UNSEEN unsigned ordered(int value)
{
    return (unsigned)value ^ 0x80000000u;
}

} // namespace cuemu

template <class T>
static inline T __shfl_sync(unsigned mask, T value, int lane, int width = 32, CUEMU_HERE)
{
    return cuemu::shuffle<cuemu::SHUFFLE_INDEX>(mask, value, lane, width, here);
}
template <class T>
static inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, CUEMU_HERE)
{
    return cuemu::shuffle<cuemu::SHUFFLE_UP>(mask, value, (int)by, width, here);
}
template <class T>
static inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, CUEMU_HERE)
{
    return cuemu::shuffle<cuemu::SHUFFLE_DOWN>(mask, value, (int)by, width, here);
}
template <class T>
static inline T __shfl_xor_sync(unsigned mask, T value, int with, int width = 32, CUEMU_HERE)
{
    return cuemu::shuffle<cuemu::SHUFFLE_XOR>(mask, value, with, width, here);
}

static inline unsigned __ballot_sync(unsigned mask, int predicate, CUEMU_HERE)
{
    return (unsigned)cuemu::vote<cuemu::fold_ballot>(mask, predicate != 0, here);
}
static inline int __any_sync(unsigned mask, int predicate, CUEMU_HERE)
{
    return cuemu::vote<cuemu::fold_ballot>(mask, predicate != 0, here) != 0;
}
static inline int __all_sync(unsigned mask, int predicate, CUEMU_HERE)
{
    return cuemu::vote<cuemu::fold_ballot>(mask, predicate != 0, here) == mask;
}

/* The lanes whose value has the same bits. */
template <class T>
static inline unsigned __match_any_sync(unsigned mask, T value, CUEMU_HERE)
{
    static_assert(std::is_arithmetic<T>::value && (sizeof(T) == 4 || sizeof(T) == 8),
                  "CUDA matches values of 32 or 64 bits");
    uint64_t bits = 0;
    __builtin_memcpy(&bits, &value, sizeof value);
    return (unsigned)cuemu::vote<cuemu::fold_match>(mask, bits, here);
}
template <class T>
static inline unsigned __match_all_sync(unsigned mask, T value, int *predicate, CUEMU_HERE)
{
    unsigned same = __match_any_sync(mask, value, here);
    *predicate = same == mask;
    return same == mask ? mask : 0;
}

static inline unsigned __reduce_add_sync(unsigned mask, unsigned value, CUEMU_HERE)
{
    return (unsigned)cuemu::vote<cuemu::fold_add>(mask, value, here);
}
static inline int __reduce_add_sync(unsigned mask, int value, CUEMU_HERE)
{
    return (int)cuemu::vote<cuemu::fold_add>(mask, (unsigned)value, here);
}
static inline unsigned __reduce_min_sync(unsigned mask, unsigned value, CUEMU_HERE)
{
    return (unsigned)cuemu::vote<cuemu::fold_min>(mask, value, here);
}
static inline int __reduce_min_sync(unsigned mask, int value, CUEMU_HERE)
{
    return (int)cuemu::ordered(
        (int)cuemu::vote<cuemu::fold_min>(mask, cuemu::ordered(value), here));
}
static inline unsigned __reduce_max_sync(unsigned mask, unsigned value, CUEMU_HERE)
{
    return (unsigned)cuemu::vote<cuemu::fold_max>(mask, value, here);
}
static inline int __reduce_max_sync(unsigned mask, int value, CUEMU_HERE)
{
    return (int)cuemu::ordered(
        (int)cuemu::vote<cuemu::fold_max>(mask, cuemu::ordered(value), here));
}
static inline unsigned __reduce_and_sync(unsigned mask, unsigned value, CUEMU_HERE)
{
    return (unsigned)cuemu::vote<cuemu::fold_and>(mask, value, here);
}
static inline unsigned __reduce_or_sync(unsigned mask, unsigned value, CUEMU_HERE)
{
    return (unsigned)cuemu::vote<cuemu::fold_or>(mask, value, here);
}
static inline unsigned __reduce_xor_sync(unsigned mask, unsigned value, CUEMU_HERE)
{
    return (unsigned)cuemu::vote<cuemu::fold_xor>(mask, value, here);
}

#endif
