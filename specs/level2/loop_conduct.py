"""What training does to the process around it, and that it goes through all batches, however many."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from specs import training_draws
from specs.compare import expect, expect_close, expect_equal
from specs.imports import expect_import_without_traces
from specs.law import law
from specs.level2.loop import PLAIN, fit, stream
from specs.oracles import training
from specs.probe import Probe
from specs.strategies import seeds
from specs.tolerances import TRAINING_LOSS
from specs.training_draws import ALL, VOCABULARY

CRITERION = "loop"


@law()
def test_importing_training_changes_nothing(probe: Probe) -> None:
    """Importing the module starts nothing, writes nothing, and changes no setting that others share.

    Kills: a seed, the number of threads, a precision, warning filters or variables of the environment set
    while the module is imported, a folder made for checkpoints.
    """
    expect_import_without_traces(probe, "nanochat.train")


@law(examples=2, cases=[{"seed": 0}], seed=seeds)
def test_training_changes_no_setting(probe: Probe, seed: int) -> None:
    """Training and evaluation change no setting that all share, also if they raise, and work in any thread.

    Kills: a seed, a number of threads, a default dtype, warning filters or handlers of signals that are set
    for good, handlers that are set while training runs, which no other thread can do, a setting that is put
    back at the end and not after an error.
    """
    names = ["lr_multiplier", "set_learning_rates", "train_step", "evaluate", "evaluate_bits_per_byte", "fit"]
    measured = ("train_step", "evaluate", "evaluate_bits_per_byte", "fit")
    raising = [f"{name} of batches that raise" for name in measured]
    raising += ["lr_multiplier of a step below 0", "fit whose on_step raises"]
    expect_no_setting_changed(probe, seed, names + raising)


def expect_no_setting_changed(probe: Probe, seed: int, names: list[str]) -> None:
    """Require that these functions of training leave shared settings alone, and work in another thread."""
    answer = probe(
        "training_conduct.shared_by_training",
        weights=training_draws.weights(seed),
        groups=ALL,
        pairs=training_draws.batches(seed, [(2, 3)] * 2, [None] * 2),
        names=names,
    )
    for name, changed in answer.items():
        expect(not changed, f"{name} {'; '.join(changed)}")


@law(
    examples=2,
    cases=[{"seed": 0, "times": times} for times in (2, 1100)],
    seed=seeds,
    times=st.sampled_from([3, 20, 70, 300]),
)
def test_evaluation_goes_through_all_batches(probe: Probe, seed: int, times: int) -> None:
    """Evaluation counts every batch, however many there are, also one that comes more than once.

    Here a small batch comes again and again, the same object, and a larger one after it.
    Kills: an evaluation that ends after a number of batches of its own, batches taken for the same dropped.
    """
    weights = training_draws.weights(seed)
    small, large = training_draws.batch(seed, 1, 2), training_draws.batch(seed, 20, 20)
    token_bytes = [1 + place % 3 for place in range(VOCABULARY)]
    batches = [small] * times + [large]
    for name, more, want in (
        ("loss_of", {}, training.mean_loss(weights, batches)),
        (
            "bits_per_byte",
            {"token_bytes": token_bytes},
            training.bits_per_byte(weights, batches, token_bytes),
        ),
    ):
        got = probe(f"evaluation.{name}", weights=weights, pairs=[small, large], times=times, **more)["value"]
        what = f"{name}, of a batch that comes {times} times and one more"
        expect_close(np.array([got]), np.array([want]), TRAINING_LOSS, what)


@law(examples=3, cases=[{"seed": 0, "times": 40}], seed=seeds, times=st.sampled_from([60, 100, 300]))
def test_evaluation_of_a_model_in_bfloat16_is_exact(probe: Probe, seed: int, times: int) -> None:
    """Over a batch that comes again and again a model in bfloat16 has the loss that it has over one of them.

    Its losses are float32. Kills: losses, targets or bytes that are summed in the dtype of the parameters.
    """
    given = {"weights": training_draws.weights(seed), "pairs": [training_draws.batch(seed, 8, 16)]}
    token_bytes = [1 + place % 3 for place in range(VOCABULARY)]
    for name, more in (("loss_of", {}), ("bits_per_byte", {"token_bytes": token_bytes})):
        want, got = (
            probe(f"evaluation.{name}", **given, **more, times=count, dtype="bfloat16")["value"]
            for count in (1, times)
        )
        what = f"{name} of a model in bfloat16, of a batch that comes {times} times, against once"
        # A sum of 300 in float32 is off by 2e-5 at most, one of 40 in bfloat16 by some 1e-3.
        expect_close(np.array([got]), np.array([want]), TRAINING_LOSS.times(10), what)


@law(examples=2, cases=[{"seed": 0, "num_steps": 130}], seed=seeds, num_steps=st.integers(20, 60))
def test_a_long_training_makes_all_of_its_steps(probe: Probe, seed: int, num_steps: int) -> None:
    """A training of many steps makes all of them, also on a batch that comes again and again.

    Kills: a number of steps or batches after which training ends, batches taken for the same dropped.
    """
    pair = training_draws.batch(seed, 1, 2)
    got = fit(probe, seed, [pair], num_steps, options={**PLAIN, "accumulation": 2}, times=2 * num_steps)
    expect_equal([entry["step"] for entry in got["history"]], list(range(num_steps)), "the steps reported")
    rows = sum(len(each["inputs"]) for each in got["passes"] if each["gradient"])
    expect_equal(rows, 2 * num_steps, f"the rows trained on in {num_steps} steps of two batches of one row")


@law(
    examples=4,
    cases=[{"seed": 0, "ends": [2, 2, 5], "accumulation": 1}],
    seed=seeds,
    ends=st.lists(st.integers(0, 6), min_size=2, max_size=4).map(sorted),
    accumulation=st.integers(1, 2),
)
def test_what_is_left_of_the_batches_stays(
    probe: Probe, seed: int, ends: list[int], accumulation: int
) -> None:
    """A training that goes on with the same iterator goes on with the batch behind the last that was taken.

    Kills: the caller's generator closed at the end, a batch looked at before it is known that it is needed.
    """
    got = probe(
        "training_turns.fit_in_turns",
        weights=training_draws.weights(seed),
        groups=ALL,
        pairs=stream(seed, ends[-1] * accumulation + 1),
        ends=ends,
        options={**PLAIN, "accumulation": accumulation},
    )
    what = f"of trainings to the steps {ends} in turn, of {accumulation} batches of one generator each"
    for first, end, turn in zip([0, *ends], ends, got["turns"], strict=False):
        expect_equal(turn["steps"], list(range(first, end)), f"the steps from {first} on {what}")
        expect_equal(
            turn["taken"], list(range(end * accumulation)), f"the batches taken by step {end} {what}"
        )
    expect_equal(got["next"], ends[-1] * accumulation, f"the batch that comes after the last {what}")
