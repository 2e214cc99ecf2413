"""The properties that a submission passes which does no work, by why that is so.

A list to be made shorter: each id in `COMPARED_WITH_ITSELF` and `AT_MOST` is points for nothing. It may only
shrink; the test that measures it fails when a property comes in, and when one can go.
"""

from __future__ import annotations

COMPARED_WITH_ITSELF = [
    "rotary.scores_depend_on_distance_alone",
    "rotary.attention_ignores_a_shift_of_all_positions",
    "rotary.no_position_beyond_the_table_is_wrapped",
    "rotary.rotation_preserves_length",
    "attention.no_token_sees_the_future",
    "attention.a_prefix_gives_a_prefix",
    "attention.rows_do_not_meet",
    "attention.heads_may_be_renamed",
    "attention.the_embedding_is_normalised",
    "attention.the_head_is_not_tied_to_the_embedding",
    "attention.forward_changes_nothing",
    "grouped.a_grouped_model_is_a_full_model_with_repeated_heads",
    "grouped.gradients_add_up_over_a_group",
    "cache.every_split_equals_uncached",
    "cache.all_splits_of_a_short_sequence_agree",
    "cache.long_decoding_equals_uncached",
    "cache.the_first_length_does_not_matter",
    "cache.a_reset_cache_is_as_good_as_new",
    "cache.caches_do_not_meet",
    "cache.the_engine_decodes_what_the_model_says",
    "sampling.two_streams_of_one_engine_do_not_meet",
    "sampling.a_stream_left_early_leaves_the_engine_as_new",
    "sampling.an_engine_survives_a_refused_request",
    "sampling.the_engine_needs_only_what_the_contract_names",
    "sampling.greedy_text_is_the_models_own",
    "tools.a_terminal_ends_a_row_at_once",
    "tools.answers_do_not_hang_on_what_came_before",
]
"""Answers of the submission are compared with others of its own: whoever always says the same passes."""

AT_MOST = [
    "memory.growing_stays_within_twice_the_tokens",
    "memory.every_history_stays_within_the_bound",
    "memory.reset_gives_grown_memory_back",
    "memory.insert_copies_no_more_than_a_layer",
    "memory.grouped_engine_stores_no_more_heads",
    "memory.decoding_holds_one_cache",
    "memory.decoding_adds_only_its_tokens",
    "memory.generating_again_adds_nothing",
    "memory.abandoned_generations_free_their_caches",
    "memory.passes_leave_nothing_behind",
    "memory.cached_passes_leave_only_the_cache",
    "memory.python_objects_stay_few",
    "memory.process_does_not_grow",
]
"""An upper bound of what is held: a cache that holds nothing keeps every one."""

NOTHING_HAPPENS = [
    "sampling.a_draw_leaves_no_traces",
    "sampling.generating_leaves_no_traces",
    "tools.no_order_of_tool_tokens_breaks_generation",
    "tools.no_result_breaks_generation",
    "tools.nothing_stays_behind",
    "tools.no_expression_reaches_out",
    "tools.any_text_is_answered_without_an_exception",
    "tools.monstrous_expressions_are_survived",
    "tools.the_process_stays_as_it_was",
    "tools.nothing_is_said_or_shown",
]
"""What must not happen does not: true of whoever does nothing."""

FORM_ALONE = [
    "attention.a_configuration_has_the_defaults_of_the_contract",
    "attention.parameters_have_the_shapes_of_the_contract",
    "grouped.key_and_value_projections_are_small",
    "cache.the_cache_keeps_the_dtype",
    "sampling.a_column_is_a_list_of_one_id_a_row",
]
"""Names, shapes and types, which these submissions have: honestly earned, but for the dtype of zeros."""

REALLY_DONE = [
    "sampling.temperature_zero_takes_the_largest_logit",
    "sampling.top_k_of_one_takes_the_largest_logit",
    "sampling.each_row_has_its_own_logits",
    "sampling.minus_infinity_is_never_drawn",
    "sampling.huge_logits_and_small_temperatures_are_survived",
    "tools.division_by_zero_has_no_result",
    "tools.nothing_but_numbers_and_count_has_a_result",
]
"""The largest logit is the right answer to these, and None: the constant submission gives both."""

FREE = frozenset([*COMPARED_WITH_ITSELF, *AT_MOST, *NOTHING_HAPPENS, *FORM_ALONE, *REALLY_DONE])

ONLY = {
    "rotary.rotation_preserves_length": {"echoes"},
    "attention.the_head_is_not_tied_to_the_embedding": {"constant"},
    "cache.the_engine_decodes_what_the_model_says": {"zeros", "echoes"},
    "sampling.greedy_text_is_the_models_own": {"zeros", "echoes"},
    **{name: {"constant"} for name in REALLY_DONE},
}
"""Properties that not all of zeros, echoes and constant pass."""

RAISING = frozenset(
    {
        "tools.answers_do_not_hang_on_what_came_before",
        "tools.no_expression_reaches_out",
        "tools.the_process_stays_as_it_was",
        "tools.nothing_is_said_or_shown",
    }
)
"""What passes where everything raises."""


def earned_by(name: str) -> frozenset[str]:
    """Return the properties that the trivial submission `name` passes."""
    if name == "exits":
        return frozenset()
    if name.startswith("raises"):
        return RAISING
    return frozenset(one for one in FREE if name in ONLY.get(one, {name}))
