/* atomic.h - atomics, relaxed as CUDA's are, for the very types that CUDA has them for. */
#ifndef BARY_TESTS_CUEMU_ATOMIC_H
#define BARY_TESTS_CUEMU_ATOMIC_H

#include <type_traits>

#include "tests/cuemu/cuemu.h"

namespace cuemu
{

template <class T>
using bits_of = std::conditional_t<sizeof(T) == 8, unsigned long long, unsigned>;

/* *at becomes change(*at), at once; what it was. */
template <class T, class CHANGE>
static inline T change_at(T *at, CHANGE change)
{
    auto *bits = reinterpret_cast<bits_of<T> *>(at);
    if (reinterpret_cast<uintptr_t>(at) % sizeof(T) != 0)
        found("atomic on %zu bytes at %p, which is not aligned", sizeof(T), (void *)at);
    atomic_point();
    bits_of<T> seen = __atomic_load_n(bits, __ATOMIC_RELAXED), wanted;
    T before;
    do {
        __builtin_memcpy(&before, &seen, sizeof before);
        T after = change(before);
        __builtin_memcpy(&wanted, &after, sizeof wanted);
    } while (!__atomic_compare_exchange_n(bits, &seen, wanted, false, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return before;
}

} // namespace cuemu

#define CUEMU_ATOMIC(name, type, expression)                                           \
    static inline type name(type *at, type value)                                      \
    {                                                                                  \
        return cuemu::change_at(at, [value](type old) -> type { return expression; }); \
    }
#define CUEMU_ATOMIC_CAS(type)                                                        \
    static inline type atomicCAS(type *at, type compare, type value)                  \
    {                                                                                 \
        return cuemu::change_at(                                                      \
            at, [compare, value](type old) { return old == compare ? value : old; }); \
    }

CUEMU_ATOMIC(atomicAdd, int, (int)((unsigned)old + (unsigned)value))
CUEMU_ATOMIC(atomicAdd, unsigned, old + value)
CUEMU_ATOMIC(atomicAdd, unsigned long long, old + value)
CUEMU_ATOMIC(atomicAdd, float, old + value)
CUEMU_ATOMIC(atomicAdd, double, old + value)
CUEMU_ATOMIC(atomicSub, int, (int)((unsigned)old - (unsigned)value))
CUEMU_ATOMIC(atomicSub, unsigned, old - value)
CUEMU_ATOMIC(atomicMin, int, value < old ? value : old)
CUEMU_ATOMIC(atomicMin, unsigned, value < old ? value : old)
CUEMU_ATOMIC(atomicMin, long long, value < old ? value : old)
CUEMU_ATOMIC(atomicMin, unsigned long long, value < old ? value : old)
CUEMU_ATOMIC(atomicMax, int, value > old ? value : old)
CUEMU_ATOMIC(atomicMax, unsigned, value > old ? value : old)
CUEMU_ATOMIC(atomicMax, long long, value > old ? value : old)
CUEMU_ATOMIC(atomicMax, unsigned long long, value > old ? value : old)
CUEMU_ATOMIC(atomicExch, int, ((void)old, value))
CUEMU_ATOMIC(atomicExch, unsigned, ((void)old, value))
CUEMU_ATOMIC(atomicExch, unsigned long long, ((void)old, value))
CUEMU_ATOMIC(atomicExch, float, ((void)old, value))
CUEMU_ATOMIC(atomicAnd, int, old &value)
CUEMU_ATOMIC(atomicAnd, unsigned, old &value)
CUEMU_ATOMIC(atomicAnd, unsigned long long, old &value)
CUEMU_ATOMIC(atomicOr, int, old | value)
CUEMU_ATOMIC(atomicOr, unsigned, old | value)
CUEMU_ATOMIC(atomicOr, unsigned long long, old | value)
CUEMU_ATOMIC(atomicXor, int, old ^ value)
CUEMU_ATOMIC(atomicXor, unsigned, old ^ value)
CUEMU_ATOMIC(atomicXor, unsigned long long, old ^ value)
CUEMU_ATOMIC(atomicInc, unsigned, old >= value ? 0 : old + 1)
CUEMU_ATOMIC(atomicDec, unsigned, old == 0 || old > value ? value : old - 1)
CUEMU_ATOMIC_CAS(int)
CUEMU_ATOMIC_CAS(unsigned)
CUEMU_ATOMIC_CAS(unsigned long long)
#undef CUEMU_ATOMIC
#undef CUEMU_ATOMIC_CAS

#endif
