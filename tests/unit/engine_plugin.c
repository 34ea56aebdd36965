/* engine_plugin.c - the loader: what it opens, and every way in which it says no. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/memory.h"
#include "kernels/plugin.h"
#include "tests/check.h"

/* A folder of one's own with what is to be refused in it. */
struct scene {
    char folder[64], file[128];
};

static void scene_open(struct scene *scene)
{
    snprintf(scene->folder, sizeof scene->folder, "/tmp/bary-plugin-XXXXXX");
    if (!mkdtemp(scene->folder))
        abort();
    snprintf(scene->file, sizeof scene->file, "%s/libbary_cuda.so", scene->folder);
}

static void scene_close(struct scene *scene)
{
    unlink(scene->file);
    rmdir(scene->folder);
}

/* The first `bytes` of the plug-in of tests/faults/<name>, all if negative. */
static void copy(const struct scene *scene, const char *name, int64_t bytes)
{
    char path[512], buffer[65536];
    int64_t left = bytes < 0 ? INT64_MAX : bytes;

    snprintf(path, sizeof path, BARY_FAKES "/%s/libbary_cuda.so", name);
    FILE *from = fopen(path, "rb"), *to = fopen(scene->file, "wb");
    if (!from || !to)
        abort();
    while (left > 0) {
        size_t want = left < (int64_t)sizeof buffer ? (size_t)left : sizeof buffer;
        size_t got = fread(buffer, 1, want, from);
        if (got == 0 || fwrite(buffer, 1, got, to) != got)
            break;
        left -= (int64_t)got;
    }
    fclose(from);
    fclose(to);
}

static void write_text(const struct scene *scene, const char *text)
{
    FILE *file = fopen(scene->file, "w");

    if (!file || fputs(text, file) < 0)
        abort();
    fclose(file);
}

static void check_refused(struct check *check, const char *folder, enum device_reason reason,
                          const char *part)
{
    struct refusal why = {.reason = REASON_NONE};

    check_true(check, plugin_open(folder, &why) == NULL);
    check_equal_text(check, device_reason_name(why.reason), device_reason_name(reason));
    check_note(check, "said: %s", why.text);
    check_true(check, strstr(why.text, part) != NULL);
    check_true(check, plugin_open(folder, NULL) == NULL);
}

static void a_plugin_is_opened_and_counts_its_devices(struct check *check)
{
    struct refusal why = {.reason = REASON_NONE};
    const struct backend *backend = plugin_open(BARY_FAKES "/gpu", &why);
    struct device_info info[2];

    if (!check_true(check, backend != NULL)) {
        check_failed(check, __FILE__, __LINE__, "%s", why.text);
        return;
    }
    check_equal_text(check, backend->name, "cuda");
    check_equal_i64(check, backend->devices(info, 2, &why), 1);
    check_equal_text(check, info[0].name, "Fake GPU 0");
    check_true(check, plugin_open(BARY_FAKES "/gpu", NULL) == backend);
}

static void one_that_is_not_there_is_missing(struct check *check)
{
    check_refused(check, "/nowhere", REASON_PLUGIN_MISSING,
                  "cannot open '/nowhere/libbary_cuda.so': No such file or directory");
    check_refused(check, "plugins", REASON_PLUGIN_MISSING, "'plugins' is no absolute path");
    check_refused(check, NULL, REASON_PLUGIN_MISSING,
                  "/../lib/bary/libbary_cuda.so': No such file");
}

/* The loader would die of a signal on most of these. */
static void one_that_is_cut_short_is_refused_wherever_it_was_cut(struct check *check)
{
    struct scene scene;

    scene_open(&scene);
    for (int64_t bytes = 1; bytes < 40000; bytes += 1 + bytes * 2) { /* its code ends far behind */
        struct refusal why = {.reason = REASON_NONE};
        check_note(check, "%lld bytes", (long long)bytes);
        copy(&scene, "gpu", bytes);
        check_true(check, plugin_open(scene.folder, &why) == NULL);
        check_equal_text(check, device_reason_name(why.reason), "PLUGIN_BROKEN");
    }
    copy(&scene, "gpu", 5000);
    check_refused(check, scene.folder, REASON_PLUGIN_BROKEN, "does not load: it is cut short");
    scene_close(&scene);
}

