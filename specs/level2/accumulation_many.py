"""A step on many micro-batches, on one that comes more than once, and of other parameters than the last."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from specs import training_draws
from specs.compare import expect, expect_close, expect_equal
from specs.law import law
from specs.level2.accumulation import expect_gradients, expect_loss
from specs.oracles import training
from specs.probe import Probe
from specs.strategies import seeds
from specs.tolerances import STEP_GRADIENT
from specs.training_draws import ALL, SEVERAL

CRITERION = "accumulation"


@law(
    examples=4,
    cases=[{"seed": 0, "times": times} for times in (2, 3, 300)],
    seed=seeds,
    times=st.integers(2, 40),
)
def test_a_micro_batch_counts_as_often_as_it_comes(probe: Probe, seed: int, times: int) -> None:
    """A micro-batch that comes several times, the same object, counts so often, and another after it once.

    Kills: micro-batches taken for the same dropped, a number of micro-batches after which a step ends.
    """
    weights = training_draws.weights(seed)
    again, last = training_draws.batch(seed, 1, 3), training_draws.batch(seed + 1, 3, 4)
    got = probe("training.steps", weights=weights, groups=ALL, steps=[[again, last]], times=times)
    batches = [again] * times + [last]
    what = f"with a micro-batch that comes {times} times and one more"
    expect_gradients(got, training.gradients(weights, batches), what)
    expect_loss(got["steps"][0]["loss"], training.mean_loss(weights, batches), what)


@law(
    examples=4, cases=[{"seed": 0, "limit": 1}, {"seed": 0, "limit": 3}], seed=seeds, limit=st.integers(1, 5)
)
def test_a_limit_may_be_an_integer(probe: Probe, seed: int, limit: int) -> None:
    """A gradient longer than a whole number is shortened to it, as to any other.

    Kills: limits that are asked for their type, a division without its remainder.
    """
    weights = training_draws.weights(seed)
    # The logits stay what they are, the gradient of the head grows.
    weights["wte"], weights["head"] = weights["wte"] * np.float32(60), weights["head"] / np.float32(60)
    batches = [training_draws.batch(seed, 2, 3)]
    gradients = training.gradients(weights, batches)
    norm = training.norm(gradients)
    got = probe("training.steps", weights=weights, groups=ALL, steps=[batches], grad_clip=limit)
    expect_gradients(
        got, gradients, f"with a norm of {norm:.4g} and a limit of {limit}", factor=min(1.0, limit / norm)
    )
    expect_close(
        np.array([got["steps"][0]["grad_norm"]]),
        np.array([norm]),
        STEP_GRADIENT,
        "the norm of the gradient before it is clipped",
    )


CHANGES: dict[str, dict[str, Any]] = {
    "takes a group more": {"uses": [[0, 1], [0, 1]], "takes": [None, "head"]},
    "has an optimizer more": {"uses": [[0], [0, 1]]},
    "has an optimizer fewer": {"uses": [[0, 1], [0]]},
    "has another optimizer": {"uses": [[0], [1]]},
}


@law(
    examples=4,
    cases=[{"seed": 0, "second": second, "share": 0.5} for second in CHANGES],
    seed=seeds,
    second=st.sampled_from(list(CHANGES)),
    share=st.sampled_from([None, 0.5]),
)
def test_a_step_is_of_what_its_optimizers_hold(
    probe: Probe, seed: int, second: str, share: float | None
) -> None:
    """Gradients, norm and limit of a step are those of what its optimizers hold then, whatever the last held.

    Between two steps on one model an optimizer takes another group, or the step has others. Kills: a list of
    parameters that is made once and kept, with the model, an optimizer or the module.
    """
    weights, batches = training_draws.weights(seed), [training_draws.batch(seed, 2, 3)]
    groups, plan = ["wte", "gain,bias"], CHANGES[second]
    gradients = training.gradients(weights, batches)
    held = [[name for place in used for name in groups[place].split(",")] for used in plan["uses"]]
    held[1] += [name for name in plan.get("takes", []) if name is not None]
    norms = [training.norm(gradients, names) for names in held]
    limit = None if share is None else share * min(norms)
    got = probe(
        "training.steps",
        weights=weights,
        groups=groups,
        steps=[batches, batches],
        # Nothing moves: both steps have one gradient.
        lr=0.0,
        stale=3.0,
        grad_clip=limit,
        **plan,
    )
    before = [0] * len(groups)
    for step, (used, norm) in enumerate(zip(plan["uses"], norms, strict=True)):
        what = f"of step {step}, where the second {second}"
        expect_close(
            np.array([got["steps"][step]["grad_norm"]]), np.array([norm]), STEP_GRADIENT, f"the norm {what}"
        )
        expect_equal(got["steps"][step]["left"], [], f"parameters with a gradient after the end {what}")
        seen: dict[str, Any] = {}
        for place in used:
            made = got["seen"][place]
            expect(len(made) > before[place], f"optimizer {place} made no step {what}")
            seen |= made[before[place]]["gradients"]
            before[place] += 1
        expect_equal(sorted(seen), sorted(held[step]), f"the parameters stepped {what}")
        for name, gradient in seen.items():
            want = gradients[name] * (1.0 if limit is None else limit / norm)
            expect(gradient is not None, f"{name} has no gradient {what}")
            expect_close(gradient, want, STEP_GRADIENT, f"the gradient of {name} {what}")


@law(
    examples=6,
    cases=[
        {"seed": 0, "raising": raising, "share": share}
        for raising, share in (("batches", None), ("model", 0.5), ("optimizer", None))
    ],
    seed=seeds,
    raising=st.sampled_from(["batches", "model", "optimizer"]),
    share=st.sampled_from([None, 0.5]),
)
def test_a_step_that_fails_leaves_all_usable(
    probe: Probe, seed: int, raising: str, share: float | None
) -> None:
    """A step that an error of the batches, the model or an optimizer ends leaves all usable.

    The next step is right. Kills: hooks that are left on the parameters, gradients or counts kept, gradients
    switched off.
    """
    weights = training_draws.weights(seed)
    batches = training_draws.of_sizes(seed, [(2, 3, 4), (1, 4, 3)])
    gradients = training.gradients(weights, batches)
    norm = training.norm(gradients)
    limit = None if share is None else share * norm
    got = probe(
        "training.step_after_an_error",
        weights=weights,
        groups=SEVERAL,
        pairs=batches,
        raising=raising,
        grad_clip=limit,
    )
    what = f"of a step after one that an error of the {raising} ended"
    held = [name for names in SEVERAL for name in names.split(",")]
    norm = training.norm(gradients, held)
    expect_gradients(got, gradients, what, factor=1.0 if limit is None else min(1.0, limit / norm))
    expect_loss(got["steps"][0]["loss"], training.mean_loss(weights, batches), what)
    expect_close(
        np.array([got["steps"][0]["grad_norm"]]), np.array([norm]), STEP_GRADIENT, f"the norm {what}"
    )
    expect(got["trained"], f"parameters are no longer trained at the end {what}")
    expect(got["recording"], f"gradients are no longer recorded at the end {what}")
