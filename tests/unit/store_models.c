/* store_models.c - models outlive everything but their deletion: restarts, kill -9, full disks. */
#include <dirent.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "host/base/clock.h"
#include "host/base/fault.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/jobs/ledger.h"
#include "host/store/object.h"
#include "tests/check.h"

enum { K = 3, D = 4 };

struct scene {
    char folder[64];
    struct limits limits;
    struct ledger *ledger;
    struct catalog *catalog;
    struct error error;
};

static enum status scene_start(struct scene *scene)
{
    log_set_level(LOG_SILENT);
    scene->ledger = ledger_new(64 << 20);
    return catalog_open(scene->folder, &scene->limits, scene->ledger, &scene->catalog,
                        &scene->error);
}

static void scene_end(struct scene *scene)
{
    catalog_close(&scene->catalog);
    ledger_free(&scene->ledger);
}

static bool scene_open(struct check *check, struct scene *scene)
{
    *scene = (struct scene){.limits = limits_default(), .folder = "/tmp/bary-store-XXXXXX"};
    return check_true(check, mkdtemp(scene->folder) != NULL) &&
           check_equal_i64(check, scene_start(scene), STATUS_OK);
}

static void scene_close(struct check *check, struct scene *scene)
{
    char command[128];

    scene_end(scene);
    snprintf(command, sizeof command, "rm -rf '%s'", scene->folder);
    check_equal_i64(check, system(command), 0);
}

static bool scene_again(struct check *check, struct scene *scene)
{
    scene_end(scene);
    return check_equal_i64(check, scene_start(scene), STATUS_OK);
}

/* A model whose centers tell `number`. */
static struct model *model_new(int number)
{
    double centers[K * D];
    struct model *model = NULL;

    for (int i = 0; i < K * D; i++)
        centers[i] = number + i;
    model_of_centers(centers, K, D, NUMBER_F64, &model, NULL);
    return model;
}

static enum status keep(struct scene *scene, const char *name, int number, int64_t *version)
{
    struct model *model = model_new(number);
    struct model_view view = {0};
    enum status status = model_keep(scene->catalog, name, model, &view, &scene->error);

    if (version)
        *version = view.version;
    model_view_free(&view);
    model_unpin(&model);
    return status;
}

static void check_model(struct check *check, struct scene *scene, const char *name, int64_t version,
                        int number)
{
    struct model_view view = {0};

    if (!check_equal_i64(check, model_get(scene->catalog, name, version, &view, &scene->error),
                         STATUS_OK))
        return;
    check_equal_i64(check, view.model->n_clusters, K);
    check_equal_i64(check, view.n_clusters, K);
    check_equal_bits(check, view.model->centers[K * D - 1], number + K * D - 1);
    model_view_free(&view);
}

/* Files in FOLDER/models. */
static int files(const struct scene *scene, char *last, size_t bytes)
{
    char path[128];
    int count = 0;

    snprintf(path, sizeof path, "%s/models", scene->folder);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.') {
            count++;
            if (last)
                snprintf(last, bytes, "%s/%.100s", path, entry->d_name);
        }
    if (folder)
        closedir(folder);
    return count;
}

static void a_model_is_whole_after_a_restart(struct check *check)
{
    struct scene scene;
    int64_t version = 0;

    if (!scene_open(check, &scene))
        return;
    check_equal_i64(check, keep(&scene, "m", 10, &version), STATUS_OK);
    check_equal_i64(check, version, 1);
    check_equal_i64(check, keep(&scene, "m", 20, &version), STATUS_OK);
    check_equal_i64(check, version, 2);
    check_model(check, &scene, "m", 0, 20);
    if (!scene_again(check, &scene))
        return;
    check_model(check, &scene, "m", 0, 20);
    check_model(check, &scene, "m", 1, 10);
    check_equal_i64(check, model_get(scene.catalog, "m", 3, NULL, &scene.error),
                    STATUS_MODEL_NOT_FOUND);
    check_equal_text(check, error_value(&scene.error, "name"), "m/versions/3");
    scene_close(check, &scene);
}

