/* gpu.c - see gpu.h. Every entry asks the order first, then ref does the work. */
#include "tests/faults/gpu.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ref/work.h"
#include "kernels/selftest.h"

#define EXPORT __attribute__((visibility("default")))

/* What ours is told to be built for, where the loader must refuse it. */
#ifndef FAKE_ABI
#define FAKE_ABI BACKEND_ABI
#endif

EXPORT fake_gpu_set_words fake_gpu_set;
EXPORT fake_gpu_call fake_gpu_release;
EXPORT fake_gpu_number fake_gpu_hanging, fake_gpu_used;
EXPORT fake_gpu_count fake_gpu_calls;
EXPORT backend_plugin bary_plugin;

enum { DEVICES_MOST = 8, FAILS_MOST = 16 };

enum action { ACT_NONE, ACT_OUT_OF_MEMORY, ACT_DEVICE_LOST, ACT_HANG, ACT_WRONG, ACT_NOTICED };
static const char *const ACTIONS[] = {"",     "OUT_OF_MEMORY", "DEVICE_LOST",
                                      "HANG", "WRONG",         "NOTICED"};

struct fail {
    char entry[24];
    int device; /* -1: any */
    int64_t nth, calls;
    enum action action;
};

/* One order at a time, for all devices of the process. */
static struct order {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool read;
    int devices, fails, opens;
    int64_t memory, free, tile_rows;
    double row_ns, tile_ns, copy_ns; /* row_ns 0: ref's over 100 */
    enum device_reason absent, open;
    int open_times; /* how often open refuses; 0: always */
    struct fail fail[FAILS_MOST];
    int64_t hanging, releases, used;
} order = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

struct fake_device {
    struct device base;
    int index;
    bool lost;
    int64_t used;
    char what[64]; /* that it was lost in */
    bool noticed;  /* for its results */
};

/* -- The order --------------------------------------------------------------------------------- */

static void misspelt(const char *word)
{
    fprintf(stderr, "BARY_FAKE_GPU: cannot read '%s'\n", word);
    abort();
}

