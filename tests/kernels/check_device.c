/* check_device.c - what open and plan promise. */
#include <fenv.h>

#include "kernels/cpu/cpu.h"
#include "tests/kernels/claims.h"
#include "tests/kernels/sample.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

void a_level_that_is_not_here_is_refused(struct check *check)
{
    const struct device_options asked = {.threads = 1, .isa = "sse9"};
    struct device_info info;
    struct device *device = NULL;
    struct refusal why = {0};

    check_equal_i64(check, backend_cpu.open(0, &asked, &device, NULL), STATUS_UNSUPPORTED);
    check_true(check, device == NULL);
    check_equal_i64(check, backend_cpu.devices(&info, 1, &why), 1);
    setenv("BARY_ISA", "avx1024", 1);
    check_equal_i64(check, backend_cpu.devices(&info, 1, &why), 0);
    check_true(check, strstr(why.text, "BARY_ISA is 'avx1024'; this machine has ") == why.text);
    check_equal_i64(check, backend_cpu.open(0, NULL, &device, NULL), STATUS_UNSUPPORTED);
    setenv("BARY_ISA", "plain", 1);
    check_equal_i64(check, backend_cpu.open(0, NULL, &device, NULL), STATUS_OK);
    backend_cpu.describe(device, &info);
    check_equal_text(check, info.isa, "plain");
    backend_cpu.close(&device);
    setenv("BARY_ISA", levels_here()[0], 1); /* a ceiling does not raise */
    const struct device_options plain = {.isa = "plain"};
    backend_cpu.open(0, &plain, &device, NULL);
    backend_cpu.describe(device, &info);
    check_equal_text(check, info.isa, "plain");
    backend_cpu.close(&device);
    unsetenv("BARY_ISA");
    check_equal_i64(check, backend_cpu.open(1, NULL, &device, NULL), STATUS_NO_DEVICE);
    check_true(check, backend_named("cpu") == &backend_cpu && backend_named("ref") == &backend_ref);
    check_true(check, backend_named("abacus") == NULL);
    check_true(check, backend_list()[0] == &backend_cpu && backend_list()[1] == &backend_ref &&
                          backend_list()[2] == NULL);
}

void a_plan_is_what_a_work_takes(struct check *check)
{
    static const struct shape good[] = {{0, 1, 1, NUMBER_F32, false, 0, 0, RESIDENT},
                                        {1000000, 784, 1000, NUMBER_F32, true, 9, 2064, RESIDENT},
                                        {10, 100000, 3, NUMBER_F64, false, 3, 1, RESIDENT}};
    static const struct shape bad[] = {{1, 0, 1, NUMBER_F32, false, 0, 0, RESIDENT},
                                       {1, 1, 0, NUMBER_F32, false, 0, 0, RESIDENT},
                                       {-1, 1, 1, NUMBER_F32, false, 0, 0, RESIDENT},
                                       {1, 1, 1LL << 31, NUMBER_F32, false, 0, 0, RESIDENT},
                                       {1, INT64_MAX / 2, 8, NUMBER_F32, false, 0, 0, RESIDENT},
                                       {1, 1, 1, (enum number)3, false, 0, 0, RESIDENT}};

    for (int i = 0; i < 2; i++) {
        struct device *device;
        const struct backend *backend = side(i, &device);
        struct plan plan;
        struct work *work = NULL;
        for (size_t s = 0; s < sizeof good / sizeof good[0]; s++) {
            check_note(check, "%s shape %zu", backend->name, s);
            check_equal_i64(check, backend->plan(device, &good[s], &plan), STATUS_OK);
            int64_t values = good[s].clusters * good[s].columns;
            check_true(check, plan.work_bytes >= values * 24);
            check_true(check, plan.work_bytes < values * 120 + (256 << 20));
            check_true(check, plan.tile_rows >= 1 && plan.tile_rows <= 1 << 22);
            check_true(check, plan.tile_rows == 1 || (double)plan.tile_rows * plan.row_ns <= 15e6);
            check_equal_i64(check, backend->work_open(device, &good[s], &work), STATUS_OK);
            backend->work_close(&work);
            check_true(check, work == NULL);
        }
        for (size_t s = 0; s < sizeof bad / sizeof bad[0]; s++) {
            check_note(check, "%s bad shape %zu", backend->name, s);
            check_equal_i64(check, backend->plan(device, &bad[s], &plan), STATUS_UNSUPPORTED);
        }
        backend->close(&device);
        backend->close(&device); /* of nothing is fine */
    }
}

void flushed_subnormals_are_refused(struct check *check)
{
#if defined(__x86_64__)
    static const unsigned bits[] = {1u << 15, 1u << 6}; /* FTZ, DAZ */
    struct device *device = NULL;

    for (int i = 0; i < 2; i++) {
        unsigned before = _mm_getcsr();
        _mm_setcsr(before | bits[i]);
        enum status status =
            backend_cpu.open(0, &(struct device_options){.threads = 1}, &device, NULL);
        _mm_setcsr(before);
        check_note(check, "%s", i ? "DAZ" : "FTZ");
        check_equal_i64(check, status, STATUS_UNSUPPORTED);
    }
    fesetround(FE_UPWARD);
    enum status cpu = backend_cpu.open(0, &(struct device_options){.threads = 1}, &device, NULL);
    enum status ref = backend_ref.open(0, NULL, &device, NULL);
    fesetround(FE_TONEAREST);
    check_equal_i64(check, cpu, STATUS_UNSUPPORTED);
    check_equal_i64(check, ref, STATUS_UNSUPPORTED);
#else
    check_skip(check, "sets x86's control word");
#endif
}
