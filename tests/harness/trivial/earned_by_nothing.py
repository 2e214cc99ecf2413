"""The properties that a submission earns which does no work, by why that is so.

Many more hold for it: whoever always says the same agrees with itself, holds no memory and changes nothing.
`[[counts_with]]` in specs/level3.toml says what those count with. What is left here is honestly earned, and
the test that measures it fails when a property comes in, and when one can go.
"""

from __future__ import annotations

FORM_ALONE = [
    "attention.a_configuration_has_the_defaults_of_the_contract",
    "attention.parameters_have_the_shapes_of_the_contract",
    "grouped.key_and_value_projections_are_small",
    "cache.the_cache_keeps_the_dtype",
    "sampling.a_column_is_a_list_of_one_id_a_row",
]
"""Names, shapes and types, which these submissions have."""

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

TEXT_AND_TRAINING: dict[str, list[str]] = {
    "no text": ["data.batches_have_the_contracts_form"],
    "one letter": ["data.batches_have_the_contracts_form", "bytes.each_tokens_bytes_are_counted"],
}
"""Of levels 1 and 2: names, shapes and types, and the bytes of tokens that are single bytes."""

FREE = frozenset([*FORM_ALONE, *REALLY_DONE])
MOST_POINTS = 8.0
"""Of 100, for what is earned above."""


def earned_by(name: str) -> frozenset[str]:
    """Return the properties that the trivial submission `name` earns."""
    if name in TEXT_AND_TRAINING:
        return frozenset(TEXT_AND_TRAINING[name])
    if name in ("zeros", "echoes"):
        return frozenset(FORM_ALONE)
    return FREE if name == "constant" else frozenset()