static void a_version_is_never_used_twice(struct check *check)
{
    struct scene scene;
    int64_t version = 0;

    if (!scene_open(check, &scene))
        return;
    keep(&scene, "m", 1, NULL);
    keep(&scene, "m", 2, NULL);
    check_equal_i64(check, model_delete(scene.catalog, "m", 2, NULL), STATUS_OK);
    check_model(check, &scene, "m", 0, 1);
    check_equal_i64(check, files(&scene, NULL, 0), 1);
    check_equal_i64(check, model_delete(scene.catalog, "m", 0, NULL), STATUS_OK);
    check_equal_i64(check, files(&scene, NULL, 0), 0);
    check_equal_i64(check, model_delete(scene.catalog, "m", 0, &scene.error),
                    STATUS_MODEL_NOT_FOUND);
    if (!scene_again(check, &scene))
        return;
    check_equal_i64(check, keep(&scene, "m", 3, &version), STATUS_OK);
    check_equal_i64(check, version, 3);
    scene_close(check, &scene);
}

static void lists_go_by_name_and_version(struct check *check)
{
    struct scene scene;
    struct model_view view[4];
    int count = 0;
    bool more = false;

    if (!scene_open(check, &scene))
        return;
    keep(&scene, "b", 1, NULL);
    keep(&scene, "a", 2, NULL);
    keep(&scene, "a", 3, NULL);
    check_equal_i64(check, model_list(scene.catalog, "", 0, 2, view, &count, &more, NULL),
                    STATUS_OK);
    check_equal_i64(check, count, 2);
    check_true(check, more);
    check_equal_text(check, view[1].name, "a");
    check_equal_i64(check, view[1].version, 2);
    model_list(scene.catalog, "a", 2, 4, view, &count, &more, NULL);
    check_equal_i64(check, count, 1);
    check_true(check, !more);
    check_equal_text(check, view[0].name, "b");
    scene_close(check, &scene);
}

static void a_damaged_file_is_data_loss_for_that_model_alone(struct check *check)
{
    struct scene scene;
    char path[256];
    struct model_view view;

    if (!scene_open(check, &scene))
        return;
    keep(&scene, "bad", 1, NULL);
    check_equal_i64(check, files(&scene, path, sizeof path), 1);
    keep(&scene, "good", 2, NULL);
    FILE *file = fopen(path, "r+b");
    fseek(file, -20, SEEK_END);
    fputc(0x5a, file);
    fclose(file);
    if (!scene_again(check, &scene))
        return;
    check_equal_i64(check, model_get(scene.catalog, "bad", 0, &view, &scene.error), STATUS_DAMAGED);
    check_model(check, &scene, "good", 0, 2);
    check_equal_i64(check, truncate(path, 50), 0);
    if (!scene_again(check, &scene))
        return;
    check_equal_i64(check, model_get(scene.catalog, "bad", 0, &view, &scene.error), STATUS_DAMAGED);
    check_equal_i64(check, unlink(path), 0);
    if (!scene_again(check, &scene))
        return;
    check_equal_i64(check, model_get(scene.catalog, "bad", 0, &view, &scene.error), STATUS_DAMAGED);
    check_model(check, &scene, "good", 0, 2);
    check_equal_i64(check, model_delete(scene.catalog, "bad", 0, NULL), STATUS_OK);
    scene_close(check, &scene);
}

static void a_file_of_another_model_is_not_taken_for_its_own(struct check *check)
{
    struct scene scene;
    char mine[256], command[600];
    struct model_view view;

    if (!scene_open(check, &scene))
        return;
    keep(&scene, "mine", 1, NULL);
    check_equal_i64(check, files(&scene, mine, sizeof mine), 1);
    snprintf(command, sizeof command, "cp '%s' '%s/copy'", mine, scene.folder);
    check_equal_i64(check, system(command), 0);
    check_equal_i64(check, model_delete(scene.catalog, "mine", 0, NULL), STATUS_OK);
    keep(&scene, "other", 2, NULL);
    check_equal_i64(check, files(&scene, mine, sizeof mine), 1);
    snprintf(command, sizeof command, "mv '%s/copy' '%s'", scene.folder, mine);
    check_equal_i64(check, system(command), 0);
    if (!scene_again(check, &scene))
        return;
    check_equal_i64(check, model_get(scene.catalog, "other", 0, &view, &scene.error),
                    STATUS_DAMAGED);
    scene_close(check, &scene);
}

static void a_second_server_is_kept_out(struct check *check)
{
    struct scene scene, other;

    if (!scene_open(check, &scene))
        return;
    other = (struct scene){.limits = limits_default()};
    memcpy(other.folder, scene.folder, sizeof other.folder);
    check_equal_i64(check, scene_start(&other), STATUS_STATE_LOCKED);
    check_equal_text(check, error_value(&other.error, "path"), scene.folder);
    scene_end(&other);
    scene_close(check, &scene);
}

