/* memory.cc - device and pinned memory: exact sizes, poison, guards, and hidden from the host.
 *
 * An allocation lies between two guard zones. Where there is an address sanitizer the zones are poisoned,
 * and so is the allocation itself outside launches and copies: the host cannot touch it. Elsewhere the
 * zones hold a pattern that is looked at after each launch. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuemu/state.h"

namespace cuemu
{
namespace
{

enum { ZONE = 256, COUNTED = 512 /* what the device's allocator rounds up to */ };

struct allocation {
    char *raw, *at;
    size_t bytes;
    int device;   /* -1: pinned host memory */
    char *before; /* what it held before a launch that is to be spoiled */
    struct allocation *next;
};
struct allocation *all;
size_t used[DEVICES_MOST];
thread_local int device_now;

size_t counted(size_t bytes)
{
    return (bytes + COUNTED - 1) / COUNTED * COUNTED;
}

/* The allocation that holds `at`, its zones included with `zones`. */
struct allocation *holder(const void *at, size_t zones)
{
    const char *byte = static_cast<const char *>(at);
    for (struct allocation *each = all; each; each = each->next)
        if (byte >= each->at - zones && byte < each->at + each->bytes + zones)
            return each;
    return nullptr;
}

/* NULL: the machine has no such memory. */
struct allocation *allocation_new(size_t bytes, int device)
{
    struct allocation *made = static_cast<struct allocation *>(calloc(1, sizeof *made));
    void *raw = nullptr;
    if (!made || posix_memalign(&raw, ZONE, bytes + 2 * ZONE) != 0) {
        free(made);
        return nullptr;
    }
    made->raw = static_cast<char *>(raw);
    made->at = made->raw + ZONE;
    made->bytes = bytes;
    made->device = device;
    fill(made->raw, GUARD, ZONE);
    fill(made->at, POISON, bytes);
    fill(made->at + bytes, GUARD, ZONE);
    CUEMU_POISON(made->raw, ZONE);
    CUEMU_POISON(made->at + bytes, ZONE);
    if (device >= 0)
        CUEMU_POISON(made->at, bytes);
    made->next = all;
    all = made;
    return made;
}

#ifndef CUEMU_ASAN
/* The first byte of a zone that is not the pattern; ZONE: none. */
size_t first_wrong(const char *zone)
{
    const uint64_t pattern = 0x0101010101010101u * GUARD;
    for (size_t i = 0; i < ZONE; i += sizeof pattern) {
        uint64_t word;
        __builtin_memcpy(&word, zone + i, sizeof word);
        if (word != pattern)
            return i + (size_t)__builtin_ctzll(word ^ pattern) / 8;
    }
    return ZONE;
}
void guard_check(const struct allocation *each, const char *when)
{
    size_t behind = first_wrong(each->at + each->bytes), before = first_wrong(each->raw);
    if (behind < ZONE)
        found("%s: something wrote %zu bytes behind an allocation of %zu bytes", when, behind,
              each->bytes);
    if (before < ZONE)
        found("%s: something wrote %zu bytes before an allocation of %zu bytes", when,
              ZONE - before, each->bytes);
}
#else
void guard_check(const struct allocation *, const char *)
{
}
#endif

/* The first byte that is not zero; each->bytes: none. */
size_t first_left(const struct allocation *each)
{
    const volatile char *byte = each->at;
    size_t i = 0;
    while (i < each->bytes && byte[i] == 0)
        i++;
    return i;
}

/* On a card the next owner gets the memory as it is. */
void zeros_check(const char *call, const struct allocation *each)
{
    size_t at = first_left(each);
    if (at < each->bytes)
        found("%s: byte %zu of an allocation of %zu bytes is not zero, and would be another's to "
              "read",
              call, at, each->bytes);
}

void allocation_free(const char *call, void *memory, bool pinned)
{
    for (struct allocation **link = &all; *link; link = &(*link)->next) {
        struct allocation *each = *link;
        if (each->at != memory || (each->device < 0) != pinned)
            continue;
        guard_check(each, call);
        if (!pinned)
            used[each->device] -= counted(each->bytes);
        *link = each->next;
        CUEMU_UNPOISON(each->raw, each->bytes + 2 * ZONE);
        if (settings.zeroed)
            zeros_check(call, each);
        fill(each->at, POISON, each->bytes);
        free(each->raw);
        free(each);
        return;
    }
    found("%s: %p is not what an allocation gave, or was freed before", call, memory);
}

} // namespace

void fill(void *at, int value, size_t bytes)
{
    volatile uint64_t *word = static_cast<volatile uint64_t *>(at);
    volatile unsigned char *byte = static_cast<volatile unsigned char *>(at);
    uint64_t eight = 0x0101010101010101u * (unsigned char)value;
    size_t whole = reinterpret_cast<uintptr_t>(at) % 8 == 0 ? bytes / 8 : 0;
    for (size_t i = 0; i < whole; i++)
        word[i] = eight;
    for (size_t i = 8 * whole; i < bytes; i++)
        byte[i] = (unsigned char)value;
}