static enum device_reason reason_of(const char *name)
{
#define DEVICE_REASON(word, number, advice) \
    if (strcmp(name, #word) == 0)           \
        return REASON_##word;
#include "proto/device_reason.def"
#undef DEVICE_REASON
    misspelt(name);
    return REASON_NONE;
}

static void fail_add(const char *value)
{
    struct fail fail = {.device = -1};
    char entry[32], action[32];

    if (order.fails == FAILS_MOST ||
        sscanf(value, "%23[a-z_@0-9]:%ld:%31[A-Z_]", entry, &fail.nth, action) != 3)
        misspelt(value);
    char *at = strchr(entry, '@');
    if (at) {
        *at = '\0';
        fail.device = (int)strtoll(at + 1, NULL, 10);
    }
    memcpy(fail.entry, entry, sizeof fail.entry - 1);
    for (int a = 1; a <= ACT_NOTICED; a++)
        if (strcmp(action, ACTIONS[a]) == 0)
            fail.action = (enum action)a;
    if (fail.action == ACT_NONE)
        misspelt(value);
    order.fail[order.fails++] = fail;
}

static void word_take(const char *key, char *value)
{
    char *times = strchr(value, '*');

    if (strcmp(key, "open") == 0) {
        if (times)
            *times = '\0';
        order.open_times = times ? (int)strtoll(times + 1, NULL, 10) : 0;
        order.open = reason_of(value);
    } else if (strcmp(key, "absent") == 0) {
        order.absent = reason_of(value);
    } else if (strcmp(key, "fail") == 0) {
        fail_add(value);
    } else if (strcmp(key, "devices") == 0) {
        order.devices = (int)strtoll(value, NULL, 10);
    } else if (strcmp(key, "memory") == 0) {
        order.memory = strtoll(value, NULL, 10);
    } else if (strcmp(key, "free") == 0) {
        order.free = strtoll(value, NULL, 10);
    } else if (strcmp(key, "tile_rows") == 0) {
        order.tile_rows = strtoll(value, NULL, 10);
    } else if (strcmp(key, "row_ns") == 0) {
        order.row_ns = strtod(value, NULL);
    } else if (strcmp(key, "tile_ns") == 0) {
        order.tile_ns = strtod(value, NULL);
    } else if (strcmp(key, "copy_ns") == 0) {
        order.copy_ns = strtod(value, NULL);
    } else {
        misspelt(key);
    }
}

static void order_read(const char *words)
{
    char copy[2048], *rest = NULL;

    order.read = true;
    order.devices = 1;
    order.free = INT64_C(1) << 30;
    order.memory = order.tile_rows = 0;
    order.row_ns = 0;
    order.tile_ns = 10000;
    order.copy_ns = 10;
    order.absent = order.open = REASON_NONE;
    order.fails = order.opens = order.open_times = 0;
    snprintf(copy, sizeof copy, "%s", words ? words : "");
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(word, '=');
        if (!equals)
            misspelt(word);
        *equals = '\0';
        word_take(word, equals + 1);
    }
    if (order.memory == 0)
        order.memory = order.free;
}

void fake_gpu_set(const char *words)
{
    pthread_mutex_lock(&order.lock);
    order_read(words);
    pthread_mutex_unlock(&order.lock);
}

void fake_gpu_release(void)
{
    pthread_mutex_lock(&order.lock);
    order.releases++;
    pthread_cond_broadcast(&order.wake);
    pthread_mutex_unlock(&order.lock);
}

int64_t fake_gpu_hanging(void)
{
    pthread_mutex_lock(&order.lock);
    int64_t hanging = order.hanging;
    pthread_mutex_unlock(&order.lock);
    return hanging;
}

int64_t fake_gpu_calls(int word)
{
    pthread_mutex_lock(&order.lock);
    int64_t calls = order.fail[word].calls;
    pthread_mutex_unlock(&order.lock);
    return calls;
}

int64_t fake_gpu_used(void)
{
    pthread_mutex_lock(&order.lock);
    int64_t used = order.used;
    pthread_mutex_unlock(&order.lock);
    return used;
}

/* -- Failing ----------------------------------------------------------------------------------- */

static enum action action_now(const char *entry, int device)
{
    enum action action = ACT_NONE;

