"""Experiments that count the bytes that a submission's objects hold, step by step.

Every count is of tensors made since the experiment began, the model's parameters not included.
"""

from __future__ import annotations

import contextlib
import itertools
import tracemalloc
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from specs.probes.building import build_model
from specs.probes.byte_tokenizer import ByteTokenizer
from specs.probes.ledger import Collector, Meter, Readings, readings, storage_of
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.scripted import ScriptedConfig, ScriptedModel
from specs.probes.setting import torch_device
from specs.probes.values import tensor

DEFAULT_GROWTH_STEP = 64
LARGEST_GROWTH_STEP = 1024
ORDINARY = ord("a")
"""The token that scripted generations consist of: it ends nothing and calls nothing."""

UNREAD = "unread "

LARGER = "prefill from a cache made larger"
BROKEN_OFF = "reset in the middle of a pass"
REFUSED = ("refused values", "refused keys", "refused prefill")

Held = tuple[int, int | None]


@probe
def cache_history(shape: dict[str, Any], steps: list[list[Any]]) -> dict[str, Any]:
    """Return the bytes that one cache holds, new and after each step, and its growth step.

    A step is ["insert", tokens], ["reset", 0], or ["prefill", tokens], which fills a cache of one row and
    copies it into all rows; or ["prefill from a cache made larger", tokens], the same where that other cache
    begins with more slots. What is refused ought to be: see `refuse`. Nothing but the cache outlives a step.
    """
    with Meter(device=torch_device()) as meter:
        cache = new_cache(shape)
        held = [meter.measure()]
        for do, tokens in steps:
            if do == "insert":
                insert(cache, shape, tokens)
            elif do == "reset":
                cache.reset()
            elif do == BROKEN_OFF:
                for layer in range(max(1, shape["num_layers"] - 1)):
                    cache.insert_kv(layer, *keys_and_values(shape, tokens))
                cache.reset()
            elif do in REFUSED:
                refuse(cache, shape, tokens, do)
            else:
                one_row = {**shape, "batch_size": 1}
                if do == LARGER:
                    one_row["seq_len"] = 16 * (shape["seq_len"] + tokens)
                one = new_cache(one_row)
                insert(one, one_row, tokens)
                cache.prefill(one)
                del one
            held.append(meter.measure())
        return {"growth_step": growth_step(), **readings(held)}


@probe
def insert_peaks(shape: dict[str, Any], tokens: int) -> dict[str, Any]:
    """Fill a cache with `tokens`, then insert one more; return for each layer the bytes held and the peak.

    The keys and values inserted, and those returned, count as well.
    """
    with Meter(device=torch_device()) as meter:
        cache = new_cache(shape)
        insert(cache, shape, tokens)
        held, peaks = [], []
        for layer in range(shape["num_layers"]):
            k, v = keys_and_values(shape, 1)
            held.append(meter.measure())
            meter.mark()
            answer = cache.insert_kv(layer, k, v)
            peaks.append(meter.measure_peak())
            del answer, k, v
        return {"held": readings(held), "peaks": readings(peaks)}


@probe
def generation(
    model: dict[str, int], prompt: int, rows: int, max_tokens: int, before: int = 0
) -> dict[str, Any]:
    """Return the bytes held at each yield of a generation by a scripted model, and the cache's growth step.

    As many generations of the same shape run `before`. What the model's first and last pass answered is
    not counted: an engine may well look at it still.
    """
    scripted = Watched(ScriptedConfig(**model))
    engine = new_engine(scripted)
    with Meter(known(scripted), torch_device()) as meter:

        def begin() -> Iterator[Any]:
            scripted.forget()
            return generate(engine, [ORDINARY] * prompt, rows, max_tokens)

        for _ in range(before):
            exhaust(begin())
        held = []
        for _ in begin():
            held.append(less(meter.measure(), scripted.answers_held()))
    return {"growth_step": growth_step(), **readings(held)}


