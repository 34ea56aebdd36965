/* seen.cc - copies and sets, as accesses that sanitizers see: of a stream, in whose context they run.
 *
 * memcpy would not do: the thread sanitizer's own is deaf where it ignores modules that are not instrumented. */
#include "tests/cuemu/state.h"

namespace cuemu
{

/* Words of eight bytes: fewer accesses to look at. */
static bool lie_on_words(const void *a, const void *b)
{
    return (reinterpret_cast<uintptr_t>(a) | reinterpret_cast<uintptr_t>(b)) % sizeof(uint64_t) ==
           0;
}

void seen_copy(char *to, const char *from, size_t bytes)
{
    size_t words = lie_on_words(to, from) ? bytes / sizeof(uint64_t) : 0;
    for (size_t i = 0; i < words; i++)
        reinterpret_cast<uint64_t *>(to)[i] = reinterpret_cast<const uint64_t *>(from)[i];
    for (size_t i = words * sizeof(uint64_t); i < bytes; i++)
        to[i] = from[i];
}

void seen_set(char *to, int value, size_t bytes)
{
    uint64_t word = 0x0101010101010101u * (unsigned char)value;
    size_t words = lie_on_words(to, to) ? bytes / sizeof(uint64_t) : 0;
    for (size_t i = 0; i < words; i++)
        reinterpret_cast<uint64_t *>(to)[i] = word;
    for (size_t i = words * sizeof(uint64_t); i < bytes; i++)
        to[i] = (char)value;
}

} // namespace cuemu
