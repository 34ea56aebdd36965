/* config_source.h - options as rows and as texts. For config*.c alone. */
#ifndef BARY_RPC_CONFIG_SOURCE_H
#define BARY_RPC_CONFIG_SOURCE_H

#include "rpc/config.h"

enum option_type { OPTION_LIST, OPTION_TEXT, OPTION_NUMBER, OPTION_BYTES };
enum option_index {
#define CONFIG(section, key, type, preset, reload, help) OPTION_##section##_##key,
#include "rpc/config.def"
#undef CONFIG
#define LIMIT(name, preset, least, most, unit, help) OPTION_limits_##name,
    LIMITS(LIMIT)
#undef LIMIT
        OPTIONS_COUNT
};

struct option_row {
    const char *section, *key;
    enum option_type type;
    const char *preset;
    bool reload;
    const char *help;
    int64_t least, most; /* of numbers */
};
extern const struct option_row option_rows[OPTIONS_COUNT];

enum { VALUE_BYTES = 1024, ORIGIN_BYTES = 256 };
struct option_value {
    char text[VALUE_BYTES], origin[ORIGIN_BYTES]; /* origin "": not given */
};

/* One layer: what one place said. */
struct option_layer {
    struct option_value value[OPTIONS_COUNT];
};

struct config_source {
    struct option_layer flags, environment, file;
    char path[VALUE_BYTES]; /* of the file, "": none */
};

/* OPTIONS_COUNT: no such. */
int option_find(const char *section, const char *key);
/* The name most like it, of "section" or of keys in that section. */
const char *option_nearest(const char *section, const char *key);
const char *section_nearest(const char *section);
/* "--limits-queued-jobs", "BARY_LIMITS_QUEUED_JOBS". */
void option_flag(int option, char *out, size_t bytes);
void option_variable(int option, char *out, size_t bytes);
/* Number of a text, BAD_CONFIG naming `where`. */
enum status option_number(int option, const char *text, const char *where, int64_t *out,
                          struct error *error);
/* Stores one more text; a LIST is joined by commas. */
enum status option_set(struct option_layer *layer, int option, const char *text, const char *origin,
                       struct error *error);
/* The value in force; NULL: none was given. */
const struct option_value *option_given(const struct config_source *source, int option);

enum status file_layer(const char *path, struct option_layer *out, struct error *error);
size_t text_distance(const char *a, const char *b);

#endif
