/* random.cc - SplitMix64, for orders: the same seed gives the same run. */
#include "tests/cuemu/state.h"

namespace cuemu
{
namespace
{
uint64_t state;
}

void random_seed(uint64_t seed)
{
    state = seed * 0xd1342543de82ef95u;
}

uint64_t random_below(uint64_t below)
{
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (uint64_t)((unsigned __int128)z * below >> 64);
}

} // namespace cuemu
