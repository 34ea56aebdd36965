/* check_errors.c - every way in which a card is refused or lost, played by the emulator: a status, a reason
 * and a sentence, and the program goes on. */
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/grid.h"
#include "tests/check.h"
#include "tests/tested.h"

/* The plug-in's table, and the emulator under it as the environment now asks. */
static const struct backend *played(const char *name, const char *value)
{
    static void (*restart)(void);
    const struct backend *backend = tested_backend();

    if (!backend)
        return NULL;
    if (!restart) {
        void *symbol = dlsym(dlopen(getenv("BARY_TESTED_PLUGIN"), RTLD_NOW), "cuemu_restart");
        memcpy(&restart, &symbol, sizeof restart);
    }
    if (name)
        setenv(name, value, 1);
    restart();
    return backend;
}

static void played_no_more(const char *name)
{
    unsetenv(name);
    played(NULL, NULL);
}

static bool nothing_to_test(struct check *check)
{
    if (tested_backend())
        return false;
    check_skip(check, "BARY_TESTED_PLUGIN names no plug-in");
    return true;
}

static void a_start_that_fails_says_why(struct check *check)
{
    static const struct {
        const char *name, *value;
        int devices;
        enum device_reason reason;
        const char *text;
    } cases[] = {
        {"CUEMU_DRIVER", "none", 0, REASON_NO_DRIVER, "no NVIDIA driver answers: code 35, "},
        {"CUEMU_DRIVER", "stub", 0, REASON_NO_DRIVER, "no NVIDIA driver answers: code 34, "},
        {"CUEMU_DRIVER", "old", 0, REASON_DRIVER_TOO_OLD, "the driver supports CUDA "},
        {"CUEMU_DRIVER", "broken:803", 0, REASON_DRIVER_BROKEN, "cudaGetDeviceCount: code 803, "},
        {"CUEMU_DRIVER", "broken:802", 0, REASON_DRIVER_BROKEN, "cudaGetDeviceCount: code 802, "},
        {"CUEMU_DRIVER", "no_device", 0, REASON_NO_DEVICE, "cudaGetDeviceCount: code 100, "},
        {"CUEMU_DRIVER", "busy", 1, REASON_DEVICE_BUSY, "cudaSetDevice: code 46, "},
        {"CUEMU_DRIVER", "wrong_arch", 1, REASON_WRONG_ARCH, "cuemu is sm_90, the plug-in holds "},
        {"CUEMU_DRIVER", "wrong_arch:221", 1, REASON_WRONG_ARCH, "cuemu is sm_90, "},
        {"CUEMU_DRIVER", "wrong_arch:222", 1, REASON_WRONG_ARCH, "cuemu is sm_90, "},
        {"CUEMU_DRIVER", "wrong_arch:223", 1, REASON_WRONG_ARCH, "cuemu is sm_90, "},
        {"CUEMU_WRONG", "3+", 1, REASON_DEVICE_WRONG, ""}, /* by a result or an index */
        {"CUEMU_FAIL", "host_malloc:1:2", 1, REASON_NO_MEMORY, "cudaMallocHost: code 2, "},
        {"CUEMU_FAIL", "launch:2:700", 1, REASON_DEVICE_LOST, ""},
        {"CUEMU_FAIL", "device:1:3", 0, REASON_FORKED, "cudaGetDeviceCount: code 3, "},
        {"BARY_CUDA_TILE_ROWS", "0", 1, REASON_NO_DEVICE,
         "BARY_CUDA_TILE_ROWS is '0'; it takes 1 "},
        {"BARY_CUDA_TILE_ROWS", "9x", 1, REASON_NO_DEVICE, "BARY_CUDA_TILE_ROWS is '9x'; "}};

    if (nothing_to_test(check))
        return;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct backend *backend = played(cases[i].name, cases[i].value);
        struct refusal why = {REASON_NONE, ""};
        struct device_info info[2];
        struct device *device = NULL;
        check_note(check, "%s=%s", cases[i].name, cases[i].value);
        check_equal_i64(check, backend->devices(info, 2, &why), cases[i].devices);
        if (cases[i].devices > 0)
            check_true(check, backend->open(0, NULL, &device, &why) != STATUS_OK);
        check_true(check, device == NULL);
        check_equal_i64(check, why.reason, cases[i].reason);
        if (strncmp(why.text, cases[i].text, strlen(cases[i].text)) != 0)
            check_equal_text(check, why.text, cases[i].text);
        backend->devices(NULL, 0, NULL); /* nobody asks why */
        played_no_more(cases[i].name);
    }
}