static void folders_that_cannot_serve_are_refused(struct check *check)
{
    struct scene scene = {.limits = limits_default()};
    char command[200];

    snprintf(scene.folder, sizeof scene.folder, "/proc/bary");
    check_equal_i64(check, scene_start(&scene), STATUS_STATE_UNWRITABLE);
    scene_end(&scene);
    snprintf(scene.folder, sizeof scene.folder, "/dev/null/bary");
    check_equal_i64(check, scene_start(&scene), STATUS_STATE_UNWRITABLE);
    scene_end(&scene);
    if (!scene_open(check, &scene))
        return;
    scene_end(&scene);
    snprintf(command, sizeof command, "%s/bary.db", scene.folder);
    sqlite3 *database = NULL;
    check_equal_i64(check, sqlite3_open(command, &database), SQLITE_OK);
    sqlite3_exec(database, "PRAGMA user_version = 99", NULL, NULL, NULL);
    sqlite3_close(database);
    check_equal_i64(check, scene_start(&scene), STATUS_STATE_UNWRITABLE);
    check_true(check, strstr(error_value(&scene.error, "why"), "newer Bary") != NULL);
    scene_end(&scene);
    FILE *file = fopen(command, "wb");
    fputs("this is no database, whatever its name says, and long enough to be looked at", file);
    fclose(file);
    check_equal_i64(check, scene_start(&scene), STATUS_DAMAGED);
    scene_close(check, &scene);
}

static void the_folder_is_its_owners_alone(struct check *check)
{
    struct scene scene;
    struct stat about;

    if (!scene_open(check, &scene))
        return;
    scene_end(&scene);
    chmod(scene.folder, 0755);
    check_equal_i64(check, scene_start(&scene), STATUS_OK);
    stat(scene.folder, &about);
    check_equal_i64(check, about.st_mode & 0777, 0700);
    scene_close(check, &scene);
}

#ifdef BARY_FAULTS
/* Memory, where there is enough of it: a killed process needs no disk to find its bytes again, and
 * these trials sync hundreds of times. */
static void trial_folder(struct scene *scene)
{
    struct statvfs shm;
    bool roomy = statvfs("/dev/shm", &shm) == 0 && access("/dev/shm", W_OK) == 0 &&
                 (int64_t)(shm.f_bavail * shm.f_frsize) > (int64_t)256 << 20;

    *scene = (struct scene){.limits = limits_default()};
    snprintf(scene->folder, sizeof scene->folder, "%s/bary-store-XXXXXX",
             roomy ? "/dev/shm" : "/tmp");
}

/* Keeps, replaces and deletes until it is killed. Says on `out` what was acknowledged. */
static void victim(struct scene *scene, const char *fault, int out)
{
    int32_t said;

    fault_set(fault);
    if (scene_start(scene) != STATUS_OK)
        _exit(3);
    for (int32_t i = 1; i <= 6; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        if (keep(scene, name, i, NULL) != STATUS_OK)
            _exit(4);
        if (write(out, &i, sizeof i) != sizeof i)
            _exit(5);
        if (i % 3 != 0)
            continue;
        said = -i; /* may be gone from here on */
        if (write(out, &said, sizeof said) != sizeof said)
            _exit(5);
        if (model_delete(scene->catalog, name, 0, NULL) != STATUS_OK)
            _exit(6);
        said = -100 - i; /* must be gone */
        if (write(out, &said, sizeof said) != sizeof said)
            _exit(5);
    }
    scene_end(scene);
    _exit(0);
}

enum promise { UNSAID, KEPT, GOING, GONE }; /* GOING: its deletion was begun */

static void check_promises(struct check *check, struct scene *scene, const int *promised)
{
    if (!check_equal_i64(check, scene_start(scene), STATUS_OK))
        return;
    for (int i = 1; i <= 6; i++) {
        char name[16];
        struct model_view view = {0};
        snprintf(name, sizeof name, "m%d", i);
        enum status status = model_get(scene->catalog, name, 0, &view, &scene->error);
        if (promised[i] == KEPT)
            check_equal_i64(check, status, STATUS_OK);
        if (promised[i] == GONE)
            check_equal_i64(check, status, STATUS_MODEL_NOT_FOUND);
        if (status == STATUS_OK)
            check_equal_bits(check, view.model->centers[0], i);
        else
            check_equal_i64(check, status, STATUS_MODEL_NOT_FOUND);
        model_view_free(&view);
    }
    struct catalog_counts counts;
    catalog_counts(scene->catalog, &counts);
    check_equal_i64(check, files(scene, NULL, 0), counts.models); /* nothing half-written */
}

