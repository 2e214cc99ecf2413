"""What importing, making and using optimizers does to the process around them."""

from __future__ import annotations

from hypothesis import strategies as st

from specs.compare import expect, expect_equal
from specs.imports import expect_import_without_traces
from specs.law import law
from specs.level2.optimizers_groups import MODELS, models
from specs.oracles.gpt import Config
from specs.probe import Probe

CRITERION = "optimizers"


@law()
def test_importing_the_optimizers_changes_nothing(probe: Probe) -> None:
    """Importing the module starts nothing, writes nothing, and changes no setting that others share.

    Kills: a seed, the number of threads, a precision or warning filters set while the module is imported.
    """
    expect_import_without_traces(probe, "nanochat.optim")


@law(examples=6, cases=[{"model": MODELS[0]}], model=models)
def test_optimizers_change_no_setting(probe: Probe, model: Config) -> None:
    """Making optimizers and stepping change no setting that all of the process share, and work in any thread.

    Kills: a number of threads or a seed set for speed or for repetition, a default dtype.
    """
    for name, changed in probe("training_conduct.shared_by_optimizers", config=model).items():
        expect(not changed, f"{name} {'; '.join(changed)}")


@law(
    examples=22,
    cases=[
        {"model": MODELS[0], "frozen": frozen} for frozen in ("transformer.wte", "transformer.h", "lm_head")
    ],
    model=models,
    frozen=st.sampled_from(["transformer.wte", "transformer.h", "transformer.h.0.attn", "lm_head"]),
)
def test_a_frozen_parameter_has_an_optimizer(probe: Probe, model: Config, frozen: str) -> None:
    """A parameter that is frozen when the optimizers are made is shared out like any other, and stays frozen.

    It may be thawed later. Kills: parameters chosen by whether they are trained, or thawed to be held.
    """
    answer = probe("sharing.groups", config=model, options={}, frozen=frozen)
    held = sorted(name for group in answer["groups"] for name in group["parameters"])
    expect_equal(held, answer["names"], f"the parameters in all groups, where {frozen} is frozen")
    expect_equal(answer["thawed"], [], f"the parameters of {frozen} that were thawed")