    for (int i = 0; i < order.fails; i++) {
        struct fail *fail = &order.fail[i];
        if (strcmp(fail->entry, entry) == 0 && (fail->device < 0 || fail->device == device) &&
            ++fail->calls == fail->nth)
            action = fail->action;
    }
    return action;
}

static void hang(void)
{
    int64_t releases = order.releases;

    order.hanging++;
    while (order.releases == releases)
        pthread_cond_wait(&order.wake, &order.lock);
    order.hanging--;
}

static struct fake_device *device_of(struct device *device)
{
    return (struct fake_device *)device;
}

/* What this call of an entry does: its own work (OK, *wrong: with a wrong answer), or fail. */
static enum status ask(struct fake_device *device, const char *entry, bool *wrong)
{
    pthread_mutex_lock(&order.lock);
    enum action action = device->lost ? ACT_DEVICE_LOST : action_now(entry, device->index);
    if (action == ACT_HANG) {
        hang();
        action = ACT_DEVICE_LOST;
    }
    if (action == ACT_NOTICED) {
        device->noticed = true;
        action = ACT_DEVICE_LOST;
    }
    if (action == ACT_DEVICE_LOST && !device->lost) {
        device->lost = true;
        snprintf(device->what, sizeof device->what, "fake error 700 in %s", entry);
    }
    pthread_mutex_unlock(&order.lock);
    if (wrong)
        *wrong = action == ACT_WRONG;
    return action == ACT_DEVICE_LOST     ? STATUS_DEVICE_LOST
           : action == ACT_OUT_OF_MEMORY ? STATUS_OUT_OF_MEMORY
                                         : STATUS_OK;
}

/* Device bytes that go up or down; false: there are not that many. */
static bool bytes_move(struct fake_device *device, int64_t bytes)
{
    pthread_mutex_lock(&order.lock);
    bool there = device->used + bytes <= order.free;
    if (there) {
        device->used += bytes;
        order.used += bytes;
    }
    pthread_mutex_unlock(&order.lock);
    return there;
}

/* -- Devices ----------------------------------------------------------------------------------- */

static int devices(struct device_info *info, int most, struct refusal *why)
{
    pthread_mutex_lock(&order.lock);
    if (!order.read)
        order_read(getenv("BARY_FAKE_GPU"));
    int count = order.absent == REASON_NONE ? order.devices : 0;
    if (count == 0)
        refuse(why, STATUS_NO_DEVICE, order.absent, "the fake driver said no with error 999");
    for (int i = 0; i < count && i < most; i++) {
        info[i] = (struct device_info){.memory_bytes = order.memory, .free_bytes = order.free};
        snprintf(info[i].name, sizeof info[i].name, "Fake GPU %d", i);
        snprintf(info[i].isa, sizeof info[i].isa, "sm_00");
    }
    pthread_mutex_unlock(&order.lock);
    return count;
}

/* Only then does open test the device, so that all other counts begin with the first job. */
static bool wrong_is_ordered(void)
{
    bool wrong = false;

    for (int i = 0; i < order.fails; i++)
        wrong |= order.fail[i].action == ACT_WRONG;
    return wrong;
}

static enum status open_device(int index, const struct device_options *options, struct device **out,
                               struct refusal *why)
{
    struct device_info info[DEVICES_MOST];
    struct device *ref = NULL;

    if (devices(info, DEVICES_MOST, why) <= index)
        return refuse(why, STATUS_NO_DEVICE, REASON_NO_DEVICE,
                      "there is no fake GPU of that number");
    pthread_mutex_lock(&order.lock);
    bool no =
        order.open != REASON_NONE && (order.open_times == 0 || order.opens++ < order.open_times);
    enum device_reason reason = order.open;
    pthread_mutex_unlock(&order.lock);
    if (no)
        return refuse(why, reason == REASON_DEVICE_WRONG ? STATUS_DEVICE_LOST : STATUS_NO_DEVICE,
                      reason, "the fake device said no to open");
    struct fake_device *device = calloc(1, sizeof *device);
    enum status status = backend_ref.open(0, options, &ref, why);
    if (!device || status != STATUS_OK) {
        free(device);
        backend_ref.close(&ref);
        return refuse(why, STATUS_OUT_OF_MEMORY, REASON_NO_MEMORY, "no memory for a fake device");
    }
    device->base = *ref;
    device->base.info = info[index];
    device->index = index;
    backend_ref.close(&ref);
    if (ask(device, "open", NULL) != STATUS_OK) {
        free(device);
        return refuse(why, STATUS_DEVICE_LOST, REASON_DEVICE_LOST,
                      "the fake device was lost in open");
    }
    if (wrong_is_ordered() && !selftest_passes(bary_plugin(FAKE_ABI), &device->base)) {
        free(device);
        return refuse(why, STATUS_DEVICE_LOST, REASON_DEVICE_WRONG,
                      "its results differ from the reference's");
    }
    *out = &device->base;
    return STATUS_OK;
}

/* A lost device's end may hang like anything else; it fails in no other way. */
static void close_device(struct device **device)
{
    if (!device || !*device)
        return;
    device_of(*device)->lost = false;
    ask(device_of(*device), "close", NULL);
    free(*device);
    *device = NULL;
}

static void failure(const struct device *device, struct refusal *out)
{
    const struct fake_device *fake = (const struct fake_device *)device;

    *out = (struct refusal){.reason = REASON_NONE};
    if (fake->lost)
        refuse(out, STATUS_DEVICE_LOST, fake->noticed ? REASON_DEVICE_WRONG : REASON_DEVICE_LOST,
               fake->what);
}

static enum status plan(const struct device *device, const struct shape *shape, struct plan *out)
{
    struct shape resident = *shape;
    bool streamed = shape->residency == STREAMED, small = shape->residency != RESIDENT;