@probe
def rounds(
    config: dict[str, int], weights: dict[str, Any], prompts: list[NDArray[np.int64]], rows: int
) -> Readings:
    """Return the bytes held after each prompt was continued to the end of the context, in three ways.

    By `generate`, by `generate_batch`, and by the slow `generate` of the model.
    """
    model = build_model(config, weights)
    engine = new_engine(model)
    held = []
    with Meter(known(model), torch_device()) as meter:
        for number, prompt in enumerate(prompts):
            ids = [int(token) for token in prompt]
            room = config["sequence_len"] - len(ids)
            options = {"max_tokens": room, "temperature": 1.0, "top_k": 5, "seed": number}
            exhaust(engine.generate(ids, num_samples=rows, **options))
            engine.generate_batch(ids, num_samples=rows, **options)
            exhaust(model.generate(ids, **options))
            held.append(meter.measure())
    return readings(held)


@probe
def abandoned(model: dict[str, int], prompt: int, rows: int, how: list[str]) -> Readings:
    """Read some tokens of a generation, then abandon it, once for each of `how`; return the bytes held.

    The first two readings follow generations that were read to their end. "close" and "drop" say what
    happens to the generator; "raise" throws an exception into it, as a cancelled request does. With "unread"
    before, that happens before its first token is asked for.
    """
    scripted = Watched(ScriptedConfig(**model))
    engine = new_engine(scripted)
    held = []
    with Meter(known(scripted), torch_device()) as meter:
        for ending in ["read", "read", *how]:
            generator = generate(engine, [ORDINARY] * prompt, rows, 6)
            if ending == "read":
                exhaust(generator)
            else:
                if not ending.startswith(UNREAD):
                    for _ in itertools.islice(generator, 3):
                        pass
                abandon(generator, ending.removeprefix(UNREAD))
            del generator
            scripted.forget()
            held.append(meter.measure())
    return readings(held)


@probe
def finished(model: dict[str, int], prompt: int, rows: list[int]) -> Readings:
    """Return the bytes held after generations of so many rows on one engine, each read to its end."""
    scripted = Watched(ScriptedConfig(**model))
    engine = new_engine(scripted)
    held = []
    with Meter(known(scripted), torch_device()) as meter:
        for count in rows:
            exhaust(generate(engine, [ORDINARY] * prompt, count, 6))
            scripted.forget()
            held.append(meter.measure())
    return readings(held)


@probe
def passes(
    config: dict[str, int],
    weights: dict[str, Any],
    kinds: list[str],
    small: NDArray[np.int64],
    large: NDArray[np.int64],
    times: int,
) -> dict[str, Readings]:
    """Return, for each kind of pass, the bytes held after it: twice on few rows, then `times` on many.

    Kinds: "logits" and "loss" without gradients, "training" without gradients in training mode, "graph"
    with gradients but no backward pass, and "backward", after which the gradients are dropped.
    """
    model = build_model(config, weights)
    answers: dict[str, Readings] = {}
    with Meter(known(model), torch_device()) as meter:
        for kind in kinds:
            held = []
            for tokens in [small, small, *[large] * times]:
                one_pass(model, kind, tensor(tokens))
                held.append(meter.measure())
            answers[kind] = readings(held)
    return answers


@probe
def cached_passes(
    config: dict[str, int], weights: dict[str, Any], tokens: NDArray[np.int64], chunks: list[int]
) -> Readings:
    """Feed `tokens` (row, position) through a model into a cache; return the bytes held after each chunk."""
    model = build_model(config, weights)
    shape = {
        "batch_size": tokens.shape[0],
        "num_heads": config["n_kv_head"],
        "seq_len": config["sequence_len"],
        "head_dim": config["n_embd"] // config["n_head"],
        "num_layers": config["n_layer"],
    }
    held, start = [], 0
    with Meter(known(model), torch_device()) as meter, torch.no_grad():
        cache = new_cache(shape)
        for size in chunks:
            model(tensor(tokens[:, start : start + size]), kv_cache=cache)
            start += size
            held.append(meter.measure())
    return readings(held)


