/* tested.h - the plug-in that BARY_TESTED_PLUGIN names by its path: kernel claims and laws then run on
 * its first device too. The device stays open until the program ends: opening one runs a self-test. */
#ifndef BARY_TESTS_TESTED_H
#define BARY_TESTS_TESTED_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"

/* Its table, or NULL: none is named. A name that does not load ends the program: a test that was asked
 * for may not pass by looking away. */
__attribute__((unused)) static const struct backend *tested_backend(void)
{
    static const struct backend *backend;
    const char *path = getenv("BARY_TESTED_PLUGIN");
    backend_plugin *plugin;
    void *library, *symbol;

    if (backend || !path || !*path)
        return backend;
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    symbol = library ? dlsym(library, BACKEND_PLUGIN_SYMBOL) : NULL;
    memcpy(&plugin, &symbol, sizeof plugin);
    backend = symbol ? plugin(BACKEND_ABI) : NULL;
    if (!backend) {
        printf("BARY_TESTED_PLUGIN=%s is no plug-in: %s\n", path,
               library ? "another ABI" : dlerror());
        exit(1);
    }
    return backend;
}

/* Devices that stay open, by the most rows of their tiles. */
enum { TESTED_DEVICES = 8 };
struct tested_device {
    int tile_rows;
    struct device *device;
};
static struct tested_device tested_devices[TESTED_DEVICES];

__attribute__((unused)) static void tested_end(void)
{
    for (int i = 0; i < TESTED_DEVICES; i++)
        if (tested_devices[i].device)
            tested_backend()->close(&tested_devices[i].device);
}

/* The plug-in's first device, which cuts tiles to so many rows (0: as it likes). */
__attribute__((unused)) static struct device *tested_device(int tile_rows)
{
    struct refusal why = {REASON_NONE, ""};
    char rows[16];
    int at = 0;

    while (at < TESTED_DEVICES && tested_devices[at].device &&
           tested_devices[at].tile_rows != tile_rows)
        at++;
    if (at == TESTED_DEVICES) {
        printf("more than %d sizes of tiles are tested at once\n", TESTED_DEVICES);
        exit(1);
    }
    if (tested_devices[at].device)
        return tested_devices[at].device;
    if (at == 0)
        atexit(tested_end);
    snprintf(rows, sizeof rows, "%d", tile_rows);
    if (tile_rows > 0)
        setenv("BARY_CUDA_TILE_ROWS", rows, 1);
    tested_devices[at].tile_rows = tile_rows;
    if (tested_backend()->open(0, NULL, &tested_devices[at].device, &why) != STATUS_OK) {
        printf("BARY_TESTED_PLUGIN: its device does not open: %s\n", why.text);
        exit(1);
    }
    unsetenv("BARY_CUDA_TILE_ROWS");
    return tested_devices[at].device;
}

#endif