    resident.residency = RESIDENT;
    enum status status = backend_ref.plan(device, &resident, out);
    if (status != STATUS_OK)
        return status;
    pthread_mutex_lock(&order.lock);
    out->device_work_bytes = out->work_bytes / (small ? 4 : 1);
    out->device_row_bytes = streamed ? 4 : 16 + 8 * shape->columns;
    out->pinned_bytes = streamed ? out->work_bytes / 2 : 0;
    out->row_ns = order.row_ns > 0 ? order.row_ns : out->row_ns / 100;
    out->tile_ns = order.tile_ns;
    out->copy_ns = order.copy_ns;
    if (order.tile_rows > 0)
        out->tile_rows = order.tile_rows;
    pthread_mutex_unlock(&order.lock);
    out->method = "canonical-fake";
    return STATUS_OK;
}

static int64_t work_bytes(struct device *device, const struct shape *shape, int64_t rows)
{
    struct plan its = {0};

    plan(device, shape, &its);
    return rows < 0 ? its.device_work_bytes : rows * its.device_row_bytes;
}

static enum status work_open(struct device *device, const struct shape *shape, struct work **out)
{
    enum status status = ask(device_of(device), "work_open", NULL);
    int64_t bytes = work_bytes(device, shape, -1);

    if (status != STATUS_OK)
        return status;
    if (!bytes_move(device_of(device), bytes))
        return STATUS_OUT_OF_MEMORY;
    status = backend_ref.work_open(device, shape, out);
    if (status != STATUS_OK)
        bytes_move(device_of(device), -bytes);
    return status;
}

static void work_close(struct work **work)
{
    if (!work || !*work)
        return;
    struct device *device = (*work)->device;
    int64_t bytes = work_bytes(device, &(*work)->shape, -1);
    backend_ref.work_close(work);
    bytes_move(device_of(device), -bytes);
}

static enum status load(struct work *work, const struct rows *rows, struct block **out)
{
    enum status status = ask(device_of(work->device), "load", NULL);
    int64_t bytes = work_bytes(work->device, &work->shape, rows->count);

