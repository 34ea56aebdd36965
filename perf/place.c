/* place.c - see place.h. */
#include "perf/place.h"

#include <stdio.h>
#include <string.h>

#include "kernels/plugin.h"

static const struct backend *backend_of(const char *name, struct refusal *why)
{
    if (name[0] == '/')
        return plugin_open(name, why);
    const struct backend *backend = backend_named(name);
    if (!backend)
        snprintf(why->text, sizeof why->text,
                 "backends are cpu, ref, or the absolute folder of a plug-in");
    return backend;
}

bool place_open(const char *name, int threads, struct place *out)
{
    struct refusal why = {0};
    struct device_options options = {.threads = threads};
    struct place place = {.backend = backend_of(name, &why)};
    bool opened = place.backend && place.backend->devices(NULL, 0, &why) > 0 &&
                  place.backend->open(0, &options, &place.device, &why) == STATUS_OK;

    if (!opened) {
        fprintf(stderr, "%s: %s: %s\n", name, device_reason_name(why.reason), why.text);
        return false;
    }
    place.backend->describe(place.device, &place.info);
    *out = place;
    return true;
}

void place_close(struct place *place)
{
    place->backend->close(&place->device);
}

bool name_wanted(const char *name, int count, char **names)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return count == 0;
}
