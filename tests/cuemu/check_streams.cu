/* check_streams.cu - order within a stream, across streams by events, and threads that call at once. */
#include <cuda_runtime.h>

#include <pthread.h>

#include "tests/check.h"
#include "tests/cuemu/sample.h"

static __global__ void twice_plus_kernel(unsigned *value, unsigned add)
{
    if (threadIdx.x == 0)
        *value = 2 * *value + add;
}

static unsigned twice_plus(unsigned value, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        value = 2 * value + i;
    return value;
}

/* A chain on one stream, another stream behind its middle, the first behind the second's end. */
static void streams_meet_at_events(struct check *check)
{
    for (int seed = 1; seed <= 20; seed++) {
        char text[16];
        snprintf(text, sizeof text, "%d", seed);
        setenv("CUEMU_SEED", text, 1);
        sample_setting("CUEMU_LAZY", seed % 2 ? "1" : "0");
        cudaStream_t first = sample_stream(), second = sample_stream();
        cudaEvent_t middle, end;
        must(cudaEventCreateWithFlags(&middle, cudaEventDisableTiming));
        must(cudaEventCreateWithFlags(&end, cudaEventDisableTiming));
        {
            struct sample<unsigned> value(first, 1);
            value.up();
            for (unsigned i = 0; i < 5; i++)
                sample_launch(first, 1, 32, 0, twice_plus_kernel, value.device, i);
            must(cudaEventRecord(middle, first));
            must(cudaStreamWaitEvent(second, middle, 0));
            for (unsigned i = 5; i < 9; i++)
                sample_launch(second, 1, 32, 0, twice_plus_kernel, value.device, i);
            must(cudaEventRecord(end, second));
            must(cudaStreamWaitEvent(first, end, 0));
            sample_launch(first, 1, 32, 0, twice_plus_kernel, value.device, 9u);
            value.down();
            check_note(check, "seed=%d", seed);
            check_equal_u64(check, *value.host, twice_plus(0, 0, 10));
        }
        must(cudaEventDestroy(middle));
        must(cudaEventDestroy(end));
        must(cudaStreamDestroy(first));
        must(cudaStreamDestroy(second));
    }
    unsetenv("CUEMU_SEED");
    sample_setting("CUEMU_LAZY", NULL);
}

/* A lazy stream runs where the host waits or asks, not before. */
static void a_lazy_stream_waits_to_be_asked(struct check *check)
{
    sample_setting("CUEMU_LAZY", "1");
    cudaStream_t stream = sample_stream();
    cudaEvent_t done;
    must(cudaEventCreate(&done));
    {
        struct sample<unsigned> value(stream, 1);
        *value.host = 3;
        value.up();
        sample_launch(stream, 1, 32, 0, twice_plus_kernel, value.device, 1u);
        must(cudaMemcpyAsync(value.host, value.device, sizeof(unsigned), cudaMemcpyDeviceToHost,
                             stream));
        must(cudaEventRecord(done, stream));
        int asked = 1;
        for (; cudaEventQuery(done) == cudaErrorNotReady; asked++)
            ;
        check_equal_i64(check, asked, 4); /* a call runs at each question */
        check_equal_u64(check, *value.host, 7);
        check_equal_i64(check, cudaStreamQuery(stream), cudaSuccess);
    }
    must(cudaEventDestroy(done));
    must(cudaStreamDestroy(stream));
    sample_setting("CUEMU_LAZY", NULL);
}

static void events_tell_time(struct check *check)
{
    cudaStream_t stream = sample_stream();
    cudaEvent_t start, end, untimed;
    float ms = -1;
    must(cudaEventCreate(&start));
    must(cudaEventCreate(&end));
    must(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming));
    check_equal_i64(check, cudaEventElapsedTime(&ms, start, end), cudaErrorInvalidResourceHandle);
    must(cudaEventRecord(start, stream));
    must(cudaEventRecord(untimed, stream));
    must(cudaEventRecord(end, stream));
    must(cudaEventSynchronize(end));
    must(cudaEventElapsedTime(&ms, start, end));
    check_true(check, ms >= 0 && ms < 60000);
    check_equal_i64(check, cudaEventElapsedTime(&ms, start, untimed),
                    cudaErrorInvalidResourceHandle);
    must(cudaEventDestroy(start));
    must(cudaEventDestroy(end));
    must(cudaEventDestroy(untimed));
    must(cudaStreamDestroy(stream));
}

static void copies_keep_their_pitch(struct check *check)
{
    cudaStream_t stream = sample_stream();
    {
        struct sample<unsigned char> wide(stream, 40), narrow(stream, 12);
        for (unsigned i = 0; i < 40; i++)
            wide.host[i] = (unsigned char)i;
        wide.up();
        must(cudaMemcpy2DAsync(narrow.device, 3, wide.device + 1, 10, 3, 4,
                               cudaMemcpyDeviceToDevice, stream));
        must(cudaMemsetAsync(narrow.device + 4, 9, 2, stream));
        narrow.down();
        static const unsigned char want[12] = {1, 2, 3, 11, 9, 9, 21, 22, 23, 31, 32, 33};
        check_equal_bytes(check, narrow.host, want, sizeof want);
    }
    must(cudaStreamDestroy(stream));
}

/* Each thread owns a device's worth of calls; none sees another's error or memory. */
static void *thread_run(void *wrong)
{
    for (unsigned i = 0; i < 20; i++) {
        cudaStream_t stream = sample_stream();
        {
            struct sample<unsigned> value(stream, 1);
            value.up();
            for (unsigned j = 0; j < 4; j++)
                sample_launch(stream, 1, 64, 0, twice_plus_kernel, value.device, j);
            value.down();
            if (*value.host != twice_plus(0, 0, 4) || cudaPeekAtLastError() != cudaSuccess)
                ++*(int *)wrong;
        }
        must(cudaStreamDestroy(stream));
    }
    return NULL;
}
static void any_thread_may_call(struct check *check)
{
    enum { THREADS = 4 };
    pthread_t thread[THREADS];
    int wrong[THREADS] = {};
    for (int i = 0; i < THREADS; i++)
        check_equal_i64(check, pthread_create(&thread[i], NULL, thread_run, &wrong[i]), 0);
    check_equal_i64(check, cudaSetDevice(7), cudaErrorInvalidDevice);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        check_equal_i64(check, wrong[i], 0);
    }
    cudaGetLastError();
}

static void occupancy_is_bound_by_threads_and_shared_memory(struct check *check)
{
    int blocks;
    must(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, twice_plus_kernel, 256, 0));
    check_equal_i64(check, blocks, 8);
    must(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, twice_plus_kernel, 32, 0));
    check_equal_i64(check, blocks, 32);
    must(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, twice_plus_kernel, 64, 100 << 10));
    check_equal_i64(check, blocks, 0); /* it was not allowed so much */
    must(cudaFuncSetAttribute(twice_plus_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              100 << 10));
    must(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, twice_plus_kernel, 64, 100 << 10));
    check_equal_i64(check, blocks, 2);
}

CHECKS(CLAIM(streams_meet_at_events), CLAIM(a_lazy_stream_waits_to_be_asked),
       CLAIM(events_tell_time), CLAIM(copies_keep_their_pitch), CLAIM(any_thread_may_call),
       CLAIM(occupancy_is_bound_by_threads_and_shared_memory))
