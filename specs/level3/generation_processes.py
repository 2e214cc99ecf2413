"""Generation in two processes: what a seed says does not lie in one of them."""

from __future__ import annotations

import numpy as np

from specs.compare import expect, expect_equal
from specs.law import law
from specs.probe import Probe
from specs.strategies import seeds
from specs.streams import TEXT_IDS, prompts

CRITERION = "sampling"


@law(examples=1, prompt=prompts, seed=seeds)
def test_a_seed_gives_the_same_rows_in_another_process(probe: Probe, prompt: list[int], seed: int) -> None:
    """The same seed gives the same rows in another process, and another seed gives others.

    Kills: seeds made of a process id, an address, a time or a text's hash; draws that are remembered and not
    made again.
    """
    script = {"choices": 16, "ids": TEXT_IDS}

    def rows(seed: int) -> list[list[int]]:
        options = {"num_samples": 3, "max_tokens": 12, "seed": seed}
        columns: list[list[int]] = probe("generation.stream", prompt=prompt, script=script, options=options)[
            0
        ]["tokens"]
        return columns

    def drawn(seed: int) -> list[list[int]]:
        ids: list[np.ndarray] = probe(
            "sampling.draw", logits=np.zeros((4, 50), np.float32), seed=seed, calls=5
        )
        return [each.tolist() for each in ids]

    here, others = (rows(seed), drawn(seed)), (rows(seed + 1), drawn(seed + 1))
    expect(here[0] != others[0], f"the seeds {seed} and {seed + 1} gave the same rows: {here[0]}")
    expect(here[1] != others[1], f"generators seeded {seed} and {seed + 1} gave the same ids: {here[1]}")
    probe.renew()
    expect_equal(rows(seed), here[0], f"the columns for seed {seed} in another process")
    expect_equal(drawn(seed), here[1], f"the ids drawn with a generator seeded {seed} in another process")
