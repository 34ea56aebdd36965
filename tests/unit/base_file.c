#include "host/base/file.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "host/base/fault.h"
#include "host/base/memory.h"
#include "tests/check.h"

static char folder[64], path[96], part[112];

static void folder_begin(void)
{
    snprintf(folder, sizeof folder, "/tmp/bary-file-XXXXXX");
    if (!mkdtemp(folder))
        abort();
    snprintf(path, sizeof path, "%s/it", folder);
    snprintf(part, sizeof part, "%s.part", path);
}

static void folder_end(void)
{
    char command[96];

    snprintf(command, sizeof command, "rm -r '%s'", folder);
    if (system(command) != 0)
        abort();
}

static bool stands(const char *name)
{
    struct stat about;

    return stat(name, &about) == 0;
}

static enum status put(const char *text, struct error *error)
{
    struct file *file = NULL;
    enum status status;

    TRY(file_create(path, &file, error));
    TRY(file_write(file, text, strlen(text), error));
    TRY(file_adopt(&file, error));
out:
    file_discard(&file);
    return status;
}

static void check_holds(struct check *check, const char *text)
{
    void *data = NULL;
    size_t bytes = 0;

    if (!check_equal_i64(check, file_read_all(path, 1000, &data, &bytes, NULL), STATUS_OK))
        return;
    check_equal_u64(check, bytes, strlen(text));
    check_equal_text(check, data, text);
    memory_free(data);
}

static void a_file_appears_whole_under_its_name(struct check *check)
{
    struct file *file = NULL;

    folder_begin();
    check_equal_i64(check, file_create(path, &file, NULL), STATUS_OK);
    check_equal_i64(check, file_write(file, "one ", 4, NULL), STATUS_OK);
    check_equal_i64(check, file_write(file, "two", 3, NULL), STATUS_OK);
    check_true(check, !stands(path) && stands(part));
    check_equal_i64(check, file_adopt(&file, NULL), STATUS_OK);
    check_true(check, file == NULL && !stands(part));
    check_holds(check, "one two");
    check_equal_i64(check, put("three", NULL), STATUS_OK);
    check_holds(check, "three");
    folder_end();
}

static void a_discarded_file_leaves_nothing(struct check *check)
{
    struct file *file = NULL;

    folder_begin();
    file_discard(&file);
    file_create(path, &file, NULL);
    file_write(file, "x", 1, NULL);
    file_discard(&file);
    check_true(check, file == NULL && !stands(part) && !stands(path));
    folder_end();
}

static void a_failure_at_each_step_leaves_the_old_file_and_no_part(struct check *check)
{
#ifdef BARY_FAULTS
    static const struct {
        const char *fault;
        enum status status;
        const char *after;
    } cases[] = {
        {"file_write:1:fail", STATUS_STORAGE_FULL, "old"},
        {"file_sync:1:fail", STATUS_IO, "old"},
        {"file_rename:1:fail", STATUS_IO, "old"},
        {"file_sync:2:fail", STATUS_IO, "new"}, /* the folder: the new name stands, unsynced */
        {"memory:1:fail", STATUS_OUT_OF_MEMORY, "old"},
        {"memory:2:fail", STATUS_OUT_OF_MEMORY, "old"},
        {"memory:3:fail", STATUS_OUT_OF_MEMORY, "old"},
    };
    struct error error;
    char text[256];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        folder_begin();
        check_note(check, "%s", cases[i].fault);
        put("old", NULL);
        fault_set(cases[i].fault);
        check_equal_i64(check, put("new", &error), cases[i].status);
        fault_set(NULL);
        check_true(check, strstr(error_message(&error, text, sizeof text), folder) != NULL);
        check_true(check, !stands(part));
        check_holds(check, cases[i].after);
        check_equal_i64(check, put("newer", NULL), STATUS_OK);
        check_holds(check, "newer");
        folder_end();
    }
#else
    check_skip(check, "built without BARY_FAULTS");
#endif
}

