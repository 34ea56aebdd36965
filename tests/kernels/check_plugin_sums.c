/* check_plugin_sums.c - the sums of moved rows where they do not fit a block's shared memory: many clusters,
 * more than one block looks at in one step, or many columns; and just where they fit no longer. */
#include "kernels/ref/work.h"
#include "tests/kernels/claims.h"
#include "tests/kernels/sample.h"

static const struct layout layouts[] = {
    {.data = DATA_NORMAL, .seed = 1, .shape = {500, 3, 2100, NUMBER_F32, false, 1, 1, RESIDENT}},
    {.data = DATA_MIXED, .seed = 2, .shape = {300, 1, 1025, NUMBER_F64, true, 1, 1, RESIDENT}},
    {.data = DATA_BLOBS, .seed = 3, .shape = {300, 519, 12, NUMBER_F32, true, 1, 1, RESIDENT}},
    {.data = DATA_BLOBS, .seed = 4, .shape = {300, 511, 12, NUMBER_F64, false, 1, 1, RESIDENT}},
    {.data = DATA_REPEATS, .seed = 5, .shape = {300, 130, 47, NUMBER_F32, true, 1, 1, RESIDENT}},
};

void a_plugin_sums_rows_of_many_clusters(struct check *check)
{
    struct device *device, *ref = device_of_ref();
    const struct backend *tested = tested_side(0, &device);

    if (!tested)
        check_skip(check, "BARY_TESTED_PLUGIN names no plug-in");
    for (size_t i = 0; tested && i < sizeof layouts / sizeof *layouts; i++) {
        const struct shape *shape = &layouts[i].shape;
        struct outcome want = {.pieces = 0}, got = {.pieces = 0};
        struct sample sample;

        check_note(check, "%s n=%d d=%d k=%d", data_names[layouts[i].data], (int)shape->rows,
                   (int)shape->columns, (int)shape->clusters);
        sample_init(&sample, &layouts[i]);
        trial(check, &backend_ref, ref, &sample, shape->rows, shape->rows, &want);
        trial(check, tested, device, &sample, shape->rows, 260, &got);
        outcomes_equal(check, &got, &want);
        outcome_deinit(&got);
        outcome_deinit(&want);
        sample_deinit(&sample);
    }
    backend_ref.close(&ref);
}
