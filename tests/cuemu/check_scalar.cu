/* check_scalar.cu - intrinsics of one thread, atomics, and half precision give what CUDA's do. */
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <float.h>
#include <math.h>

#include "tests/check.h"
#include "tests/cuemu/sample.h"

#ifdef __x86_64__
typedef __float128 quad;
#else
typedef long double quad;
#endif

/* The least double at or above the exact result is what rounding up gives; judged in 128 bits. */
static void directed_roundings_enclose_the_exact_result(struct check *check)
{
    uint64_t state = 11;
    for (int i = 0; i < 20000; i++) {
        double a = ldexp(check_uniform(&state) - 0.5, (int)(check_random(&state) % 9));
        double b = ldexp(check_uniform(&state) - 0.5, (int)(check_random(&state) % 9));
        quad sum = (quad)a + b, product = (quad)a * b, quotient = (quad)a / b;
        check_note(check, "a=%a b=%a", a, b);
        check_true(check, __dadd_rd(a, b) <= sum && sum <= __dadd_ru(a, b));
        check_true(check, __dmul_rd(a, b) <= product && product <= __dmul_ru(a, b));
        check_true(check, __ddiv_rd(a, b) <= quotient && quotient <= __ddiv_ru(a, b));
        check_true(check, nextafter(__dmul_rd(a, b), INFINITY) >= __dmul_ru(a, b));
        check_true(check, fabs(__dmul_rz(a, b)) <= fabs(__dmul_rn(a, b)));
        check_equal_bits(check, __dmul_rn(a, b), (double)product);
        check_equal_bits(check, __dadd_rn(a, b), (double)sum);
        check_equal_bits(check, __dsub_rn(a, b), (double)((quad)a - b));
        check_equal_bits(check, __ddiv_rn(a, b), (double)quotient);
        float narrow = __double2float_ru(a);
        check_true(check, narrow >= a && nextafterf(narrow, -INFINITY) < a);
        check_true(check, __double2float_rd(a) <= a && fabsf(__double2float_rz(a)) <= fabs(a));
        double root = __dsqrt_ru(fabs(a)), below = __dsqrt_rd(fabs(a));
        check_true(check, (quad)root * root >= fabs(a) && (quad)below * below <= fabs(a));
    }
}

static void a_fused_product_rounds_once(struct check *check)
{
    double a = 1 + 0x1p-30, b = 1 - 0x1p-30;
    check_equal_bits(check, __fma_rn(a, b, -1.0), -0x1p-60);
    check_equal_bits(check, __dadd_rn(__dmul_rn(a, b), -1.0), 0.0);
    check_equal_bits(check, __fmaf_rn(1 + 0x1p-12f, 1 - 0x1p-12f, -1.0f), -0x1p-24);
}

static void conversions_saturate(struct check *check)
{
    check_equal_i64(check, __double2ll_rn(2.5), 2);
    check_equal_i64(check, __double2ll_rn(3.5), 4);
    check_equal_i64(check, __double2ll_rz(-3.9), -3);
    check_equal_i64(check, __double2ll_rd(-3.1), -4);
    check_equal_i64(check, __double2ll_ru(3.1), 4);
    check_equal_i64(check, __double2ll_rn(1e300), INT64_MAX);
    check_equal_i64(check, __double2ll_rn(-1e300), INT64_MIN);
    check_equal_i64(check, __double2int_rz(3e9), INT32_MAX);
    check_equal_u64(check, __double2ull_rn(-5.0), 0);
    check_equal_u64(check, __double2ull_rn(1e300), UINT64_MAX);
    check_equal_u64(check, __double2ull_rz(0x1p63), (uint64_t)1 << 63);
    check_equal_bits(check, __ll2double_rn(INT64_MAX), 0x1p63);
    check_true(check, __ll2double_rd(INT64_MAX) < 0x1p63);
}