/* A limit on the size of files fails a real write: EFBIG, after a part of the bytes went out. */
static void a_file_that_may_not_grow_is_storage_full(struct check *check)
{
    struct rlimit before, small;
    struct error error;
    char long_text[5000];

    folder_begin();
    put("old", NULL);
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    small = (struct rlimit){.rlim_cur = 1000, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    check_equal_i64(check, put(long_text, &error), STATUS_STORAGE_FULL);
    setrlimit(RLIMIT_FSIZE, &before);
    check_true(check, !stands(part));
    check_holds(check, "old");
    folder_end();
}

/* Somebody may have put a link where we are about to write. */
static void a_link_in_place_of_the_part_is_not_followed(struct check *check)
{
    struct file *file = NULL;
    char target[112];

    folder_begin();
    snprintf(target, sizeof target, "%s/target", folder);
    if (symlink(target, part) != 0)
        abort();
    check_equal_i64(check, file_create(path, &file, NULL), STATUS_FILE_NOT_FOUND);
    check_true(check, file == NULL && !stands(target));
    folder_end();
}

static void what_cannot_be_opened_is_named_with_the_reason(struct check *check)
{
    struct mapping mapping;
    struct error error;
    char text[256];
    void *data;
    size_t bytes;

    folder_begin();
    check_equal_i64(check, file_read_all(path, 10, &data, &bytes, &error), STATUS_FILE_NOT_FOUND);
    error_message(&error, text, sizeof text);
    check_true(check, strstr(text, path) && strstr(text, "No such file"));
    check_equal_i64(check, file_map(folder, &mapping, &error), STATUS_FILE_NOT_FOUND);
    check_true(check, strstr(error_message(&error, text, sizeof text), "Is a directory") != NULL);
    check_equal_i64(check, file_map("/dev/zero", &mapping, &error), STATUS_FILE_NOT_FOUND);
    check_equal_i64(check, folder_sync(path, &error), STATUS_FILE_NOT_FOUND);
    folder_end();
}

static void reading_all_stops_at_the_limit(struct check *check)
{
    struct error error;
    void *data = NULL;
    size_t bytes = 0;

    folder_begin();
    put("12345", NULL);
    check_equal_i64(check, file_read_all(path, 4, &data, &bytes, &error), STATUS_OUT_OF_RANGE);
    check_equal_text(check, error_value(&error, "value"), "5");
    check_true(check, data == NULL);
    check_equal_i64(check, file_read_all(path, 5, &data, &bytes, &error), STATUS_OK);
    check_equal_u64(check, bytes, 5);
    memory_free(data);
    folder_end();
}

static void mappings_show_the_file_and_may_be_empty(struct check *check)
{
    struct mapping mapping;

    folder_begin();
    put("mapped", NULL);
    check_equal_i64(check, file_map(path, &mapping, NULL), STATUS_OK);
    check_equal_u64(check, mapping.bytes, 6);
    check_equal_bytes(check, mapping.data, "mapped", 6);
    put("other", NULL); /* renamed over: the mapping keeps the old one */
    check_equal_bytes(check, mapping.data, "mapped", 6);
    file_unmap(&mapping);
    check_true(check, mapping.data == NULL);
    put("", NULL);
    check_equal_i64(check, file_map(path, &mapping, NULL), STATUS_OK);
    check_true(check, mapping.data != NULL && mapping.bytes == 0);
    file_unmap(&mapping);
    folder_end();
}

static void folders_are_made_with_their_parents(struct check *check)
{
    struct error error;
    struct stat about;
    char deep[128], text[256];

    folder_begin();
    snprintf(deep, sizeof deep, "%s/a//b/c/", folder);
    check_equal_i64(check, folder_make(deep, 0700, &error), STATUS_OK);
    check_equal_i64(check, folder_make(deep, 0700, &error), STATUS_OK); /* again */
    check_true(check, stat(deep, &about) == 0 && (about.st_mode & 0777) == 0700);
    check_equal_i64(check, folder_sync(deep, &error), STATUS_OK);
    put("a file", NULL);
    snprintf(deep, sizeof deep, "%s/below", path);
    check_true(check, folder_make(deep, 0700, &error) != STATUS_OK);
    check_true(check, strstr(error_message(&error, text, sizeof text), path) != NULL);
    folder_end();
}

CHECKS(CLAIM(a_file_appears_whole_under_its_name), CLAIM(a_discarded_file_leaves_nothing),
       CLAIM(a_failure_at_each_step_leaves_the_old_file_and_no_part),
       CLAIM(a_file_that_may_not_grow_is_storage_full),
       CLAIM(a_link_in_place_of_the_part_is_not_followed),
       CLAIM(what_cannot_be_opened_is_named_with_the_reason), CLAIM(reading_all_stops_at_the_limit),
       CLAIM(mappings_show_the_file_and_may_be_empty), CLAIM(folders_are_made_with_their_parents))
