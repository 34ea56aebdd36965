/* moments.cu - exact sums of x and x^2: integers in 32-bit digits, added without a carry.
 *
 * |x| = m * 2^(e - 1074) with an integer m < 2^53 adds three digits of m << e % 32 to S1 from digit e / 32
 * on, and m^2 five digits to S2 from digit 2e / 32 on. A thread owns a column and walks down the rows of
 * its block's tiles with a window of four and six digits in registers, each 64 bits wide, so 2^22 rows
 * cannot overflow it; only a value outside the window empties it into the slot by integer atomics, which
 * data of like magnitude do once. The host carries the digits into limbs. No shared memory. Bound by
 * bytes, then by 64-bit integer adds. Not yet run on a GPU. */
#include "kernels/cuda/block.h"
#include "kernels/cuda/work.h"

enum { DIGITS_1 = 68, DIGITS_2 = 132, WINDOW_1 = 4, WINDOW_2 = 6, PARTS_1 = 3, PARTS_2 = 5 };

/* The slot: rows that take part, then this a column. */
struct moments_column {
    long long s1[DIGITS_1];
    unsigned long long s2[DIGITS_2];
};
struct moments_head {
    unsigned long long count, unused;
};

struct moments_arguments {
    struct view view;
    int64_t column, columns; /* columns [column, column + columns) */
    struct moments_head *head;
    struct moments_column *out;
};

struct moments_shared {
    unsigned long long scratch[WARP];
};

/* Digits [base, base + WINDOW) of both sums, on their way. */
struct window {
    long long s1[WINDOW_1];
    unsigned long long s2[WINDOW_2];
    int base1, base2;
};

static __device__ __forceinline__ void window_empty(struct window &window,
                                                    struct moments_column *out)
{
    UNROLL
    for (int i = 0; i < WINDOW_1; i++) {
        if (window.s1[i] != 0)
            atomic_add_i64(&out->s1[window.base1 + i], window.s1[i]);
        window.s1[i] = 0;
    }
    UNROLL
    for (int i = 0; i < WINDOW_2; i++) {
        if (window.s2[i] != 0)
            atomicAdd(&out->s2[window.base2 + i], window.s2[i]);
        window.s2[i] = 0;
    }
}

/* Moves the window so that digits from at1 and at2 on fit, with a digit to spare on the side it moved
 * to: values that alternate across a digit's border stay within. */
static __device__ __forceinline__ void window_move(struct window &window, int at1, int at2,
                                                   struct moments_column *out)
{
    window_empty(window, out);
    if (at1 != window.base1 && at1 != window.base1 + 1)
        window.base1 = at1 > window.base1 && at1 > 0 ? at1 - 1 : at1;
    if (at2 != window.base2 && at2 != window.base2 + 1)
        window.base2 = at2 > window.base2 && at2 > 0 ? at2 - 1 : at2;
}

/* Digits of m << shift enter at the window's digit `up` (0 or 1), negated for a negative x. */
static __device__ __forceinline__ void add_first(struct window &window, unsigned long long m,
                                                 int shift, bool up, bool negative)
{
    unsigned long long low = m << shift, high = shift ? m >> (64 - shift) : 0;
    long long part[PARTS_1] = {(long long)(uint32_t)low, (long long)(low >> 32), (long long)high};

    UNROLL
    for (int i = 0; i < PARTS_1; i++) {
        long long digit = negative ? -part[i] : part[i];
        window.s1[i] += up ? 0 : digit;
        window.s1[i + 1] += up ? digit : 0;
    }
}

static __device__ __forceinline__ void add_second(struct window &window, unsigned long long m,
                                                  int shift, bool up)
{
    unsigned long long square = m * m, above = __umul64hi(m, m);
    unsigned long long low = square << shift;
    unsigned long long middle = above << shift | (shift ? square >> (64 - shift) : 0);
    unsigned long long high = shift ? above >> (64 - shift) : 0;
    unsigned long long part[PARTS_2] = {(uint32_t)low, low >> 32, (uint32_t)middle, middle >> 32,
                                        high};

    UNROLL
    for (int i = 0; i < PARTS_2; i++) {
        window.s2[i] += up ? 0 : part[i];
        window.s2[i + 1] += up ? part[i] : 0;
    }
}

static __device__ __forceinline__ void window_add(struct window &window, double x,
                                                  struct moments_column *out)
{
    unsigned long long bits = (unsigned long long)__double_as_longlong(x);
    int exponent = (int)(bits >> 52 & 0x7ff);
    unsigned long long m = (bits & 0xfffffffffffffull) | (unsigned long long)(exponent > 0) << 52;
    int e = exponent > 0 ? exponent - 1 : 0, at1 = e / 32, at2 = e / 16;

    if (m == 0)
        return;
    if ((unsigned)(at1 - window.base1) > 1 || (unsigned)(at2 - window.base2) > 1)
        window_move(window, at1, at2, out);
    add_first(window, m, e % 32, at1 > window.base1, bits >> 63);
    add_second(window, m, 2 * e % 32, at2 > window.base2);
}