bool is_device_memory(const void *at)
{
    struct allocation *each = holder(at, 0);
    return each && each->device >= 0;
}

void device_range_check(const char *call, const void *at, size_t bytes)
{
    struct allocation *each = holder(at, 0);
    if (!each || each->device < 0)
        found("%s: %p is not device memory", call, at);
    size_t left = (size_t)(each->at + each->bytes - static_cast<const char *>(at));
    if (bytes > left)
        found("%s: %zu bytes at byte %zu of a device allocation of %zu bytes", call, bytes,
              each->bytes - left, each->bytes);
}

void host_range_check(const char *call, const void *at, size_t bytes)
{
    const char *first = static_cast<const char *>(at);
    for (struct allocation *each = all; each; each = each->next) {
        bool meets = first < each->at + each->bytes && each->at < first + bytes;
        if (each->device >= 0 && meets)
            found("%s: %p is device memory, host memory is wanted", call, at);
        bool pinned = each->device < 0 && first >= each->at && first < each->at + each->bytes;
        if (pinned && bytes > (size_t)(each->at + each->bytes - first))
            found("%s: %zu bytes at byte %zu of a pinned allocation of %zu bytes", call, bytes,
                  (size_t)(first - each->at), each->bytes);
    }
}

void memory_show()
{
    for (struct allocation *each = all; each; each = each->next)
        if (each->device >= 0)
            CUEMU_UNPOISON(each->at, each->bytes);
}
void memory_hide()
{
    for (struct allocation *each = all; each; each = each->next)
        if (each->device >= 0)
            CUEMU_POISON(each->at, each->bytes);
}

void guards_check(const char *when)
{
    for (struct allocation *each = all; each; each = each->next)
        guard_check(each, when);
}

void spoil_begin()
{
    for (struct allocation *each = all; each; each = each->next)
        if (each->device >= 0 && (each->before = static_cast<char *>(malloc(each->bytes + 1))))
            for (size_t i = 0; i < each->bytes; i++)
                each->before[i] = static_cast<volatile char *>(each->at)[i];
}

/* One of the bytes that changed, drawn evenly; its lowest bit, so that an index stays near its range. */
void spoil_end()
{
    char *victim = nullptr;
    uint64_t changed = 0;
    for (struct allocation *each = all; each; each = each->next) {
        for (size_t i = 0; each->before && i < each->bytes; i++)
            if (each->before[i] != each->at[i] && random_below(++changed) == 0)
                victim = each->at + i;
        free(each->before);
        each->before = nullptr;
    }
    if (victim)
        *static_cast<volatile char *>(victim) ^= 1;
}

int current_device()
{
    return device_now;
}
void current_device_set(int device)
{
    device_now = device;
}

} // namespace cuemu

using namespace cuemu;

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    struct entry entry(CALL_MALLOC);
    if (entry.refused)
        return entry.refused;
    *out = nullptr;
    if (bytes == 0)
        return cudaSuccess;
    int device = current_device();
    if (bytes > settings.memory || used[device] > settings.memory ||
        counted(bytes) > settings.memory - used[device])
        return entry.answer(cudaErrorMemoryAllocation);
    struct allocation *made = allocation_new(bytes, device);
    if (!made)
        return entry.answer(cudaErrorMemoryAllocation);
    used[device] += counted(bytes);
    *out = made->at;
    return cudaSuccess;
}

cudaError_t cudaFree(void *memory)
{
    struct entry entry(CALL_FREE);
    if (entry.refused || !memory)
        return entry.refused;
    streams_finish();
    allocation_free("cudaFree", memory, false);
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned)
{
    struct entry entry(CALL_HOST_MALLOC);
    if (entry.refused)
        return entry.refused;
    struct allocation *made = bytes ? allocation_new(bytes, -1) : nullptr;
    if (bytes && !made)
        return entry.answer(cudaErrorMemoryAllocation);
    *out = made ? made->at : nullptr;
    return cudaSuccess;
}
cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    return cudaHostAlloc(out, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void *memory)
{
    struct entry entry(CALL_FREE);
    if (entry.refused || !memory)
        return entry.refused;
    streams_finish();
    allocation_free("cudaFreeHost", memory, true);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free, size_t *total)
{
    struct entry entry(CALL_CONTEXT);
    if (entry.refused)
        return entry.refused;
    *total = settings.memory;
    size_t taken = used[current_device()];
    *free = taken < settings.memory ? settings.memory - taken : 0;
    return cudaSuccess;
}
