#include "host/base/memory.h"

#include "host/base/fault.h"
#include "tests/check.h"

static void sizes_that_overflow_are_refused_and_leave_the_output(struct check *check)
{
    size_t out = 7;

    check_true(check, size_mul(3, 5, &out) && out == 15);
    check_true(check, !size_mul(SIZE_MAX, 2, &out) && out == 15);
    check_true(check, size_mul(SIZE_MAX, 1, &out) && out == SIZE_MAX);
    check_true(check, size_add(2, 3, &out) && out == 5);
    check_true(check, !size_add(SIZE_MAX, 1, &out) && out == 5);
    check_true(check, memory_new(SIZE_MAX / 2, 3) == NULL);
    check_true(check, memory_new(SIZE_MAX, 1) == NULL);
    check_true(check, memory_zeroed((size_t)1 << 62, 2) == NULL);
}

static const size_t SIZES[] = {0, 1, 63, 64, 65, 4096, 2097151, 2097152, 2097153, (5 << 20) + 3};

static void blocks_are_aligned_and_theirs_to_the_last_byte(struct check *check)
{
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        unsigned char *block = memory_new(SIZES[i], 1);
        check_note(check, "bytes=%zu", SIZES[i]);
        if (!check_true(check, block && (uintptr_t)block % 64 == 0))
            continue;
        memset(block, 0xab, SIZES[i]);
        memory_free(block);
    }
    memory_free(NULL);
}

static void zeroed_blocks_are_zero_also_in_memory_used_before(struct check *check)
{
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        unsigned char *block = memory_new(SIZES[i], 1);
        size_t dirty = 0;
        memset(block, 0xab, SIZES[i]);
        memory_free(block);
        block = memory_zeroed(SIZES[i], 1);
        for (size_t at = 0; at < SIZES[i]; at++)
            dirty += block[at] != 0;
        check_note(check, "bytes=%zu", SIZES[i]);
        check_equal_u64(check, dirty, 0);
        memory_free(block);
    }
}

static void a_copy_of_a_text_is_its_own(struct check *check)
{
    char text[] = "abc";
    char *copy = text_copy(text);

    text[0] = 'x';
    check_equal_text(check, copy, "abc");
    memory_free(copy);
}

static void an_arena_gives_aligned_pieces_that_do_not_overlap(struct check *check)
{
    struct arena arena;
    unsigned char *piece[200];

    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < 200; i++) {
        piece[i] = arena_take(&arena, i * 7 % 900);
        if (!check_true(check, piece[i] && (uintptr_t)piece[i] % 16 == 0))
            return;
        memset(piece[i], (int)i, i * 7 % 900);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t at = 0; at < i * 7 % 900; at++)
            if (piece[i][at] != i)
                check_equal_u64(check, piece[i][at], i);
    arena_deinit(&arena);
    check_true(check, arena.block == NULL && arena.taken == 0);
}

static void an_arena_stops_at_its_budget_and_stays_usable(struct check *check)
{
    struct arena arena;
    size_t got = 0;

    arena_init(&arena, 10000);
    check_true(check, arena_take(&arena, 20000) == NULL);
    check_true(check, arena_take(&arena, SIZE_MAX) == NULL);
    while (arena_take(&arena, 100))
        got += 100;
    check_true(check, got > 8000 && got <= 10000 && arena.taken <= 10000);
    check_true(check, arena_take(&arena, 5000) == NULL);
    arena_deinit(&arena);
    check_true(check, arena_take(&arena, 9000) != NULL);
    arena_deinit(&arena);
}

static void the_nth_allocation_fails_when_asked_to(struct check *check)
{
#ifdef BARY_FAULTS
    void *block;

    fault_set("memory:2:fail");
    block = memory_new(1, 1);
    check_true(check, block != NULL);
    check_true(check, memory_new(1, 1) == NULL);
    memory_free(block);
    block = memory_zeroed(1, 1);
    check_true(check, block != NULL);
    fault_set(NULL);
    memory_free(block);
#else
    check_skip(check, "built without BARY_FAULTS");
#endif
}

CHECKS(CLAIM(sizes_that_overflow_are_refused_and_leave_the_output),
       CLAIM(blocks_are_aligned_and_theirs_to_the_last_byte),
       CLAIM(zeroed_blocks_are_zero_also_in_memory_used_before), CLAIM(a_copy_of_a_text_is_its_own),
       CLAIM(an_arena_gives_aligned_pieces_that_do_not_overlap),
       CLAIM(an_arena_stops_at_its_budget_and_stays_usable),
       CLAIM(the_nth_allocation_fails_when_asked_to))