@probe
def refused_pass(
    config: dict[str, int], weights: dict[str, Any], held: int, more: int, slots: int
) -> dict[str, Any]:
    """Feed `held` tokens into a cache and then `more`, which do not fit into the context.

    Returns whether that raised a ValueError, the bytes held before and after, and the growth step.
    """
    model = build_model(config, weights)
    shape = {
        "batch_size": 1,
        "num_heads": config["n_kv_head"],
        "seq_len": slots,
        "head_dim": config["n_embd"] // config["n_head"],
        "num_layers": config["n_layer"],
    }
    refused = False
    tokens = torch.zeros(1, held + more, dtype=torch.int64, device=torch_device())
    with Meter([*known(model), tokens], torch_device()) as meter, torch.no_grad():
        cache = new_cache(shape)
        if held:
            model(tokens[:, :held], kv_cache=cache)
        readings_ = [meter.measure()]
        try:
            model(tokens[:, held:], kv_cache=cache)
        except ValueError:
            refused = True
        readings_.append(meter.measure())
    return {"refused": refused, "growth_step": growth_step(), **readings(readings_)}


@probe
def open_engine(model: dict[str, int]) -> None:
    """Make an engine over a scripted model that lives on from call to call, for who looks from outside."""
    _opened["engine"] = new_engine(Watched(ScriptedConfig(**model)))


@probe
def generate_with_open_engine(prompt: int, rows: int, max_tokens: int, times: int, seed: int) -> int:
    """Run as many generations, each from another prompt; return how many tokens a row got in all."""
    random = np.random.default_rng(seed)
    read = 0
    with Collector() as collector:
        for _ in range(times):
            ids = [int(token) for token in random.integers(0, 128, prompt)]
            read += exhaust(generate(_opened["engine"], ids, rows, max_tokens))
        collector.collect()
    return read


@probe
def close_engine() -> None:
    """Drop the engine that was opened, if there is one."""
    _opened.clear()


_opened: dict[str, Any] = {}


@probe
def python_bytes(model: dict[str, int], prompt: int, max_tokens: int, times: int) -> dict[str, list[int]]:
    """Return the bytes of Python objects: at each yield of one generation, and after each of `times` more.

    The one begins with a single token, the others have prompts of `prompt` tokens. Those of tensors are not
    among them, only the objects that stand for them.
    """
    scripted = Watched(ScriptedConfig(**model))
    engine = new_engine(scripted)
    random = np.random.default_rng(1)
    prompts = random.integers(0, 128, (times, prompt)).tolist()
    exhaust(generate(engine, prompts[0], 1, 2))
    with Collector() as collector:
        # Room for the readings, so that they do not count themselves.
        during, after, read = np.zeros(max_tokens, np.int64), np.zeros(times, np.int64), 0
        tracemalloc.start()
        try:
            for column, masks in generate(engine, [ORDINARY], 1, max_tokens):
                del column, masks
                if read < max_tokens:
                    during[read] = tracemalloc.get_traced_memory()[0]
                read += 1
            for i in range(times):
                exhaust(generate(engine, prompts[i], 1, 2))
                collector.collect()
                after[i] = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
    return {"during": during[:read].tolist(), "after": after.tolist()}


class Watched(ScriptedModel):
    """A scripted model that says one token for ever, keeps no history, and can tell its answers apart."""

    def __init__(self, config: ScriptedConfig) -> None:
        super().__init__(config, lambda _: line)
        line = [0.0] * config.vocab_size
        line[ORDINARY] = 100.0
        self.forget()

    def forget(self) -> None:
        """Begin a new generation: its first answer is the next."""
        self._first: weakref.ref[torch.UntypedStorage] | None = None
        self._last: weakref.ref[torch.UntypedStorage] | None = None

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Answer as the script says."""
        answer = super().forward(*args, **kwargs)
        self.fed.clear()
        self.histories.clear()
        storage = storage_of(answer)
        assert storage is not None
        self._last = weakref.ref(storage)
        self._first = self._first or self._last
        return answer

    def answers_held(self) -> int:
        """Return the bytes of the first and the last answer, as far as someone still holds them."""
        alive = {id(s): s.nbytes() for s in (r() for r in (self._first, self._last) if r) if s is not None}
        return sum(alive.values())


def new_cache(shape: dict[str, Any]) -> Any:
    """Return the submission's cache of a shape."""
    return imported("nanochat.engine").KVCache(
        **{name: shape[name] for name in ("batch_size", "num_heads", "seq_len", "head_dim", "num_layers")}
    )


