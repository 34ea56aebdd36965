/* entry.cc - the way into every call: the lock, and failures on purpose. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/cuemu/state.h"

namespace cuemu
{

struct settings settings;

namespace
{

/* What was counted and what broke since the start or the last cuemu_restart. */
struct {
    bool read;
    long calls[CALL_KINDS];
    long launches; /* that ran */
    int dead;      /* the code that every call answers */
    int dying;     /* the same, not shown yet: the failure is behind a queued call */
    bool hung;
} now;

int lock_word; /* 0: free, 1: held, 2: held and somebody waits */
thread_local cudaError_t last_error;

void lock_take()
{
    int seen = 0;
    if (__atomic_compare_exchange_n(&lock_word, &seen, 1, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED))
        return;
    while (__atomic_exchange_n(&lock_word, 2, __ATOMIC_ACQUIRE) != 0)
        syscall(SYS_futex, &lock_word, FUTEX_WAIT_PRIVATE, 2, nullptr, nullptr, 0);
}
void lock_leave()
{
    if (__atomic_exchange_n(&lock_word, 0, __ATOMIC_RELEASE) == 2)
        syscall(SYS_futex, &lock_word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

const struct {
    int number;
    const char *name, *text;
    bool sticky;
} errors[] = {
#define CUDA_ERROR(name, number, text, sticky) \
    {number, number ? "cudaError" #name : "cuda" #name, text, sticky},
#include "tests/cuemu/errors.def"
#undef CUDA_ERROR
};

/* A code that is in no table is one that CUDA will have later: the worst is assumed. */
bool is_sticky(int code)
{
    for (const auto &error : errors)
        if (error.number == code)
            return error.sticky;
    return true;
}

/* What the driver's state answers to such a call. */
int driver_answer(enum call_kind kind)
{
    switch (settings.driver) {
    case DRIVER_FINE:
        return settings.devices == 0 ? cudaErrorNoDevice : 0;
    case DRIVER_NONE:
    case DRIVER_OLD:
        return cudaErrorInsufficientDriver;
    case DRIVER_STUB:
        return cudaErrorStubLibrary;
    case DRIVER_BROKEN:
        return settings.driver_code;
    case DRIVER_NO_DEVICE:
        return cudaErrorNoDevice;
    case DRIVER_BUSY:
        return kind == CALL_DEVICE ? 0 : cudaErrorDevicesUnavailable;
    case DRIVER_WRONG_ARCH:
        return kind == CALL_FUNCTION || kind == CALL_LAUNCH ? settings.driver_code : 0;
    }
    return 0;
}

/* The code that this call was asked to fail with, or 0. */
int failure_answer(enum call_kind kind)
{
    now.calls[CALL_ANY]++;
    now.calls[kind]++;
    for (int i = 0; i < settings.failures; i++) {
        const struct failure *failure = &settings.failure[i];
        if ((failure->kind == CALL_ANY || failure->kind == kind) &&
            now.calls[failure->kind] == failure->nth)
            return failure->code;
    }
    return 0;
}

/* A launch or a copy fails behind the host's back: it answers well, and a later call tells. */
int queued_or_now(enum call_kind kind, int code)
{
    if (!is_sticky(code))
        return code;
    if (kind == CALL_LAUNCH || kind == CALL_COPY) {
        now.dying = code;
        return 0;
    }
    return now.dead = code;
}

/* With lazy streams a failure shows where the host waits or asks, else at the next call. */
void death_shows(enum call_kind kind)
{
    bool asks = kind == CALL_SYNC || kind == CALL_QUERY || kind == CALL_FREE;
    if (now.dying && (!settings.lazy || asks))
        now.dead = now.dying;
}

void sleep_ms(long ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

/* The wait that hangs lets others call meanwhile. */
void hang_at(enum call_kind kind)
{
    if (kind != CALL_SYNC || settings.hang == 0 ||
        (!now.hung && now.calls[CALL_SYNC] != settings.hang))
        return;
    now.hung = settings.hang_ms == 0;
    lock_leave();
    do
        sleep_ms(settings.hang_ms ? settings.hang_ms : 1000);
    while (settings.hang_ms == 0);
    lock_take();
}

void restart()
{
    settings_read(&settings);
    random_seed(settings.seed);
    now = {};
    now.read = true;
}

} // namespace

entry::entry(enum call_kind kind) : refused(cudaSuccess)
{
    lock_take();
    if (!now.read)
        restart();
    int code = now.dead;
    if (code == 0)
        code = driver_answer(kind);
    if (code == 0 && now.dying) {
        death_shows(kind);
        code = now.dead;
    }
    if (code == 0 && (code = failure_answer(kind)) != 0)
        code = queued_or_now(kind, code);
    if (code == 0)
        hang_at(kind);
    refused = answer((cudaError_t)code);
}
entry::~entry()
{
    lock_leave();
}
cudaError_t entry::answer(cudaError_t code)
{
    if (code != cudaSuccess && code != cudaErrorNotReady)
        last_error = code;
    return code;
}

bool device_is_dead()
{
    return now.dead || now.dying;
}
bool device_hangs()
{
    return now.hung;
}
bool launch_is_wrong()
{
    now.launches++;
    return settings.wrong &&
           (now.launches == settings.wrong || (settings.wrong_on && now.launches > settings.wrong));
}

void found(const char *format, ...)
{
    char text[1024], where[160];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    position(where, sizeof where);
    fprintf(stderr, "cuemu: %s%s\n", text, where);
    fflush(nullptr);
    _exit(97);
}

} // namespace cuemu

using namespace cuemu;

/* Reads the environment again and forgets counters and failures, for programs that play several. */
extern "C" __attribute__((visibility("default"))) void cuemu_restart(void)
{
    lock_take();
    restart();
    last_error = cudaSuccess;
    lock_leave();
}

const char *cudaGetErrorName(cudaError_t error)
{
    for (const auto &row : errors)
        if (row.number == (int)error)
            return row.name;
    return "unrecognized error code";
}
const char *cudaGetErrorString(cudaError_t error)
{
    for (const auto &row : errors)
        if (row.number == (int)error)
            return row.text;
    return "unrecognized error code";
}
cudaError_t cudaPeekAtLastError()
{
    return now.dead ? (cudaError_t)now.dead : last_error;
}
cudaError_t cudaGetLastError()
{
    cudaError_t error = cudaPeekAtLastError();
    last_error = cudaSuccess;
    return error;
}