/* Rows that take part. */
static __device__ __forceinline__ void count_rows(const struct moments_arguments &a,
                                                  struct moments_shared &s)
{
    unsigned long long part = 0;

    for (int64_t row = (int64_t)blockIdx.x * MOMENTS_THREADS + threadIdx.x; row < a.view.count;
         row += (int64_t)gridDim.x * MOMENTS_THREADS)
        part += view_weight(a.view, row) > 0;
    part = block_reduce<add>(part, s.scratch);
    if (threadIdx.x == 0 && part > 0)
        atomicAdd(&a.head->count, part);
}

template <class T>
static __global__ void __launch_bounds__(MOMENTS_THREADS, MOMENTS_BLOCKS)
    moments_kernel(const __grid_constant__ struct moments_arguments a)
{
    auto &s = *block_shared<struct moments_shared>();
    int lanes = a.columns < MOMENTS_THREADS ? (int)a.columns : MOMENTS_THREADS;
    int above = MOMENTS_THREADS / lanes; /* rows that a block reads side by side */
    int first = (int)threadIdx.x / lanes;

    for (int64_t d = (int)threadIdx.x % lanes; first < above && d < a.columns; d += lanes) {
        struct window window = {};
        for (int64_t row = (int64_t)blockIdx.x * above + first; row < a.view.count;
             row += (int64_t)gridDim.x * above)
            if (view_weight(a.view, row) > 0)
                window_add(window, view_value<T>(a.view, row, a.column + d), &a.out[d]);
        window_empty(window, &a.out[d]);
    }
    count_rows(a, s);
}

static const struct kernel<struct moments_arguments> moments[] = {
    {"moments_f32", moments_kernel<float>, MOMENTS_THREADS, MOMENTS_BLOCKS,
     sizeof(struct moments_shared)},
    {
        "moments_f64", moments_kernel<double>, MOMENTS_THREADS, MOMENTS_BLOCKS,
            sizeof(struct moments_shared)
    }
};

void moments_kernels(struct kernel_list *list)
{
    kernel_list_add(list, moments);
}

static size_t slot_bytes_for(int64_t columns)
{
    return sizeof(struct moments_head) + (size_t)columns * sizeof(struct moments_column);
}

int64_t moments_slot_bytes(const struct shape *shape)
{
    return (int64_t)slot_bytes_for(shape->columns < MOMENT_COLUMNS ? shape->columns
                                                                   : MOMENT_COLUMNS);
}

/* limbs += digits * 2^(32 i), carries to the top; two's complement. */
static void limbs_add(uint64_t *limbs, int limb_count, const long long *digits, int digit_count)
{
    int128 carry = 0;

    for (int i = 0; i < limb_count; i++) {
        for (int half = 0; half < 2 && 2 * i + half < digit_count; half++)
            carry += (int128)digits[2 * i + half] * ((int128)1 << 32 * half);
        carry += limbs[i];
        limbs[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

static void moments_fold(struct work *work, const void *result, const struct folded *to)
{
    const struct moments_head *head = (const struct moments_head *)result;
    const struct moments_column *column = (const struct moments_column *)(head + 1);
    struct moments *out = (struct moments *)to->out[0];
    int64_t columns = (int64_t)(intptr_t)to->out[1];

    (void)work;
    for (int64_t d = 0; d < columns; d++) {
        limbs_add(out[d].s1, MOMENT_LIMBS_1, column[d].s1, DIGITS_1);
        limbs_add(out[d].s2, MOMENT_LIMBS_2, (const long long *)column[d].s2, DIGITS_2);
        out[d].count += (int64_t)head->count;
    }
}

/* Some columns, few enough for a slot. */
static enum status some_columns(struct work *work, struct block *block, int64_t first,
                                int64_t count, int64_t column, int64_t columns, struct moments *out)
{
    return pass_run(
        work, block, first, count,
        {true, 0, slot_bytes_for(columns), moments_fold, {out, (void *)(intptr_t)columns}},
        [&](const struct view &view, void *slot) {
            struct moments_head *head = (struct moments_head *)slot;
            struct moments_arguments a = {view, column, columns, head,
                                          (struct moments_column *)(head + 1)};
            return launch(work, moments[number_index(work)], tiles_of(view.count, MOMENTS_ROWS), a);
        });
}

enum status cuda_moments(struct work *work, struct block *block, int64_t first, int64_t count,
                         int64_t column, int64_t columns, struct moments *out)
{
    enum status status = device_enter(work->device);

    for (int64_t d = 0; status == STATUS_OK && d < columns; d += MOMENT_COLUMNS)
        status = some_columns(work, block, first, count, column + d,
                              columns - d < MOMENT_COLUMNS ? columns - d : MOMENT_COLUMNS, out + d);
    return status;
}
