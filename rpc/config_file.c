/* config_file.c - the INI file, read by inih. Its handler is not told the line, and it would go on
 * after an error; the reader counts lines, and the first error stays. */
#include <errno.h>
#include <ini.h>
#include <string.h>

#include "rpc/config_source.h"

struct reader {
    FILE *file;
    const char *path;
    int line;
    bool cut; /* a line did not fit */
    struct option_layer *layer;
    enum status status;
    struct error *error;
};

static char *read_line(char *text, int room, void *reader_)
{
    struct reader *reader = reader_;
    char *got = fgets(text, room, reader->file);

    if (got) {
        reader->line++;
        reader->cut |= !strchr(got, '\n') && !feof(reader->file);
    }
    return got;
}

static int refuse(struct reader *reader, const char *why)
{
    char where[ORIGIN_BYTES];

    if (reader->status != STATUS_OK)
        return 0;
    snprintf(where, sizeof where, "%s:%d", reader->path, reader->line);
    reader->status = FAIL(reader->error, BAD_CONFIG, TEXT("where", where), TEXT("why", why));
    return 0;
}

static int on_pair(void *reader_, const char *section, const char *key, const char *text)
{
    struct reader *reader = reader_;
    int option = option_find(section, key);
    char why[256], origin[ORIGIN_BYTES];
    int64_t number;

    if (option == OPTIONS_COUNT && !option_nearest(section, key)[0]) {
        snprintf(why, sizeof why, "there is no section [%.60s]; the nearest is [%s]", section,
                 section_nearest(section));
        return refuse(reader, why);
    }
    if (option == OPTIONS_COUNT) {
        snprintf(why, sizeof why, "[%s] has no key '%.60s'; the nearest is '%s'", section, key,
                 option_nearest(section, key));
        return refuse(reader, why);
    }
    if (reader->layer->value[option].origin[0]) {
        snprintf(why, sizeof why, "'%s' is given twice", key);
        return refuse(reader, why);
    }
    snprintf(origin, sizeof origin, "%s:%d", reader->path, reader->line);
    if (reader->status != STATUS_OK)
        return 0;
    reader->status = option_set(reader->layer, option, text, origin, reader->error);
    if (reader->status == STATUS_OK && option_rows[option].type >= OPTION_NUMBER)
        reader->status = option_number(option, text, origin, &number, reader->error);
    return reader->status == STATUS_OK;
}

enum status file_layer(const char *path, struct option_layer *out, struct error *error)
{
    struct reader reader = {
        .file = fopen(path, "re"), .path = path, .layer = out, .status = STATUS_OK, .error = error};
    int bad_line;

    if (!reader.file)
        return FAIL(error, BAD_CONFIG, TEXT("where", path), TEXT("why", strerror(errno)));
    bad_line = ini_parse_stream(read_line, &reader, on_pair, &reader);
    fclose(reader.file);
    if (reader.status == STATUS_OK && reader.cut)
        refuse(&reader, "a line is too long");
    if (reader.status == STATUS_OK && bad_line != 0) {
        reader.line = bad_line > 0 ? bad_line : 0;
        refuse(&reader, "it is neither 'key = value' nor '[section]'");
    }
    return reader.status;
}
