/* settings.cc - reads CUEMU_* from the environment. */
#include "tests/cuemu/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuemu/cuemu.h"

namespace cuemu
{
namespace
{

struct word {
    const char *name;
    int value;
};
const struct word orders[] = {
    {"up", ORDER_UP}, {"down", ORDER_DOWN}, {"random", ORDER_RANDOM}, {nullptr, 0}};
const struct word drivers[] = {{"fine", DRIVER_FINE},
                               {"none", DRIVER_NONE},
                               {"stub", DRIVER_STUB},
                               {"old", DRIVER_OLD},
                               {"broken", DRIVER_BROKEN},
                               {"no_device", DRIVER_NO_DEVICE},
                               {"busy", DRIVER_BUSY},
                               {"wrong_arch", DRIVER_WRONG_ARCH},
                               {nullptr, 0}};
const struct word kinds[] = {{"any", CALL_ANY},
                             {"device", CALL_DEVICE},
                             {"context", CALL_CONTEXT},
                             {"malloc", CALL_MALLOC},
                             {"host_malloc", CALL_HOST_MALLOC},
                             {"free", CALL_FREE},
                             {"copy", CALL_COPY},
                             {"launch", CALL_LAUNCH},
                             {"stream", CALL_STREAM},
                             {"event", CALL_EVENT},
                             {"sync", CALL_SYNC},
                             {"query", CALL_QUERY},
                             {"function", CALL_FUNCTION},
                             {nullptr, 0}};

/* NULL: not set, or empty. */
const char *setting(const char *name)
{
    const char *text = getenv(name);
    return text && *text ? text : nullptr;
}

/* The value of the word that text starts with, up to `end`; moves text behind it. */
int word_value(const char *name, const char **text, const struct word *words)
{
    size_t length = strcspn(*text, ":,");
    for (const struct word *word = words; word->name; word++)
        if (strlen(word->name) == length && strncmp(word->name, *text, length) == 0) {
            *text += length;
            return word->value;
        }
    found("%s: '%.*s' is none of the words it knows", name, (int)length, *text);
}

/* A whole number at text; moves text behind it. */
long number_at(const char *name, const char **text, long least)
{
    char *end;
    long value = strtol(*text, &end, 10);
    if (end == *text || value < least)
        found("%s: '%s' is not a number from %ld", name, *text, least);
    *text = end;
    return value;
}
void separator(const char *name, const char **text)
{
    if (**text != ':')
        found("%s: ':' is missing before '%s'", name, *text);
    ++*text;
}
void at_end(const char *name, const char *text)
{
    if (*text)
        found("%s: '%s' is left over", name, text);
}

long number(const char *name, long fallback, long least)
{
    const char *text = setting(name);
    if (!text)
        return fallback;
    long value = number_at(name, &text, least);
    at_end(name, text);
    return value;
}

void read_driver(struct settings *out)
{
    const char *name = "CUEMU_DRIVER", *text = setting(name);
    if (!text)
        return;
    out->driver = (enum driver)word_value(name, &text, drivers);
    out->driver_code = out->driver == DRIVER_BROKEN ? 803 : 209;
    if (*text == ':') {
        separator(name, &text);
        out->driver_code = (int)number_at(name, &text, 1);
    }
    at_end(name, text);
}

void read_failures(struct settings *out)
{
    const char *name = "CUEMU_FAIL", *text = setting(name);
    while (text && *text) {
        if (out->failures == FAILURES_MOST)
            found("%s: more than %d failures", name, FAILURES_MOST);
        struct failure *failure = &out->failure[out->failures++];
        failure->kind = (enum call_kind)word_value(name, &text, kinds);
        separator(name, &text);
        failure->nth = number_at(name, &text, 1);
        separator(name, &text);
        failure->code = (int)number_at(name, &text, 1);
        if (*text == ',')
            text++;
        else
            at_end(name, text);
    }
}

void read_hang(struct settings *out)
{
    const char *name = "CUEMU_HANG", *text = setting(name);
    if (!text)
        return;
    out->hang = number_at(name, &text, 1);
    if (*text == ':') {
        separator(name, &text);
        out->hang_ms = number_at(name, &text, 1);
    }
    at_end(name, text);
}

void read_wrong(struct settings *out)
{
    const char *name = "CUEMU_WRONG", *text = setting(name);
    if (!text)
        return;
    out->wrong = number_at(name, &text, 1);
    out->wrong_on = *text == '+';
    at_end(name, text + out->wrong_on);
}

} // namespace

void settings_read(struct settings *out)
{
    *out = {};
    const char *text = setting("CUEMU_ORDER");
    if (text)
        out->order = (enum order)word_value("CUEMU_ORDER", &text, orders);
    out->seed = (uint64_t)number("CUEMU_SEED", 1, 0);
    out->resident = number("CUEMU_RESIDENT", 1, 1);
    out->yield = number("CUEMU_YIELD", 0, 0) != 0;
    out->lazy = number("CUEMU_LAZY", 0, 0) != 0;
    out->zeroed = number("CUEMU_ZEROED", 0, 0) != 0;
    read_driver(out);
    read_failures(out);
    read_hang(out);
    read_wrong(out);
    out->devices = number("CUEMU_DEVICES", 1, 0);
    if (out->devices > DEVICES_MOST)
        found("CUEMU_DEVICES: %ld; %d at most", out->devices, DEVICES_MOST);
    out->processors = number("CUEMU_PROCESSORS", 2, 1);
    out->arch = number("CUEMU_ARCH", 90, 10);
    out->contexts = number("CUEMU_CONTEXTS", 240, 1);
    out->memory = (size_t)number("CUEMU_MEMORY", 1l << 30, 0);
    text = setting("CUEMU_NAME");
    snprintf(out->name, sizeof out->name, "%s", text ? text : "cuemu");
}

} // namespace cuemu