def new_engine(model: Any) -> Any:
    """Return the submission's engine over `model`."""
    return imported("nanochat.engine").Engine(model, ByteTokenizer())


def growth_step() -> int:
    """Return the growth step that the submission's cache declares, up to the largest that is honoured."""
    declared = getattr(imported("nanochat.engine").KVCache, "GROWTH_STEP", DEFAULT_GROWTH_STEP)
    if type(declared) is not int or declared < 1:
        return DEFAULT_GROWTH_STEP
    return min(declared, LARGEST_GROWTH_STEP)


def keys_and_values(shape: dict[str, Any], tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return fresh keys and values (row, head, token, channel) for one layer."""
    size = (shape["batch_size"], shape["num_heads"], tokens, shape["head_dim"])
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[shape["dtype"]]
    k = torch.full(size, 0.5, dtype=dtype, device=torch_device())
    return k, torch.full_like(k, -0.5)


def insert(cache: Any, shape: dict[str, Any], tokens: int) -> None:
    """Insert `tokens` into every layer and drop what comes back."""
    for layer in range(shape["num_layers"]):
        cache.insert_kv(layer, *keys_and_values(shape, tokens))


def refuse(cache: Any, shape: dict[str, Any], tokens: int, what: str) -> None:
    """Offer a cache many tokens of which it must not take any; whether it says so is asked elsewhere.

    Values with a token less than the keys, or keys with one less; or a prefill from a cache of another number
    of layers.
    """
    with contextlib.suppress(ValueError):
        if what == "refused prefill":
            other = {**shape, "batch_size": 1, "num_layers": shape["num_layers"] + 1}
            one = new_cache(other)
            insert(one, other, tokens)
            cache.prefill(one)
            return
        k, v = keys_and_values(shape, tokens)
        fewer = (slice(None), slice(None), slice(1, None))
        cache.insert_kv(0, *((k, v[fewer]) if what == "refused values" else (k[fewer], v)))


def generate(engine: Any, ids: list[int], rows: int, max_tokens: int) -> Iterator[Any]:
    """Begin a generation of scripted tokens."""
    generator: Iterator[Any] = engine.generate(
        ids, num_samples=rows, max_tokens=max_tokens, temperature=1.0, seed=7
    )
    return generator


def exhaust(generator: Iterator[Any]) -> int:
    """Read a generator to its end and return how often it yielded."""
    return sum(1 for _ in generator)


class Cancelled(Exception):
    """What an abandoned generator is told."""


def abandon(generator: Any, how: str) -> None:
    """End a half-read generator by `how`; "drop" leaves that to the caller, who holds the last reference.

    So does an iterator of the submission's own that has no such method: the contract asks for none.
    """
    if how == "close" and hasattr(generator, "close"):
        generator.close()
    elif how == "raise" and hasattr(generator, "throw"):
        with contextlib.suppress(Cancelled, StopIteration):
            generator.throw(Cancelled())


def one_pass(model: Any, kind: str, tokens: torch.Tensor) -> None:
    """Run one pass of a kind and drop its answer; targets are the tokens themselves."""
    model.train(kind in ("training", "graph", "backward"))
    with torch.set_grad_enabled(kind in ("graph", "backward")):
        answer = model(tokens) if kind == "logits" else model(tokens, tokens)
    if kind == "backward":
        answer.backward()
        model.zero_grad(set_to_none=True)


def known(model: torch.nn.Module) -> Sequence[torch.Tensor]:
    """Return the parameters and buffers of a model, which do not count."""
    return [*model.parameters(), *model.buffers()]


def less(held: Held, answers: int) -> Held:
    """Return measurements without `answers` bytes."""
    counted, allocated = held
    return counted - answers, None if allocated is None else allocated - answers