static void a_card_describes_itself(struct check *check)
{
    const struct backend *backend = nothing_to_test(check) ? NULL : played("CUEMU_DEVICES", "3");
    struct device_info info[4] = {{.name = ""}};
    struct refusal why = {REASON_NONE, ""};
    struct device *device = NULL;

    if (!backend)
        return;
    check_equal_i64(check, backend->devices(info, 2, &why), 3);
    check_equal_i64(check, why.reason, REASON_NONE);
    check_equal_text(check, info[1].name, "cuemu");
    check_equal_text(check, info[1].isa, "sm_90");
    check_equal_text(check, info[2].name, ""); /* not asked for */
    check_equal_i64(check, info[0].memory_bytes, 1 << 30);
    check_equal_i64(check, backend->open(3, NULL, &device, &why), STATUS_NO_DEVICE);
    check_equal_i64(check, backend->open(2, NULL, &device, &why), STATUS_OK);
    backend->describe(device, &info[0]);
    check_true(check, info[0].free_bytes > 0 && info[0].free_bytes <= info[0].memory_bytes);
    backend->failure(device, &why);
    check_equal_i64(check, why.reason, REASON_NONE);
    backend->close(&device);
    backend->close(&device); /* of nothing is fine */
    played_no_more("CUEMU_DEVICES");
}

/* Only open refuses a card, so one that cannot be asked yet keeps its number, and its turn to be tried again. */
static void a_card_that_does_not_describe_itself_counts(struct check *check)
{
    const struct backend *backend = nothing_to_test(check) ? NULL : played("CUEMU_DEVICES", "3");
    struct device_info info[3];
    struct refusal why = {REASON_NONE, ""};

    if (!backend)
        return;
    played("CUEMU_FAIL", "device:3:46"); /* the count, the first card, the second */
    check_equal_i64(check, backend->devices(info, 3, &why), 3);
    check_equal_i64(check, why.reason, REASON_NONE);
    check_equal_text(check, info[0].name, "cuemu");
    check_equal_text(check, info[1].name, "");
    check_equal_text(check, info[2].name, "cuemu");
    unsetenv("CUEMU_DEVICES");
    played_no_more("CUEMU_FAIL");
}

enum { ROWS = 70, COLUMNS = 3, CLUSTERS = 4 };

/* A tile of 15 ms is worked out before anything was measured, so a card must not be taken for another. */
static void a_card_with_few_fp64_lanes_is_expected_to_be_slow(struct check *check)
{
    static const struct {
        const char *arch;
        bool slow;
    } cards[] = {{"80", false},  {"86", true},  {"89", true},  {"90", false},
                 {"100", false}, {"103", true}, {"110", true}, {"120", true}};
    const struct shape wide = {1000, 64, 256, NUMBER_F64, false, 0, 0, RESIDENT};
    double fast_ns = 0;

    if (nothing_to_test(check))
        return;
    for (size_t i = 0; i < sizeof cards / sizeof *cards; i += CHECK_SANITIZED ? 5 : 1) {
        const struct backend *backend = played("CUEMU_ARCH", cards[i].arch);
        struct device *device = NULL;
        struct plan plan = {.row_ns = -1};
        check_note(check, "sm_%s", cards[i].arch);
        check_equal_i64(check, backend->open(0, NULL, &device, NULL), STATUS_OK);
        check_equal_i64(check, backend->plan(device, &wide, &plan), STATUS_OK);
        fast_ns = i == 0 ? plan.row_ns : fast_ns;
        check_true(check, cards[i].slow == (plan.row_ns > 10 * fast_ns));
        backend->close(&device);
        played_no_more("CUEMU_ARCH");
    }
}

/* What a fit asks of a device, in one life. */
struct life {
    const struct backend *backend;
    struct work *work;
    struct block *block;
    int32_t label[ROWS];
    int128 inertia;
};

static const struct shape shape = {ROWS, COLUMNS, CLUSTERS, NUMBER_F32, false, 2, 3, STREAMED};

#define STEP(call)                                     \
    do {                                               \
        enum status step_status = life->backend->call; \
        if (step_status != STATUS_OK)                  \
            return step_status;                        \
    } while (0)