static void bits_are_counted_and_moved(struct check *check)
{
    check_equal_i64(check, __clzll(1), 63);
    check_equal_i64(check, __clzll(0), 64);
    check_equal_i64(check, __clz(0), 32);
    check_equal_i64(check, __ffsll(0x8000), 16);
    check_equal_i64(check, __ffs(0), 0);
    check_equal_i64(check, __popcll(0xf0f0f0f0f0f0f0f0u), 32);
    check_equal_u64(check, __brev(0x00000001u), 0x80000000u);
    check_equal_u64(check, __brevll(0x3u), (uint64_t)3 << 62);
    check_equal_u64(check, __umul64hi(UINT64_MAX, UINT64_MAX), UINT64_MAX - 1);
    check_equal_i64(check, __mul64hi(-1, 2), -1);
    check_equal_u64(check, __umulhi(0x80000000u, 6), 3);
    check_equal_u64(check, __byte_perm(0x33221100u, 0x77665544u, 0x7530), 0x77553300u);
    check_equal_u64(check, __byte_perm(0x00000080u, 0, 0x0008), 0x808080ffu);
    check_equal_u64(check, __funnelshift_l(0x80000001u, 0x2u, 4), 0x28u);
    check_equal_u64(check, __funnelshift_r(0x10u, 0x3u, 4), 0x30000001u);
    check_equal_bits(check, __hiloint2double(0x3ff00000, 0), 1.0);
    check_equal_i64(check, __double2hiint(-0.0), INT32_MIN);
    check_equal_i64(check, __double_as_longlong(1.0), 0x3ff0000000000000);
    check_equal_bits(check, __longlong_as_double(1), DBL_TRUE_MIN);
    check_equal_u64(check, __float_as_uint(-2.0f), 0xc0000000u);
    check_equal_bits(check, max((double)NAN, 1.0), 1.0);
    check_equal_bits(check, min(1.0, (double)NAN), 1.0);
}

/* Every half, there and back; and every point where rounding changes, from both sides. */
static float half_by_formula(unsigned bits)
{
    int exponent = (int)(bits >> 10 & 31), mantissa = (int)(bits & 1023);
    float sign = bits & 0x8000u ? -1.0f : 1.0f;
    if (exponent == 31)
        return sign * INFINITY;
    return sign * (exponent ? ldexpf((float)(1024 + mantissa), exponent - 25)
                            : ldexpf((float)mantissa, -24));
}
static void every_half_goes_there_and_back(struct check *check)
{
    for (unsigned bits = 0; bits < 65536; bits++) {
        __half value = __ushort_as_half((unsigned short)bits);
        float wide = __half2float(value);
        check_note(check, "bits=%04x", bits);
        if ((bits & 0x7fffu) > 0x7c00u) {
            check_true(check, isnan(wide) && __hisnan(value));
            check_equal_u64(check, __half_as_ushort(__float2half(wide)), 0x7fff);
            continue;
        }
        check_equal_bits(check, wide, half_by_formula(bits));
        check_equal_u64(check, __half_as_ushort(__float2half_rn(wide)), bits);
        check_equal_u64(check, __half_as_ushort(__float2half_ru(wide)), bits);
        check_equal_u64(check, __half_as_ushort(__float2half_rd(wide)), bits);
        check_equal_u64(check, __half_as_ushort(__float2half_rz(wide)), bits);
    }
}
static void halves_round_once_to_even(struct check *check)
{
    for (unsigned bits = 0; bits < 0x7bff; bits++) {
        float low = half_by_formula(bits), high = half_by_formula(bits + 1);
        float middle = (low + high) / 2; /* exact */
        for (int sign = 0; sign < 2; sign++) {
            unsigned minus = sign ? 0x8000u : 0u;
            float m = sign ? -middle : middle, in = nextafterf(m, 0),
                  out = nextafterf(m, sign ? -1e9f : 1e9f);
            check_note(check, "between %04x and %04x", bits | minus, (bits + 1) | minus);
            check_equal_u64(check, __half_as_ushort(__float2half_rn(m)),
                            (bits + (bits & 1)) | minus);
            check_equal_u64(check, __half_as_ushort(__float2half_rn(in)), bits | minus);
            check_equal_u64(check, __half_as_ushort(__float2half_rn(out)), (bits + 1) | minus);
            check_equal_u64(check, __half_as_ushort(__float2half_rz(out)), bits | minus);
            check_equal_u64(check, __half_as_ushort(__float2half_ru(m)), (bits + !sign) | minus);
            check_equal_u64(check, __half_as_ushort(__float2half_rd(m)), (bits + sign) | minus);
            double close = sign ? -nextafter((double)middle, 0) : nextafter((double)middle, 0);
            check_equal_u64(check, __half_as_ushort(__double2half(close)), bits | minus);
        }
    }
    check_equal_u64(check, __half_as_ushort(__float2half_rn(65519.996f)), 0x7bff);
    check_equal_u64(check, __half_as_ushort(__float2half_rn(65520.0f)), 0x7c00);
    check_equal_u64(check, __half_as_ushort(__float2half_rz(1e30f)), 0x7bff);
    check_equal_u64(check, __half_as_ushort(__float2half_rd(-1e30f)), 0xfc00);
    check_equal_u64(check, __half_as_ushort(__float2half_rn(FLT_TRUE_MIN)), 0);
    check_equal_u64(check, __half_as_ushort(__float2half_ru(FLT_TRUE_MIN)), 1);
    check_equal_u64(check, __half_as_ushort(__double2half(DBL_MAX)), 0x7c00);
}