static void what_is_no_library_is_refused(struct check *check)
{
    struct scene scene;

    scene_open(&scene);
    write_text(&scene, "not a library at all, but long enough for a header of one: 0123456789");
    check_refused(check, scene.folder, REASON_PLUGIN_BROKEN, "it is no ELF file");
    write_text(&scene, "");
    check_refused(check, scene.folder, REASON_PLUGIN_BROKEN, "it is no ELF file");
    unlink(scene.file);
    check_true(check, mkdir(scene.file, 0700) == 0);
    check_refused(check, scene.folder, REASON_PLUGIN_BROKEN, "it is no file");
    rmdir(scene.file);
    scene_close(&scene);
    check_refused(check, BARY_FAKES "/bare", REASON_PLUGIN_BROKEN, "undefined symbol: bary_plugin");
}

static void another_abi_is_named(struct check *check)
{
    char ours[64];

    check_refused(check, BARY_FAKES "/abi", REASON_PLUGIN_ABI, "was built for ABI 1");
    snprintf(ours, sizeof ours, "this program has ABI %d", BACKEND_ABI);
    check_refused(check, BARY_FAKES "/abi", REASON_PLUGIN_ABI, ours);
}

static void what_others_may_write_is_not_loaded(struct check *check)
{
    struct scene scene;

    scene_open(&scene);
    copy(&scene, "gpu", -1);
    check_true(check, chmod(scene.file, 0666) == 0);
    check_refused(check, scene.folder, REASON_PLUGIN_UNSAFE,
                  "can be written by others (mode 0666)");
    check_true(check, chmod(scene.file, 0644) == 0 && chmod(scene.folder, 0777) == 0);
    check_refused(check, scene.folder, REASON_PLUGIN_UNSAFE,
                  "can be written by others (mode 0777)");
    check_true(check, chmod(scene.folder, 0755) == 0);
    check_true(check, plugin_open(scene.folder, NULL) != NULL);
    scene_close(&scene);
}

static void what_belongs_to_somebody_else_is_not_loaded(struct check *check)
{
    struct scene scene;

    if (geteuid() != 0) {
        check_skip(check, "only root can give a file away");
        return;
    }
    scene_open(&scene);
    copy(&scene, "gpu", -1);
    check_true(check, chown(scene.file, 65534, 65534) == 0);
    check_refused(check, scene.folder, REASON_PLUGIN_UNSAFE, "belongs to user 65534");
    check_true(check, chown(scene.file, 0, 0) == 0 && chown(scene.folder, 65534, 65534) == 0);
    check_refused(check, scene.folder, REASON_PLUGIN_UNSAFE, "belongs to user 65534");
    check_true(check, chown(scene.folder, 0, 0) == 0);
    scene_close(&scene);
}

/* A link is followed, and where it leads is what is judged. */
static void a_link_is_as_good_as_what_it_leads_to(struct check *check)
{
    struct scene scene, other;

    scene_open(&scene);
    scene_open(&other);
    copy(&other, "gpu", -1);
    check_true(check, symlink(other.file, scene.file) == 0);
    check_true(check, plugin_open(scene.folder, NULL) != NULL);
    check_true(check, chmod(other.folder, 0777) == 0);
    check_refused(check, scene.folder, REASON_PLUGIN_UNSAFE, other.folder);
    scene_close(&scene);
    scene_close(&other);
}

static void every_reason_has_a_word_and_an_advice(struct check *check)
{
    check_equal_text(check, device_reason_name(REASON_DEVICE_LOST), "DEVICE_LOST");
    check_true(check, strlen(device_reason_advice(REASON_NO_DRIVER)) > 10);
}

CHECKS(CLAIM(a_plugin_is_opened_and_counts_its_devices), CLAIM(one_that_is_not_there_is_missing),
       CLAIM(one_that_is_cut_short_is_refused_wherever_it_was_cut),
       CLAIM(what_is_no_library_is_refused), CLAIM(another_abi_is_named),
       CLAIM(what_others_may_write_is_not_loaded),
       CLAIM(what_belongs_to_somebody_else_is_not_loaded),
       CLAIM(a_link_is_as_good_as_what_it_leads_to), CLAIM(every_reason_has_a_word_and_an_advice))
