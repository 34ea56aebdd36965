/* claims.h - every claim about the kernels; check_kernels.c runs them. */
#ifndef BARY_TESTS_KERNELS_CLAIMS_H
#define BARY_TESTS_KERNELS_CLAIMS_H

#include "tests/check.h"

#define KERNEL_CLAIMS(CLAIM)                               \
    CLAIM(fixed_rounds_halves_to_even)                     \
    CLAIM(two_digits_are_the_fixed_integer)                \
    CLAIM(slots_hold_four_million_rows_at_the_maximum)     \
    CLAIM(a_weighted_term_is_the_exact_product)            \
    CLAIM(exponents_bound_what_they_name)                  \
    CLAIM(a_mean_is_rounded_once)                          \
    CLAIM(a_weighted_mean_is_rounded_once)                 \
    CLAIM(equal_rows_stay_put)                             \
    CLAIM(a_total_is_rounded_once)                         \
    CLAIM(philox_gives_the_known_answers)                  \
    CLAIM(sums_of_powers_are_exact_integers)               \
    CLAIM(moments_merge_by_adding)                         \
    CLAIM(a_variance_is_rounded_once)                      \
    CLAIM(a_variance_does_not_change_when_rows_repeat)     \
    CLAIM(a_narrow_variance_is_the_wide_one)               \
    CLAIM(a_narrow_variance_holds_the_most_rows)           \
    CLAIM(a_quotient_is_rounded_once)                      \
    CLAIM(a_variance_survives_offsets_and_extremes)        \
    CLAIM(the_mean_variance_adds_ascending)                \
    CLAIM(ties_go_to_the_lowest_index)                     \
    CLAIM(skipped_and_weightless_rows_do_not_count)        \
    CLAIM(moved_sums_equal_rebuilt_sums)                   \
    CLAIM(whole_weights_are_repeated_rows)                 \
    CLAIM(a_saved_state_goes_on_with_the_same_bits)        \
    CLAIM(facts_name_the_first_bad_value)                  \
    CLAIM(draws_are_running_sums)                          \
    CLAIM(trials_are_totals_after_taking)                  \
    CLAIM(farthest_rows_are_sorted_and_unlike)             \
    CLAIM(equally_far_rows_come_by_number)                 \
    CLAIM(skipped_rows_have_no_distance)                   \
    CLAIM(a_level_that_is_not_here_is_refused)             \
    CLAIM(a_plan_is_what_a_work_takes)                     \
    CLAIM(flushed_subnormals_are_refused)                  \
    CLAIM(cpu_gives_the_bytes_of_ref_on_hostile_data)      \
    CLAIM(cpu_gives_the_bytes_of_ref_as_tuned_for_users)   \
    CLAIM(a_plugin_gives_the_bytes_of_ref_on_hostile_data) \
    CLAIM(a_plugin_cuts_what_is_larger_than_its_tiles)     \
    CLAIM(a_plugin_takes_what_its_plan_says)               \
    CLAIM(a_plugin_refuses_a_shape_in_its_plan_alone)      \
    CLAIM(a_draw_finds_its_row_in_any_chunk)               \
    CLAIM(candidates_of_any_number_are_tried)              \
    CLAIM(far_twins_make_way_in_selections_of_any_size)    \
    CLAIM(a_product_gives_the_bytes_of_ref)                \
    CLAIM(what_a_product_leaves_open_is_proved)            \
    CLAIM(rows_are_labeled_without_a_product_too)          \
    CLAIM(no_product_is_trusted_beyond_its_gamma)          \
    CLAIM(a_plugin_fits_small_problems_as_ref_does)        \
    CLAIM(a_plugin_says_which_problems_are_small)          \
    CLAIM(a_plugin_sums_rows_of_many_clusters)             \
    CLAIM(a_plugin_looks_at_no_rows_of_an_empty_block)     \
    CLAIM(a_wrong_card_stays_within_bounds)

#define DECLARE(name) void name(struct check *check);
KERNEL_CLAIMS(DECLARE)
#undef DECLARE

#endif
