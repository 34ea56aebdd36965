/* config_option.c - the rows: finding, naming, reading one value. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/config_source.h"

#define NO false
#define YES true
const struct option_row option_rows[OPTIONS_COUNT] = {
#define CONFIG(section_, key_, type_, preset_, reload_, help_) \
    [OPTION_##section_##_##key_] = {.section = #section_,      \
                                    .key = #key_,              \
                                    .type = OPTION_##type_,    \
                                    .preset = preset_,         \
                                    .reload = reload_,         \
                                    .help = help_,             \
                                    .most = INT64_MAX},
#include "rpc/config.def"
#undef CONFIG
#define LIMIT(name, preset_, least_, most_, unit_, help_) \
    [OPTION_limits_##name] = {.section = "limits",        \
                              .key = #name,               \
                              .type = OPTION_NUMBER,      \
                              .preset = #preset_,         \
                              .reload = true,             \
                              .help = help_,              \
                              .least = least_,            \
                              .most = most_},
    LIMITS(LIMIT)
#undef LIMIT
};
#undef NO
#undef YES

int option_find(const char *section, const char *key)
{
    for (int i = 0; i < OPTIONS_COUNT; i++)
        if (strcmp(option_rows[i].section, section) == 0 && strcmp(option_rows[i].key, key) == 0)
            return i;
    return OPTIONS_COUNT;
}

/* Levenshtein's, for texts of at most 63 bytes. */
size_t text_distance(const char *a, const char *b)
{
    size_t row[64], rows = strlen(a), columns = strlen(b);

    if (rows > 63 || columns > 63)
        return 64;
    for (size_t c = 0; c <= columns; c++)
        row[c] = c;
    for (size_t r = 1; r <= rows; r++) {
        size_t diagonal = row[0];
        row[0] = r;
        for (size_t c = 1; c <= columns; c++) {
            size_t above = row[c], best = diagonal + (a[r - 1] != b[c - 1]);
            best = row[c - 1] + 1 < best ? row[c - 1] + 1 : best;
            best = above + 1 < best ? above + 1 : best;
            diagonal = above;
            row[c] = best;
        }
    }
    return row[columns];
}

const char *option_nearest(const char *section, const char *key)
{
    const char *best = "";
    size_t least = 1000;

    for (int i = 0; i < OPTIONS_COUNT; i++) {
        size_t distance = text_distance(option_rows[i].key, key);
        if (strcmp(option_rows[i].section, section) == 0 && distance < least) {
            least = distance;
            best = option_rows[i].key;
        }
    }
    return best;
}

const char *section_nearest(const char *section)
{
    const char *best = "";
    size_t least = 1000;

    for (int i = 0; i < OPTIONS_COUNT; i++) {
        size_t distance = text_distance(option_rows[i].section, section);
        if (distance < least) {
            least = distance;
            best = option_rows[i].section;
        }
    }
    return best;
}

void option_flag(int option, char *out, size_t bytes)
{
    const struct option_row *row = &option_rows[option];
    bool server = strcmp(row->section, "server") == 0;

    snprintf(out, bytes, "--%s%s%s", server ? "" : row->section, server ? "" : "-", row->key);
    for (char *next = out; *next; next++)
        if (*next == '_')
            *next = '-';
}

void option_variable(int option, char *out, size_t bytes)
{
    snprintf(out, bytes, "BARY_%s_%s", option_rows[option].section, option_rows[option].key);
    for (char *next = out; *next; next++)
        *next = (char)toupper((unsigned char)*next);
}

static enum status bad(struct error *error, const char *where, const char *why)
{
    return FAIL(error, BAD_CONFIG, TEXT("where", where), TEXT("why", why));
}

/* K, M, G, T in steps of 1024; 0: no such unit. */
static int64_t unit_of(const char *text)
{
    static const char UNITS[] = "KMGT";
    const char *found = text[0] && !text[1] ? strchr(UNITS, toupper((unsigned char)text[0])) : NULL;

    if (text[0] == '\0')
        return 1;
    return found ? INT64_C(1) << (10 * (found - UNITS + 1)) : 0;
}

enum status option_number(int option, const char *text, const char *where, int64_t *out,
                          struct error *error)
{
    const struct option_row *row = &option_rows[option];
    char why[256], *end;
    int64_t number, unit, value;
    bool fits;

    errno = 0;
    number = strtoll(text, &end, 10);
    fits = errno == 0;
    unit = row->type == OPTION_BYTES ? unit_of(end) : *end == '\0';

    if (end == text || unit == 0) {
        snprintf(why, sizeof why, "%s = %s is no number%s", row->key, text,
                 row->type == OPTION_BYTES ? " of bytes (8G, 512M)" : "");
        return bad(error, where, why);
    }
    if (!fits || __builtin_mul_overflow(number, unit, &value) || value < row->least ||
        value > row->most) {
        snprintf(why, sizeof why, "%s = %s is out of range; it must be %lld to %lld", row->key,
                 text, (long long)row->least, (long long)row->most);
        return bad(error, where, why);
    }
    *out = value;
    return STATUS_OK;
}

enum status option_set(struct option_layer *layer, int option, const char *text, const char *origin,
                       struct error *error)
{
    struct option_value *value = &layer->value[option];
    size_t used = strlen(value->text);
    char why[256];
    bool more = value->origin[0] != '\0';

    if (more && option_rows[option].type != OPTION_LIST) {
        snprintf(why, sizeof why, "%s is given twice", option_rows[option].key);
        return bad(error, origin, why);
    }
    if (used + strlen(text) + 2 > sizeof value->text) {
        snprintf(why, sizeof why, "%s is longer than %d bytes", option_rows[option].key,
                 VALUE_BYTES - 2);
        return bad(error, origin, why);
    }
    snprintf(value->text + used, sizeof value->text - used, "%s%s", more ? "," : "", text);
    snprintf(value->origin, sizeof value->origin, "%s", origin);
    return STATUS_OK;
}

const struct option_value *option_given(const struct config_source *source, int option)
{
    const struct option_layer *const layers[] = {&source->flags, &source->environment,
                                                 &source->file};

    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        if (layers[i]->value[option].origin[0])
            return &layers[i]->value[option];
    return NULL;
}