    if (status != STATUS_OK)
        return status;
    if (!bytes_move(device_of(work->device), bytes))
        return STATUS_OUT_OF_MEMORY;
    status = backend_ref.load(work, rows, out);
    if (status != STATUS_OK)
        bytes_move(device_of(work->device), -bytes);
    return status;
}

static void unload(struct work *work, struct block **block)
{
    if (!block || !*block)
        return;
    bytes_move(device_of(work->device),
               -work_bytes(work->device, &work->shape, (*block)->rows.count));
    backend_ref.unload(work, block);
}

/* -- Passes ------------------------------------------------------------------------------------ */

/* An entry that asks, then is ref's. */
#define PASS(entry, parameters, arguments)                                 \
    static enum status entry parameters                                    \
    {                                                                      \
        enum status status = ask(device_of(work->device), #entry, NULL);   \
        return status == STATUS_OK ? backend_ref.entry arguments : status; \
    }
#define TILE struct work *work, struct block *block, int64_t first, int64_t count
#define ITS work, block, first, count

PASS(wait, (struct work * work), (work))
PASS(facts, (TILE, struct facts *out), (ITS, out))
PASS(moments, (TILE, int64_t column, int64_t columns, struct moments *out),
     (ITS, column, columns, out))
PASS(grid_set, (struct work * work, const struct grid *grid), (work, grid))
PASS(begin, (struct work * work, const double *centers), (work, centers))
PASS(assign, (TILE, bool sums), (ITS, sums))
PASS(assigned, (struct work * work, struct assigned *out), (work, out))
PASS(labels_write, (TILE, const int32_t *labels), (ITS, labels))
PASS(sums_read, (struct work * work, struct sums *out), (work, out))
PASS(sums_write, (struct work * work, const struct sums *in), (work, in))
PASS(inertia, (TILE, int32_t L, int128 *total, int128 *per_cluster), (ITS, L, total, per_cluster))
PASS(distances, (TILE, double *out), (ITS, out))
PASS(seed_reset, (struct work * work, struct block *block, double value), (work, block, value))
PASS(seed_mark, (struct work * work, struct block *block, int64_t row, double value),
     (work, block, row, value))
PASS(seed_take, (TILE, const double *center, bool first_center, double *largest),
     (ITS, center, first_center, largest))
PASS(seed_largest, (TILE, double *largest), (ITS, largest))
PASS(seed_total, (TILE, int32_t L, int128 *total), (ITS, L, total))
PASS(seed_find, (TILE, int32_t L, int128 *rest, int64_t *row), (ITS, L, rest, row))
PASS(seed_try,
     (TILE, const double *candidates, int candidates_count, bool first_center, int32_t L,
      int128 *totals),
     (ITS, candidates, candidates_count, first_center, L, totals))
PASS(farthest, (TILE, int most, struct far_row *list, double *values, int *held),
     (ITS, most, list, values, held))
PASS(gather, (struct work * work, struct block *block, int64_t row, double *out),
     (work, block, row, out))

/* The one pass that may lie: the first label of the tile is another's. */
static enum status labels_read(TILE, int32_t *out)
{
    bool wrong;
    enum status status = ask(device_of(work->device), "labels_read", &wrong);

    if (status == STATUS_OK)
        status = backend_ref.labels_read(work, block, first, count, out);
    if (status == STATUS_OK && wrong && count > 0)
        out[0] = (int32_t)((out[0] + 1) % work->shape.clusters);
    return status;
}

/* As many problems at once as a device likes; a call of many is one kernel. */
static enum status fits_plan(const struct device *device, const struct fits *asked, int64_t rows,
                             int64_t clusters, struct fits_plan *out)
{
    enum status status = backend_ref.fits_plan(device, asked, rows, clusters, out);

    out->device_bytes = 4096;
    out->problem_ns /= 100;
    return status;
}

static enum status fits(struct device *device, const struct fits *asked, struct fits_out *out)
{
    enum status status = ask(device_of(device), "fits", NULL);

    return status == STATUS_OK ? backend_ref.fits(device, asked, out) : status;
}

static void describe(const struct device *device, struct device_info *out)
{
    *out = device->info;
}

static const struct backend table = {
    .abi = FAKE_ABI,
    .bytes = sizeof(struct backend),
    .name = "cuda",
    .build = "fake; kernels/ref",
    .devices = devices,
    .open = open_device,
    .close = close_device,
    .describe = describe,
    .failure = failure,
    .plan = plan,
    .work_open = work_open,
    .work_close = work_close,
    .load = load,
    .unload = unload,
    .wait = wait,
    .facts = facts,
    .moments = moments,
    .grid_set = grid_set,
    .begin = begin,
    .assign = assign,
    .assigned = assigned,
    .labels_read = labels_read,
    .labels_write = labels_write,
    .sums_read = sums_read,
    .sums_write = sums_write,
    .inertia = inertia,
    .distances = distances,
    .seed_reset = seed_reset,
    .seed_mark = seed_mark,
    .seed_take = seed_take,
    .seed_largest = seed_largest,
    .seed_total = seed_total,
    .seed_find = seed_find,
    .seed_try = seed_try,
    .farthest = farthest,
    .gather = gather,
    .fits_plan = fits_plan,
    .fits = fits,
};

const struct backend *bary_plugin(uint32_t abi)
{
    return abi == FAKE_ABI ? &table : NULL;
}
