/* replay.c - runs a fuzz target without libFuzzer: over the files of the folders named, and over
 * small changes to each: bits flipped, bytes cut, words put in. The same changes every time.
 *
 * A finding is whatever ends the process; the input at hand then lies in fuzz-failed.bin. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A sanitizer that finds something raises SIGABRT, so that the input is kept. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__ubsan_default_options(void);
const char *__asan_default_options(void)
{
    return "abort_on_error=1";
}
const char *__ubsan_default_options(void)
{
    return "abort_on_error=1";
}

enum { INPUT_BYTES_MAX = 1 << 16, CHANGES_EACH = 2000 };

static uint8_t present[INPUT_BYTES_MAX];
static size_t present_bytes;

static void on_abort(int number)
{
    int file = open("fuzz-failed.bin", O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (file >= 0 && write(file, present, present_bytes) >= 0)
        close(file);
    signal(number, SIG_DFL);
    raise(number);
}

/* A heap block of just that size, so that a read too far is one byte behind it. */
static void run(const uint8_t *data, size_t bytes)
{
    uint8_t *block = malloc(bytes ? bytes : 1);

    if (!block)
        return;
    memcpy(present, data, bytes);
    present_bytes = bytes;
    memcpy(block, data, bytes);
    LLVMFuzzerTestOneInput(block, bytes);
    free(block);
}

static size_t change(uint8_t *data, size_t bytes, uint64_t *random)
{
    static const uint64_t words[] = {
        0, 1, 0x7f, 0x80, 0xff, 0x7fffffff, 0x80000000, UINT64_MAX, (uint64_t)1 << 62};
    uint64_t how = check_random(random) % 6, word;
    size_t at = bytes ? check_random(random) % bytes : 0;

    switch (how) {
    case 0:
        data[at] ^= (uint8_t)(1u << check_random(random) % 8);
        return bytes;
    case 1:
        data[at] = (uint8_t)check_random(random);
        return bytes;
    case 2:
        return at;
    case 3: /* a number that is trouble */
        word = words[check_random(random) % (sizeof words / sizeof words[0])];
        memcpy(data + at, &word, bytes - at < sizeof word ? bytes - at : sizeof word);
        return bytes;
    case 4: /* a byte more */
        if (bytes == INPUT_BYTES_MAX)
            return bytes;
        memmove(data + at + 1, data + at, bytes - at);
        return bytes + 1;
    default: /* a piece twice */
        if (bytes - at > INPUT_BYTES_MAX - bytes)
            return bytes;
        memcpy(data + bytes, data + at, bytes - at);
        return bytes + (bytes - at);
    }
}

static void run_changed(const uint8_t *data, size_t bytes, uint64_t seed)
{
    static uint8_t changed[INPUT_BYTES_MAX];
    uint64_t random = seed;

    for (int i = 0; i < CHANGES_EACH; i++) {
        size_t size = bytes;
        memcpy(changed, data, bytes);
        for (int n = 0; n <= i % 4 && size; n++)
            size = change(changed, size, &random);
        run(changed, size);
    }
}

static bool run_file(const char *folder, const char *name, uint64_t seed)
{
    static uint8_t data[INPUT_BYTES_MAX];
    char path[4096];
    FILE *file;
    size_t bytes;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "rb");
    if (!file)
        return false;
    bytes = fread(data, 1, sizeof data, file);
    fclose(file);
    run(data, bytes);
    run_changed(data, bytes, seed);
    return true;
}

static int run_folder(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    int count = 0;

    while (folder && (entry = readdir(folder)))
        if (entry->d_name[0] != '.' && !strstr(entry->d_name, ".py"))
            count += run_file(path, entry->d_name, (uint64_t)strlen(entry->d_name));
    if (folder)
        closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    int inputs = 0;

    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
    for (int i = 1; i < argc; i++)
        inputs += run_folder(argv[i]);
    printf("%d inputs, %d changes each\n%d passed, %d failed, 0 skipped\n", inputs, CHANGES_EACH,
           inputs > 0, inputs == 0);
    return inputs == 0;
}