static enum status live(struct life *life, struct device *device, const float *values)
{
    static const int32_t L[COLUMNS] = {4, 4, 4};
    const struct rows rows = {.values = values, .count = ROWS};
    const struct grid grid = {.column = L};
    struct column_facts column[COLUMNS];
    struct facts facts;
    double centers[CLUSTERS * COLUMNS], largest = 0;
    struct assigned assigned;

    facts_init(&facts, column, COLUMNS);
    for (int i = 0; i < CLUSTERS * COLUMNS; i++)
        centers[i] = (double)values[i];
    STEP(work_open(device, &shape, &life->work));
    STEP(load(life->work, &rows, &life->block));
    STEP(facts(life->work, life->block, 0, ROWS, &facts));
    STEP(grid_set(life->work, &grid));
    STEP(seed_take(life->work, life->block, 0, ROWS, centers, true, &largest));
    STEP(wait(life->work));
    STEP(begin(life->work, centers));
    for (int64_t first = 0; first < ROWS; first += 14)
        STEP(assign(life->work, life->block, first, 14, true));
    STEP(wait(life->work));
    STEP(assigned(life->work, &assigned));
    STEP(inertia(life->work, life->block, 0, ROWS, 9, &life->inertia, NULL));
    STEP(labels_read(life->work, life->block, 0, ROWS, life->label));
    STEP(wait(life->work));
    return STATUS_OK;
}

static void life_end(struct life *life)
{
    if (life->block)
        life->backend->unload(life->work, &life->block);
    life->backend->work_close(&life->work);
}

static void values_fill(float *values)
{
    uint64_t state = 3;

    for (int i = 0; i < ROWS * COLUMNS; i++)
        values[i] = (float)check_normal(&state);
}

/* From a loss on each entry says so, and nothing is asked of CUDA. */
static void all_say_lost(struct check *check, struct life *life, struct device *device)
{
    const struct backend *backend = life->backend;
    static const double centers[CLUSTERS * COLUMNS];
    struct work *other = NULL;
    struct refusal why;

    check_equal_i64(check, backend->work_open(device, &shape, &other), STATUS_DEVICE_LOST);
    backend->failure(device, &why);
    check_equal_i64(check, why.reason, REASON_DEVICE_LOST);
    check_true(check, strstr(why.text, "code 719, ") != NULL);
    if (!life->work || !life->block)
        return;
    check_equal_i64(check, backend->wait(life->work), STATUS_DEVICE_LOST);
    check_equal_i64(check, backend->begin(life->work, centers), STATUS_DEVICE_LOST);
    check_equal_i64(check, backend->assign(life->work, life->block, 0, ROWS, true),
                    STATUS_DEVICE_LOST);
    check_equal_i64(check, backend->labels_read(life->work, life->block, 0, ROWS, life->label),
                    STATUS_DEVICE_LOST);
}

/* The next call to fail: each of the first few, of later ones one of several. */
static int next_nth(int nth, int several)
{
    return nth + 1 + nth * (CHECK_SANITIZED ? 4 : 1) / several;
}

/* The n-th call to CUDA is the last that works, for many n until a whole life passes. */
static void a_card_that_dies_at_any_call_is_lost_in_peace(struct check *check)
{
    const struct backend *backend = nothing_to_test(check) ? NULL : tested_backend();
    static float values[ROWS * COLUMNS];
    bool lost = true;

    values_fill(values);
    for (int nth = 1; backend && lost && check->failures == 0; nth = next_nth(nth, 12)) {
        struct life life = {.backend = backend};
        struct device *device = NULL;
        char text[32];
        played(NULL, NULL);
        check_note(check, "call %d", nth);
        if (!check_equal_i64(check, backend->open(0, NULL, &device, NULL), STATUS_OK))
            break;
        snprintf(text, sizeof text, "any:%d:719", nth);
        played("CUEMU_FAIL", text);
        enum status status = live(&life, device, values);
        lost = status != STATUS_OK;
        played_no_more("CUEMU_FAIL"); /* CUDA would work again: nobody may ask it */
        if (lost) {
            check_equal_i64(check, status, STATUS_DEVICE_LOST);
            all_say_lost(check, &life, device);
        }
        life_end(&life);
        backend->close(&device);
        check_true(check, device == NULL && life.work == NULL);
    }
    check_true(check, !backend || !lost);
}