/* Each atomic, by every thread of a grid, on a counter of its own kind. */
struct counters {
    int add, least, most, sub;
    unsigned any, all, parity, wrapped, exchanged;
    unsigned long long wide_add, wide_most, cas;
    long long wide_least;
    double real;
};
enum { ADDERS = 192 };
static __global__ void atomic_kernel(struct counters *c)
{
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    atomicAdd(&c->add, i);
    atomicMin(&c->least, 5 - i);
    atomicMax(&c->most, i - 5);
    atomicSub(&c->sub, 1);
    atomicOr(&c->any, 1u << i % 20);
    atomicAnd(&c->all, ~(1u << i % 20));
    atomicXor(&c->parity, (unsigned)i);
    atomicInc(&c->wrapped, 9);
    atomicExch(&c->exchanged, 77u);
    atomicAdd(&c->wide_add, 1ull << 33);
    atomicMax(&c->wide_most, (unsigned long long)i << 40);
    atomicMin(&c->wide_least, -((long long)i << 40));
    atomicAdd(&c->real, 0.5);
    unsigned long long seen = 0, wanted;
    do {
        wanted = seen;
        seen = atomicCAS(&c->cas, wanted, wanted + 3);
    } while (seen != wanted);
}
static void atomics_lose_nothing(struct check *check)
{
    cudaStream_t stream = sample_stream();
    {
        struct sample<struct counters> c(stream, 1);
        c.host->all = ~0u;
        c.up();
        sample_launch(stream, 3, ADDERS / 3, 0, atomic_kernel, c.device);
        c.down();
        check_equal_i64(check, c.host->add, ADDERS * (ADDERS - 1) / 2);
        check_equal_i64(check, c.host->least, 5 - (ADDERS - 1));
        check_equal_i64(check, c.host->most, ADDERS - 1 - 5);
        check_equal_i64(check, c.host->sub, -ADDERS);
        check_equal_u64(check, c.host->any, (1u << 20) - 1);
        check_equal_u64(check, c.host->all, ~((1u << 20) - 1));
        check_equal_u64(check, c.host->parity, 0);
        check_equal_u64(check, c.host->wrapped, ADDERS % 10);
        check_equal_u64(check, c.host->exchanged, 77);
        check_equal_u64(check, c.host->wide_add, (uint64_t)ADDERS << 33);
        check_equal_u64(check, c.host->wide_most, (uint64_t)(ADDERS - 1) << 40);
        check_equal_i64(check, c.host->wide_least, -((int64_t)(ADDERS - 1) << 40));
        check_equal_bits(check, c.host->real, ADDERS * 0.5);
        check_equal_u64(check, c.host->cas, ADDERS * 3);
    }
    must(cudaStreamDestroy(stream));
}

CHECKS(CLAIM(directed_roundings_enclose_the_exact_result), CLAIM(a_fused_product_rounds_once),
       CLAIM(conversions_saturate), CLAIM(bits_are_counted_and_moved),
       CLAIM(every_half_goes_there_and_back), CLAIM(halves_round_once_to_even),
       CLAIM(atomics_lose_nothing))
