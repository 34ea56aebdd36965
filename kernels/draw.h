/* draw.h - what every seeding agrees on: how many candidates, and a share of a total.
 *
 * Greedy k-means++ (Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", 2007)
 * draws 2 + floor(ln K) rows a step and keeps the best. */
#ifndef BARY_KERNELS_DRAW_H
#define BARY_KERNELS_DRAW_H

#include "kernels/backend.h"

#ifndef EVERYWHERE /* devices say what else their functions are */
#define EVERYWHERE static inline
#endif

enum { CANDIDATES_MAX = 16 }; /* 2 + floor(ln CLUSTERS_MAX) is 15 */

/* Candidates of a k-means++ step. */
static inline int seed_candidates(int64_t n_clusters)
{
    /* powers of e, rounded up: a libm's log could differ in the last bit */
    static const int64_t bound[] = {3,    8,    21,    55,    149,    404,   1097,
                                    2981, 8104, 22027, 59875, 162755, 442414};
    int count = 2;

    for (size_t i = 0; i < sizeof bound / sizeof *bound; i++)
        count += n_clusters >= bound[i];
    return count;
}

/* floor(U T / 2^64), T >= 0. */
EVERYWHERE int128 seed_scaled(uint64_t U, int128 T)
{
    uint64_t high = (uint64_t)(T >> 64), low = (uint64_t)T;

    return (int128)((uint128)U * high + ((uint128)U * low >> 64));
}

#endif
