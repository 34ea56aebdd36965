/* steer.h - the failing GPU of gpu.h, told what to do by the program that has it loaded. */
#ifndef BARY_TESTS_FAULTS_STEER_H
#define BARY_TESTS_FAULTS_STEER_H

#include <dlfcn.h>
#include <stdlib.h>

#include "tests/faults/gpu.h"

#ifndef BARY_FAKES
#define BARY_FAKES "tests/faults" /* of the build: it names its own folder */
#endif
#define FAKE BARY_FAKES "/gpu"

/* The plug-in's own functions: whoever opens the same file gets the same library. */
__attribute__((unused)) static void *fake(const char *symbol)
{
    void *library = dlopen(FAKE "/libbary_cuda.so", RTLD_NOW | RTLD_LOCAL);
    void *found = library ? dlsym(library, symbol) : NULL;

    if (!found)
        abort();
    return found;
}

__attribute__((unused)) static void fake_set(const char *words)
{
    union {
        void *object;
        fake_gpu_set_words *function;
    } set = {.object = fake("fake_gpu_set")};

    set.function(words);
}

__attribute__((unused)) static int64_t fake_number(const char *symbol)
{
    union {
        void *object;
        fake_gpu_number *function;
    } number = {.object = fake(symbol)};

    return number.function();
}

__attribute__((unused)) static int64_t fake_calls(int word)
{
    union {
        void *object;
        fake_gpu_count *function;
    } calls = {.object = fake("fake_gpu_calls")};

    return calls.function(word);
}

__attribute__((unused)) static void fake_release(void)
{
    union {
        void *object;
        fake_gpu_call *function;
    } release = {.object = fake("fake_gpu_release")};

    release.function();
}

#endif