static void promises_read(int from, int promised[8])
{
    int32_t said;

    while (read(from, &said, sizeof said) == sizeof said) {
        if (said > 0)
            promised[said] = KEPT;
        else if (said > -100)
            promised[-said] = GOING;
        else
            promised[-100 - said] = GONE;
    }
    close(from);
}

/* One life under `fault`, then a restart. True: it was killed. */
static bool trial(struct check *check, const char *fault)
{
    struct scene scene;
    int pipes[2], promised[8] = {0}, status = 0;

    trial_folder(&scene);
    check_note(check, "BARY_FAULT=%s", fault);
    if (!check_true(check, mkdtemp(scene.folder) != NULL && pipe(pipes) == 0))
        return false;
    pid_t pid = fork();
    if (pid == 0)
        victim(&scene, fault, pipes[1]);
    close(pipes[1]);
    promises_read(pipes[0], promised);
    waitpid(pid, &status, 0);
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    check_true(check, killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    check_promises(check, &scene, promised);
    scene_close(check, &scene);
    return killed;
}

static void kill_at_every_point_keeps_every_acknowledged_model(struct check *check)
{
    static const char *const POINTS[] = {"file_write",    "file_sync",       "file_rename",
                                         "database_open", "database_commit", "database_committed"};
    int kills = 0;

    for (size_t p = 0; p < sizeof POINTS / sizeof POINTS[0]; p++)
        for (int nth = 1; nth < 30; nth++) {
            char fault[64];
            snprintf(fault, sizeof fault, "%s:%d:kill", POINTS[p], nth);
            if (!trial(check, fault))
                break;
            kills++;
        }
    check_true(check, kills >= 35); /* 6 writes, 12 syncs, 6 renames, 1 open, 8 commits twice */
}

static void kill_at_random_moments_keeps_every_acknowledged_model(struct check *check)
{
    uint64_t state = 20;

    for (int i = 0; i < 10; i++) {
        struct scene scene;
        int pipes[2], promised[8] = {0};
        trial_folder(&scene);
        if (!check_true(check, mkdtemp(scene.folder) != NULL && pipe(pipes) == 0))
            return;
        pid_t pid = fork();
        if (pid == 0)
            victim(&scene, NULL, pipes[1]);
        close(pipes[1]);
        usleep((useconds_t)(check_random(&state) % 40000));
        kill(pid, SIGKILL);
        promises_read(pipes[0], promised);
        waitpid(pid, NULL, 0);
        check_promises(check, &scene, promised);
        scene_close(check, &scene);
    }
}

static void a_failure_leaves_no_trace_and_the_catalog_works_on(struct check *check)
{
    static const struct {
        const char *point;
        enum status status;
    } POINTS[] = {{"file_write", STATUS_STORAGE_FULL},
                  {"file_sync", STATUS_IO},
                  {"file_rename", STATUS_IO},
                  {"storage_full", STATUS_STORAGE_FULL},
                  {"database_commit", STATUS_STORAGE_FULL}};
    struct scene scene;

    if (!scene_open(check, &scene))
        return;
    keep(&scene, "old", 5, NULL);
    for (size_t p = 0; p < sizeof POINTS / sizeof POINTS[0]; p++)
        for (int nth = 1; nth <= 2; nth++) {
            char fault[64];
            snprintf(fault, sizeof fault, "%s:%d:fail", POINTS[p].point, nth);
            check_note(check, "BARY_FAULT=%s", fault);
            fault_set(fault);
            enum status status = keep(&scene, "new", 6, NULL);
            fault_set(NULL);
            if (status == STATUS_OK) { /* one point is passed once only */
                check_equal_i64(check, model_delete(scene.catalog, "new", 0, NULL), STATUS_OK);
                continue;
            }
            check_equal_i64(check, status, POINTS[p].status);
            const char *what = error_value(&scene.error, "what");
            check_true(check, what && !strstr(what, "/"));
            check_equal_i64(check, files(&scene, NULL, 0), 1);
            check_equal_i64(check, model_get(scene.catalog, "new", 0, NULL, NULL),
                            STATUS_MODEL_NOT_FOUND);
            check_model(check, &scene, "old", 0, 5);
        }
    check_equal_i64(check, keep(&scene, "new", 7, NULL), STATUS_OK); /* space is back */
    if (scene_again(check, &scene)) {
        check_model(check, &scene, "new", 0, 7);
        check_model(check, &scene, "old", 0, 5);
    }
    scene_close(check, &scene);
}

static void a_full_disk_still_deletes(struct check *check)
{
    struct scene scene;

    if (!scene_open(check, &scene))
        return;
    keep(&scene, "m", 5, NULL);
    fault_set("storage_full:1+:fail,file_write:1+:fail");
    check_equal_i64(check, keep(&scene, "n", 5, NULL), STATUS_STORAGE_FULL);
    check_model(check, &scene, "m", 0, 5);
    check_equal_i64(check, model_delete(scene.catalog, "m", 0, NULL), STATUS_OK);
    fault_set(NULL);
    scene_close(check, &scene);
}

static void no_failed_allocation_leaves_anything_behind(struct check *check)
{
    struct scene scene;
    char fault[64];
    bool done = false;

    if (!scene_open(check, &scene))
        return;
    struct model *model = model_new(1);
    for (int nth = 1; nth < 100 && !done; nth++) {
        struct model_view view = {0};
        snprintf(fault, sizeof fault, "memory:%d:fail", nth);
        check_note(check, "BARY_FAULT=%s", fault);
        fault_set(fault);
        enum status status = model_keep(scene.catalog, "m", model, &view, &scene.error);
        fault_set(NULL);
        done = status == STATUS_OK;
        if (!done)
            check_equal_i64(check, status, STATUS_OUT_OF_MEMORY);
        check_equal_i64(check, files(&scene, NULL, 0), done);
        model_view_free(&view);
    }
    check_true(check, done);
    model_unpin(&model);
    for (int nth = 1; nth < 100; nth++) { /* and starts */
        snprintf(fault, sizeof fault, "memory:%d:fail", nth);
        check_note(check, "start with BARY_FAULT=%s", fault);
        scene_end(&scene);
        scene.ledger = ledger_new(64 << 20);
        fault_set(fault);
        enum status status =
            catalog_open(scene.folder, &scene.limits, scene.ledger, &scene.catalog, &scene.error);
        fault_set(NULL);
        if (status == STATUS_OK)
            break;
        check_true(check, status == STATUS_OUT_OF_MEMORY || status == STATUS_STATE_UNWRITABLE);
    }
    check_model(check, &scene, "m", 0, 1);
    scene_close(check, &scene);
}
#endif

static void the_quota_counts_models_and_datasets(struct check *check)
{
    struct scene scene = {.limits = limits_default(), .folder = "/tmp/bary-store-XXXXXX"};

    scene.limits.objects = 2;
    if (!check_true(check, mkdtemp(scene.folder) != NULL) ||
        !check_equal_i64(check, scene_start(&scene), STATUS_OK))
        return;
    check_equal_i64(check, keep(&scene, "a", 1, NULL), STATUS_OK);
    check_equal_i64(check, keep(&scene, "b", 1, NULL), STATUS_OK);
    check_equal_i64(check, keep(&scene, "c", 1, NULL), STATUS_QUOTA_OBJECTS);
    scene.limits.objects = 3;
    catalog_set_limits(scene.catalog, &scene.limits);
    check_equal_i64(check, keep(&scene, "c", 1, NULL), STATUS_OK);
    scene_close(check, &scene);
}

#ifdef BARY_FAULTS
CHECKS(CLAIM(a_model_is_whole_after_a_restart), CLAIM(a_version_is_never_used_twice),
       CLAIM(lists_go_by_name_and_version), CLAIM(a_damaged_file_is_data_loss_for_that_model_alone),
       CLAIM(a_file_of_another_model_is_not_taken_for_its_own), CLAIM(a_second_server_is_kept_out),
       CLAIM(folders_that_cannot_serve_are_refused), CLAIM(the_folder_is_its_owners_alone),
       CLAIM(the_quota_counts_models_and_datasets),
       CLAIM(kill_at_every_point_keeps_every_acknowledged_model),
       CLAIM(kill_at_random_moments_keeps_every_acknowledged_model),
       CLAIM(a_failure_leaves_no_trace_and_the_catalog_works_on), CLAIM(a_full_disk_still_deletes),
       CLAIM(no_failed_allocation_leaves_anything_behind))
#else
CHECKS(CLAIM(a_model_is_whole_after_a_restart), CLAIM(a_version_is_never_used_twice),
       CLAIM(lists_go_by_name_and_version), CLAIM(a_damaged_file_is_data_loss_for_that_model_alone),
       CLAIM(a_file_of_another_model_is_not_taken_for_its_own), CLAIM(a_second_server_is_kept_out),
       CLAIM(folders_that_cannot_serve_are_refused), CLAIM(the_folder_is_its_owners_alone),
       CLAIM(the_quota_counts_models_and_datasets))
#endif