/* Memory that is not there: OUT_OF_MEMORY, all given back, and the next try succeeds. */
static void memory_that_lacks_is_harmless(struct check *check)
{
    static const char *const kinds[] = {"malloc", "host_malloc"};
    const struct backend *backend = nothing_to_test(check) ? NULL : played(NULL, NULL);
    static float values[ROWS * COLUMNS];
    struct device *device = NULL;
    struct device_info before, after;

    if (!backend || !check_equal_i64(check, backend->open(0, NULL, &device, NULL), STATUS_OK))
        return;
    values_fill(values);
    backend->describe(device, &before);
    for (int i = 0; i < 2 * 2; i++) {
        struct life life = {.backend = backend}, again = {.backend = backend};
        char text[32];
        snprintf(text, sizeof text, "%s:%d:2", kinds[i % 2], 1 + i / 2);
        check_note(check, "%s", text);
        played("CUEMU_FAIL", text);
        enum status status = live(&life, device, values);
        bool met = i % 2 == 0 || i == 1; /* one pinned region a work */
        check_equal_i64(check, status, met ? STATUS_OUT_OF_MEMORY : STATUS_OK);
        life_end(&life);
        played_no_more("CUEMU_FAIL");
        check_equal_i64(check, live(&again, device, values), STATUS_OK);
        life_end(&again);
        backend->describe(device, &after);
        check_equal_i64(check, after.free_bytes, before.free_bytes);
    }
    backend->close(&device);
}

/* A launch that was refused for its arguments leaves the device whole. */
static void a_refused_launch_is_harmless(struct check *check)
{
    const struct backend *backend = nothing_to_test(check) ? NULL : played(NULL, NULL);
    static float values[ROWS * COLUMNS];
    struct device *device = NULL;
    struct refusal why;

    if (!backend || !check_equal_i64(check, backend->open(0, NULL, &device, NULL), STATUS_OK))
        return;
    values_fill(values);
    for (int nth = 1; nth < 12; nth++) {
        struct life life = {.backend = backend}, again = {.backend = backend};
        char text[32];
        snprintf(text, sizeof text, "launch:%d:701", nth);
        check_note(check, "%s", text);
        played("CUEMU_FAIL", text);
        check_equal_i64(check, live(&life, device, values), STATUS_BUG);
        played_no_more("CUEMU_FAIL");
        life_end(&life);
        check_equal_i64(check, live(&again, device, values), STATUS_OK);
        life_end(&again);
    }
    backend->failure(device, &why);
    check_equal_i64(check, why.reason, REASON_NONE);
    backend->close(&device);
}

/* In a process forked later the device is lost, and the parent's goes on. */
static void a_forked_process_notices(struct check *check)
{
    const struct backend *backend = nothing_to_test(check) ? NULL : played(NULL, NULL);
    static float values[ROWS * COLUMNS];
    struct life life = {.backend = backend};
    struct device *device = NULL;
    int ended = 0;

    if (!backend || !check_equal_i64(check, backend->open(0, NULL, &device, NULL), STATUS_OK))
        return;
    values_fill(values);
    pid_t child = fork();
    if (child == 0) {
        struct work *work = NULL;
        struct refusal why;
        bool lost = backend->work_open(device, &shape, &work) == STATUS_DEVICE_LOST;
        backend->failure(device, &why);
        _exit(lost && why.reason == REASON_FORKED ? 0 : 1);
    }
    check_true(check, child > 0 && waitpid(child, &ended, 0) == child);
    check_equal_i64(check, ended, 0);
    check_equal_i64(check, live(&life, device, values), STATUS_OK);
    life_end(&life);
    backend->close(&device);
}

/* BARY_CUDA_SYNC waits after each launch: the failure names the kernel. */
static void a_failed_kernel_is_named_when_asked(struct check *check)
{
    const struct backend *backend = nothing_to_test(check) ? NULL : played(NULL, NULL);
    static float values[ROWS * COLUMNS];
    struct life life = {.backend = backend};
    struct device *device = NULL;
    struct refusal why;

    if (!backend)
        return;
    setenv("BARY_CUDA_SYNC", "1", 1);
    check_equal_i64(check, backend->open(0, NULL, &device, NULL), STATUS_OK);
    unsetenv("BARY_CUDA_SYNC");
    values_fill(values);
    played("CUEMU_FAIL", "launch:2:719"); /* the first fills the seeding distances */
    check_equal_i64(check, live(&life, device, values), STATUS_DEVICE_LOST);
    backend->failure(device, &why);
    check_true(check, strncmp(why.text, "facts_f32: code 719, ", 21) == 0);
    life_end(&life);
    backend->close(&device);
    played_no_more("CUEMU_FAIL");
}

