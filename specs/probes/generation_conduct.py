"""Experiments on what goes on around an engine's columns: its model, its errors, and what waits meanwhile."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from specs.probes.building import build_model
from specs.probes.generation import columns, new_engine, plain, scripted_model
from specs.probes.loading import imported
from specs.probes.orders import outcome
from specs.probes.registry import probe
from specs.probes.scripted import ScriptedModel
from specs.probes.setting import torch_device
from specs.probes.shared_settings import ANY, differences, settings
from specs.probes.traces import resources, usual_defaults
from specs.probes.values import tensor, values

MOST = 100
"""Columns that are read of any stream here."""


@probe
def learned_since(
    config: dict[str, int],
    weights: dict[str, Any],
    later: dict[str, Any],
    prompt: list[int],
    options: dict[str, Any],
    way: str,
) -> dict[str, Any]:
    """Return what an engine yields before and after its model's parameters change, and then a new engine.

    And what `GPT.generate` yields after it, of that model and of a new one. `way` is how they come to be
    `later`: "copy_", "data" or "load_state_dict".
    """
    model = build_model(config, weights, dtype="float32")
    engine = new_engine(model)
    before = columns(engine.generate(list(prompt), **options), MOST)
    slow(model, prompt, options["max_tokens"])
    new = {name: tensor(value, torch.float32) for name, value in later.items()}
    parameters = dict(model.named_parameters())
    if way == "load_state_dict":
        model.load_state_dict({**model.state_dict(), **new})
    for name, value in new.items():
        if way == "data":
            parameters[name].data = value
        elif way == "copy_":
            with torch.no_grad():
                parameters[name].copy_(value)
    after = columns(engine.generate(list(prompt), **options), MOST)
    fresh = columns(new_engine(model).generate(list(prompt), **options), MOST)
    other = build_model(config, {**weights, **later}, dtype="float32")
    texts = [slow(each, prompt, options["max_tokens"]) for each in (model, other)]
    return {"before": before, "after": after, "fresh": fresh, "slow": texts}


def slow(model: Any, prompt: list[int], length: int) -> Any:
    """Return the text that `GPT.generate` finds most likely."""
    return plain(list(itertools.islice(model.generate(list(prompt), length, temperature=0.0), MOST)))


class BreakingModel(ScriptedModel):
    """A scripted model of which one pass, counted from 0, raises."""

    breaks_at: int | None = None

    def forward(self, *arguments: Any, **named: Any) -> torch.Tensor:
        """Answer as the script says, but for the pass that breaks."""
        if self.breaks_at == self.calls:
            self.breaks_at = None
            raise RuntimeError("this pass of the model went wrong, as the judge wanted it to")
        return super().forward(*arguments, **named)


@probe
def broken_pass(
    prompt: list[int], script: dict[str, Any], options: dict[str, Any], breaks_at: int
) -> dict[str, Any]:
    """Return how a stream and a batch end whose model raises in a pass, and what follows on that engine.

    A stream that ends by itself has the number of its columns as its end.
    """
    model = scripted_model(script, len(prompt), 64, 0)
    model.__class__ = BreakingModel
    assert isinstance(model, BreakingModel)
    engine = new_engine(model)
    ends: dict[str, Any] = {}
    for way, begin in (("stream", engine.generate), ("batch", engine.generate_batch)):
        model.breaks_at = model.calls + breaks_at
        try:
            ends[way] = len(list(itertools.islice(begin(list(prompt), **options), MOST)))
        except Exception:  # noqa: BLE001  # which one is free: the submission may wrap it
            ends[way] = "raised"
        model.breaks_at = None
    ends["after"] = columns(engine.generate(list(prompt), **options), MOST)
    fresh = new_engine(scripted_model(script, len(prompt), 64, 0))
    ends["fresh"] = columns(fresh.generate(list(prompt), **options), MOST)
    return ends


@probe
def waiting(
    prompt: list[int],
    script: dict[str, Any],
    options: dict[str, Any],
    order: list[int],
    config: dict[str, int],
    weights: dict[str, Any],
) -> dict[str, list[str]]:
    """Return the settings that differ while two streams wait, and when both have ended in `order`.

    Of an engine, and of `GPT.generate`. Whether gradients are enabled while a stream waits is free.
    """
    engine = new_engine(scripted_model(script, len(prompt), 64, 0))
    model = build_model(config, weights, dtype="float32")
    return {
        "the engine": _while_waiting(lambda: engine.generate(list(prompt), **options), order),
        "GPT.generate": _while_waiting(lambda: model.generate(list(prompt), options["max_tokens"]), order),
    }


def _while_waiting(begin: Callable[[], Any], order: list[int]) -> list[str]:
    threads = torch.get_num_threads()
    with usual_defaults():
        # One more than usual, or a submission that sets one would change nothing.
        torch.set_num_threads(threads + 1)
        try:
            before = settings(ANY)
            running = [iter(begin()) for _ in order]
            found = {"a stream has given its first column": _after(before, lambda: next(running[0]))}
            found["two have"] = _after(before, lambda: next(running[1]))
            for i in order:
                for _ in running[i]:
                    pass
            found[f"both have ended, in the order {order},"] = _after(before, lambda: None)
        finally:
            torch.set_num_threads(threads)
    return [f"{name}, when {moment}" for moment, names in found.items() for name in names]


def _after(before: dict[str, str], act: Callable[[], object]) -> list[str]:
    act()
    return [each for each in differences(before, settings(ANY)) if "gradients" not in each]


@probe
def requests(script: dict[str, Any], calls: list[dict[str, Any]], sequence_len: int) -> list[Any]:
    """Return what one engine yields for each of `calls`, a "prompt" and "options"; one may have raised.

    Of each, as many columns are read as "read" says, if it does; then the stream is dropped.
    """
    engine = new_engine(scripted_model(script, 0, sequence_len, 0))

    def answer(call: dict[str, Any]) -> Any:
        return columns(engine.generate(list(call["prompt"]), **call["options"]), call.get("read", MOST))

    return [outcome(answer, call) for call in calls]


@probe
def left_running(prompt: list[int], script: dict[str, Any], way: str, times: int) -> dict[str, list[int]]:
    """Return threads, child processes and open files after one stream left by `way`, and after more.

    `way` is "closed", "dropped", or either "unread", before the first column. What ends by itself has time.
    """
    engine = new_engine(scripted_model(script, len(prompt), 64, 0))
    counts = []
    # The first stream may start what later ones use again.
    for number in (1, times):
        for _ in range(number):
            stream = engine.generate(list(prompt), max_tokens=40)
            if not way.startswith("unread"):
                next(stream, None)
            if way.endswith("closed") and hasattr(stream, "close"):
                stream.close()
            del stream
        counts.append(resources())
    until = time.monotonic() + _PATIENCE_SECONDS
    while any(counts[1][what] > counts[0][what] for what in counts[0]) and time.monotonic() < until:
        gc.collect()
        time.sleep(0.05)
        counts[1] = resources()
    return {what: [int(count[what]) for count in counts] for what in counts[0]}


_PATIENCE_SECONDS = 2.0
"""Waited only where there is more than before."""


@probe
def draw_laid_out(
    logits: NDArray[np.float32], layout: str, seed: int, temperature: float, top_k: int | None
) -> dict[str, Any]:
    """Return the ids of one draw from `logits` in a layout, see `laid_out`, and whether it changed them.

    Gradients are enabled, as they are where nobody has said otherwise.
    """
    sample = imported("nanochat.engine").sample_next_token
    generator = torch.Generator(device=torch_device()).manual_seed(seed)
    with torch.enable_grad():
        given = laid_out(tensor(logits, torch.float32), layout)
        ids = sample(given, generator, temperature=temperature, top_k=top_k)
        return {
            "ids": values(ids, "the result of sample_next_token"),
            "changed": not np.array_equal(values(given, "the logits"), logits),
        }


def laid_out(logits: torch.Tensor, layout: str) -> torch.Tensor:
    """Return the same logits in a layout; what lies between them is larger than they are."""
    rows, width = logits.shape
    if layout == "columns first":
        return logits.t().contiguous().t()
    if layout == "cut out of wider rows":
        wide = logits.new_full((rows, width + 5), 1e9)
        wide[:, 2 : 2 + width] = logits
        return wide[:, 2 : 2 + width]
    if layout == "every second column":
        wide = logits.new_full((rows, 2 * width), 1e9)
        wide[:, ::2] = logits
        return wide[:, ::2]
    if layout == "every second row":
        tall = logits.new_full((2 * rows, width), 1e9)
        tall[::2] = logits
        return tall[::2]
    if layout == "part of a graph":
        return logits.clone().requires_grad_() * 1.0
    if layout == "made in inference mode":
        with torch.inference_mode():
            return logits * 1.0
    if layout == "one behind the other":
        return logits.clone()
    raise ValueError(f"there is no layout {layout!r}")
