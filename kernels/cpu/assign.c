/* assign.c - labels on lanes, strip by strip; sums follow the rows that moved. */
#include <omp.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/philox.h"

enum status cpu_begin(struct work *base, const double *centers)
{
    struct cpu_work *work = cpu_of(base);

    ref_begin(base, centers);
    pack_panels(&work->panels, work->lanes->width, centers);
    return STATUS_OK;
}

struct assign_settings {
    bool sums;
};

static void moved(const struct pass *pass, struct thread *thread, int64_t row, const double *values,
                  int32_t label)
{
    struct cpu_work *work = pass->work;
    struct block *block = pass->block;
    int64_t number = block->rows.first + row;
    int32_t old = block->label[row];

    if (old >= 0)
        thread->fingerprint -= philox_fingerprint(number, old);
    thread->fingerprint += philox_fingerprint(number, label);
    if (work->shared_slots) { /* the owners of both clusters come for it later */
        block->old[row] = old;
        return;
    }
    const struct slots *slots = &work->slots[thread - work->thread];
    if (old >= 0)
        slots_add(work, slots, block, row, values, old, -1);
    slots_add(work, slots, block, row, values, label, 1);
}

/* A strip's labels are known: what they change. */
static void settle(const struct pass *pass, struct thread *thread, int64_t first, int64_t count)
{
    const struct assign_settings *settings = pass->settings;
    struct block *block = pass->block;

    for (int64_t i = 0; i < count; i++) {
        int64_t row = first + i;
        double w = row_weight(block, row);
        int32_t label = w < 0 ? -1 : thread->label[i];

        if (block->old)
            block->old[row] = label;
        if (w > 0) {
            double term = w * thread->distance[i];
            if (term > thread->largest_term)
                thread->largest_term = term;
            if (label != block->label[row]) {
                thread->moved++;
                if (settings->sums)
                    moved(pass, thread, row, thread->strip + i * pass->work->base.shape.columns,
                          label);
            }
        }
        block->label[row] = label;
    }
}

static void assign_rows(const struct pass *pass, struct thread *thread, int64_t first,
                        int64_t count)
{
    struct cpu_work *work = pass->work;

    for (int64_t end = first + count; first < end; first += work->strip_rows) {
        int64_t here = end - first < work->strip_rows ? end - first : work->strip_rows;
        struct strip strip = {thread->strip, here, work->base.shape.columns};
        fill_strip(work, pass->block, first, here, thread->strip);
        work->lanes->nearest(&strip, &work->panels, &thread->scratch, thread->distance,
                             thread->label);
        settle(pass, thread, first, here);
    }
}

/* Takes from the tile the moved rows that concern clusters [from, to). */
static void own_moved(struct cpu_work *work, struct thread *thread, const struct block *block,
                      int64_t first, int64_t count, int64_t from, int64_t to)
{
    for (int64_t row = first; row < first + count; row++) {
        int32_t old = block->old[row], label = block->label[row];
        bool leaves = old != label && old >= from && old < to;
        bool enters = old != label && label >= from && label < to;

        if (!leaves && !enters)
            continue;
        fill_strip(work, block, row, 1, thread->strip);
        if (leaves)
            slots_add(work, work->slots, block, row, thread->strip, old, -1);
        if (enters)
            slots_add(work, work->slots, block, row, thread->strip, label, 1);
    }
}

static void shared_sums(struct cpu_work *work, const struct block *block, int64_t first,
                        int64_t count, int64_t moved_rows)
{
    int64_t clusters = work->base.shape.clusters;
    int threads = threads_for(work, 2.0 * (double)(moved_rows * work->base.shape.columns));

    if (threads == 1) {
        own_moved(work, work->thread, block, first, count, 0, clusters);
        return;
    }
#pragma omp parallel num_threads(threads) default(none) shared(work, block, first, count, clusters)
    {
        int here = omp_get_thread_num(), all = omp_get_num_threads();
        own_moved(work, &work->thread[here], block, first, count, part_start(clusters, here, all),
                  part_start(clusters, here + 1, all));
    }
}

static void fold(struct cpu_work *work, int64_t *moved_rows)
{
    struct assigned *assigned = &work->base.assigned;

    *moved_rows = 0;
    for (int i = 0; i < work->threads; i++) {
        const struct thread *thread = &work->thread[i];
        *moved_rows += thread->moved;
        if (thread->largest_term > assigned->largest_term)
            assigned->largest_term = thread->largest_term;
        work->base.fingerprint += thread->fingerprint;
    }
    assigned->moved += *moved_rows;
}

/* No more rows than the slots take between two carries. */
static void assign_tile(struct cpu_work *work, struct block *block, int64_t first, int64_t count,
                        bool sums)
{
    const struct assign_settings settings = {.sums = sums};
    const struct pass pass = {work, block, &settings, assign_rows};
    const struct shape *shape = &work->base.shape;
    int64_t moved_rows;

    if (sums && work->slot_rows + count > work->tuning.carry_rows)
        slots_carry(work);
    over_rows(&pass, first, count, (double)shape->clusters * (double)shape->columns);
    fold(work, &moved_rows);
    if (!sums)
        return;
    work->slot_rows += moved_rows;
    if (work->shared_slots && moved_rows > 0)
        shared_sums(work, block, first, count, moved_rows);
}

enum status cpu_assign(struct work *base, struct block *block, int64_t first, int64_t count,
                       bool sums)
{
    int64_t most = cpu_of(base)->tuning.carry_rows;

    tile_check(block, first, count);
    assert(!sums || base->grid.column != NULL);
    for (int64_t end = first + count; first < end; first += most) {
        int64_t here = end - first < most ? end - first : most;
        assign_tile(cpu_of(base), block, first, here, sums);
    }
    return STATUS_OK;
}