/* Two small problems in one call, one of them with columns that only the host can measure. */
struct small_batch {
    float values[ROWS * COLUMNS];
    int64_t row[3], center[3];
    uint64_t state[2];
    struct fits fits;
    struct fits_result result[2];
    double centers[2 * CLUSTERS * COLUMNS];
    int32_t label[ROWS];
    int64_t size[2 * CLUSTERS];
    struct fits_out out;
};

static void batch_fill(struct small_batch *batch)
{
    *batch = (struct small_batch){
        .row = {0, 30, ROWS}, .center = {0, CLUSTERS, 2 * CLUSTERS}, .state = {1, 2}};
    values_fill(batch->values);
    batch->values[4] = 0x1p-70f;
    batch->values[7] = 0x1p60f;
    batch->fits = (struct fits){.number = NUMBER_F32,
                                .columns = COLUMNS,
                                .problems = 2,
                                .row = batch->row,
                                .center = batch->center,
                                .values = batch->values,
                                .init = FITS_PLUS_PLUS,
                                .n_init = 1,
                                .max_iter = 20,
                                .tol = 1e-4,
                                .random_state = batch->state};
    batch->out = (struct fits_out){batch->result, batch->centers, batch->label, batch->size};
    memset(batch->label, 0x5a, sizeof batch->label);
    memset(batch->centers, 0x5a, sizeof batch->centers);
    memset(batch->size, 0x5a, sizeof batch->size);
}

/* A call that fails, by the device's death or for want of memory, gave nothing out and kept nothing. */
static void a_batch_that_fails_wrote_nothing(struct check *check)
{
    static const struct {
        const char *kind;
        int code;
        enum status status;
    } cases[] = {{"any", 719, STATUS_DEVICE_LOST}, {"malloc", 2, STATUS_OUT_OF_MEMORY}};
    const struct backend *backend = nothing_to_test(check) ? NULL : tested_backend();
    static struct small_batch batch, before;

    for (int i = 0; backend && i < 2; i++) {
        bool failed = true;
        for (int nth = 1; failed && check->failures == 0; nth = next_nth(nth, 6)) {
            struct device *device = NULL;
            struct device_info at_first, at_last;
            char text[32];
            played(NULL, NULL);
            check_equal_i64(check, backend->open(0, NULL, &device, NULL), STATUS_OK);
            backend->describe(device, &at_first);
            snprintf(text, sizeof text, "%s:%d:%d", cases[i].kind, nth, cases[i].code);
            check_note(check, "%s", text);
            played("CUEMU_FAIL", text);
            batch_fill(&batch);
            before = batch;
            enum status status = backend->fits(device, &batch.fits, &batch.out);
            failed = status != STATUS_OK;
            if (failed) {
                check_equal_i64(check, status, cases[i].status);
                check_true(check, memcmp(&before, &batch, sizeof batch) == 0);
            }
            played_no_more("CUEMU_FAIL");
            backend->describe(device, &at_last);
            if (i == 1) /* a card that dies while memory is given back dies after the answer */
                check_equal_i64(check, at_last.free_bytes, at_first.free_bytes);
            backend->close(&device);
        }
        check_equal_i64(check, batch.result[0].status, STATUS_OK);
    }
}

CHECKS(CLAIM(a_start_that_fails_says_why), CLAIM(a_card_describes_itself),
       CLAIM(a_card_that_does_not_describe_itself_counts),
       CLAIM(a_card_with_few_fp64_lanes_is_expected_to_be_slow),
       CLAIM(a_card_that_dies_at_any_call_is_lost_in_peace), CLAIM(memory_that_lacks_is_harmless),
       CLAIM(a_refused_launch_is_harmless), CLAIM(a_forked_process_notices),
       CLAIM(a_failed_kernel_is_named_when_asked), CLAIM(a_batch_that_fails_wrote_nothing))
