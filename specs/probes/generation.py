"""Experiments on the submission's `Engine` and `GPT.generate`."""

from __future__ import annotations

import contextlib
import itertools
import operator
import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from specs.probes import scripted
from specs.probes.building import build_model
from specs.probes.byte_tokenizer import ByteTokenizer
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.scripted import LayeredModel, ScriptedConfig, ScriptedModel
from specs.probes.signatures import takes_in_order
from specs.probes.traces import random_states, torch_defaults, usual_defaults
from specs.probes.values import tensor, values

Stream = dict[str, list[list[Any]]]


@probe
def stream(
    prompt: list[int],
    script: dict[str, Any],
    options: dict[str, Any],
    sequence_len: int = 64,
    padding: int = 0,
    times: int = 1,
    spellings: Sequence[tuple[str, list[int]]] = (),
    turn: int = 0,
    shift: int = 0,
    layers: int = 1,
) -> list[dict[str, Any]]:
    """Return what `generate` yields, `times` times on one engine, and how often it ran the model.

    `script` is what `scripted_model` takes; `options` are the arguments of `generate`; `spellings` are texts
    and the ids that the tokenizer shall encode them as; `turn` is how far its special ids are turned around,
    and `shift` by how much all its ids are larger than usual. With several `layers` the model looks at all
    that the cache holds.
    """
    model = scripted_model(script, len(prompt), sequence_len, padding + shift, layers)
    tokenizer = SpellingTokenizer(dict(spellings), turn, shift)
    engine = imported("nanochat.engine").Engine(model, tokenizer)
    answers: list[dict[str, Any]] = []
    for _ in range(times):
        before, at_last_column = model.calls, 0
        answer: Stream = {"tokens": [], "masks": []}
        for pair in itertools.islice(engine.generate(list(prompt), **options), sequence_len + 50):
            append(answer, [pair])
            at_last_column = model.calls - before
        answers.append({**answer, "calls": model.calls - before, "calls_at_last_column": at_last_column})
    return answers


@probe
def batch(
    prompt: list[int],
    script: dict[str, Any],
    options: dict[str, Any],
    sequence_len: int = 64,
    padding: int = 0,
) -> dict[str, Any]:
    """Return what `generate_batch` returns."""
    model = scripted_model(script, len(prompt), sequence_len, padding)
    sequences, masks = new_engine(model).generate_batch(list(prompt), **options)
    return {"tokens": plain(sequences), "masks": plain(masks)}


@probe
def first_column(
    prompt: list[int], script: dict[str, Any], options: dict[str, Any], sequence_len: int = 64
) -> Stream:
    """Return the first column that `generate` yields, if there is one."""
    model = scripted_model(script, len(prompt), sequence_len, 0)
    return columns(new_engine(model).generate(list(prompt), **options), 1)


@probe
def forms(prompt: list[int], script: dict[str, Any], options: dict[str, Any]) -> dict[str, list[str]]:
    """Return the types of columns and tokens, and the values of masks, that `generate` yields."""
    model = scripted_model(script, len(prompt), 64, 0)
    containers, tokens, masks, lengths = set(), set(), set(), set()
    for column, mask in itertools.islice(new_engine(model).generate(list(prompt), **options), 100):
        containers |= {type(column).__name__, type(mask).__name__}
        tokens |= {type(token).__name__ for token in column}
        masks |= {repr(entry) for entry in mask}
        lengths |= {str(len(column)), str(len(mask))}
    return {
        "a column": sorted(containers),
        "a token": sorted(tokens),
        "a mask's entry": sorted(masks),
        "the length of a column": sorted(lengths),
    }


@probe
def kept(prompt: list[int], script: dict[str, Any], options: dict[str, Any]) -> dict[str, Stream]:
    """Return what `generate` yields, as it was when it came and as it is after the last column."""
    found: dict[str, Stream] = {when: {"tokens": [], "masks": []} for when in ("came", "is")}
    held = []
    model = scripted_model(script, len(prompt), 64, 0)
    for pair in itertools.islice(new_engine(model).generate(list(prompt), **options), 100):
        append(found["came"], [pair])
        held.append(pair)
    append(found["is"], held)
    return found


@probe
def in_order(prompt: list[int], script: dict[str, Any], options: dict[str, Any]) -> dict[str, Stream]:
    """Return what `generate` yields with its options by their names, and with their values in their order.

    One that takes some by their names alone is asked once.
    """
    model = scripted_model(script, len(prompt), 64, 0)
    return _in_both_ways(
        lambda: new_engine(model).generate, prompt, options, lambda pairs: columns(pairs, 100)
    )


def _in_both_ways(
    generate: Callable[[], Any], prompt: list[int], options: dict[str, Any], read: Callable[[Any], Any]
) -> dict[str, Any]:
    """Return what is read of a generator, options by their names, and in their order if it takes them so."""
    named = read(generate()(list(prompt), **options))
    again = generate()
    if not takes_in_order(again, 1 + len(options)):
        return {"named": named, "in order": named}
    return {"named": named, "in order": read(again(list(prompt), *options.values()))}


@probe
def interleaved(
    prompts: list[list[int]], script: dict[str, Any], options: list[dict[str, Any]], schedule: list[int]
) -> dict[str, list[Stream]]:
    """Return what generators of one engine yield when they take turns, and each alone on a new engine.

    `schedule` says whose turn it is; then all run to their end, one after the other.
    """
    engine = new_engine(scripted_model(script, 0, 64, 0))
    running = [engine.generate(list(prompts[i]), **options[i]) for i in range(len(prompts))]
    together: list[Stream] = [{"tokens": [], "masks": []} for _ in prompts]
    for turn in schedule:
        append(together[turn], itertools.islice(running[turn], 1))
    for i in range(len(prompts)):
        append(together[i], itertools.islice(running[i], 100))
    alone = []
    for i in range(len(prompts)):
        fresh = new_engine(scripted_model(script, 0, 64, 0))
        alone.append(columns(fresh.generate(list(prompts[i]), **options[i]), 100))
    return {"together": together, "alone": alone}


@probe
def abandoned(
    prompt: list[int], script: dict[str, Any], options: dict[str, Any], after: int
) -> dict[str, Stream]:
    """Return what an engine yields after a generator was dropped `after` columns on, and a new engine."""
    engine = new_engine(scripted_model(script, len(prompt), 64, 0))
    left = engine.generate([*prompt, *prompt], **options)
    for _ in itertools.islice(left, after):
        pass
    if hasattr(left, "close"):  # an iterator of the submission's own need not have it
        left.close()
    second = columns(engine.generate(list(prompt), **options), 100)
    fresh = new_engine(scripted_model(script, len(prompt), 64, 0))
    return {"after": second, "fresh": columns(fresh.generate(list(prompt), **options), 100)}


@probe
def after_a_refusal(prompt: list[int], script: dict[str, Any], options: dict[str, Any]) -> dict[str, Stream]:
    """Return what an engine yields after requests that it must refuse, and a new engine."""
    engine = new_engine(scripted_model(script, len(prompt), 64, 0))
    for tokens, wrong in ((prompt, {"max_tokens": 500}), (prompt * 70, {})):
        with contextlib.suppress(ValueError):
            columns(engine.generate(list(tokens), **wrong), 100)
    second = columns(engine.generate(list(prompt), **options), 100)
    fresh = new_engine(scripted_model(script, len(prompt), 64, 0))
    return {"after": second, "fresh": columns(fresh.generate(list(prompt), **options), 100)}


@probe
def bare(prompt: list[int], script: dict[str, Any], options: dict[str, Any]) -> dict[str, Stream]:
    """Return what an engine yields with a model and a tokenizer that have what they must, and with more."""
    full = scripted_model(script, len(prompt), 64, 0)
    names = {"config": full.config, "get_device": full.get_device}
    model = BareModel(**names, forward=lambda idx, kv_cache=None: full.forward(idx, kv_cache=kv_cache))
    complete = ByteTokenizer()
    methods = ("get_vocab_size", "get_bos_token_id", "encode_special", "encode", "decode")
    tokenizer = types.SimpleNamespace(**{name: getattr(complete, name) for name in methods})
    engine = imported("nanochat.engine").Engine(model, tokenizer)
    answer = columns(engine.generate(list(prompt), **options), 100)
    fresh = new_engine(scripted_model(script, len(prompt), 64, 0))
    return {"bare": answer, "full": columns(fresh.generate(list(prompt), **options), 100)}


class BareModel(types.SimpleNamespace):
    """A model that is no module of torch, and can be called like one."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run `forward`."""
        return self.forward(*arguments, **named)


@probe
def traces(
    prompt: list[int], script: dict[str, Any], options: dict[str, Any], training: bool
) -> dict[str, bool]:
    """Return what generating changed besides yielding tokens, by `generate` and by `generate_batch`."""
    model = scripted_model(script, len(prompt), 64, 0)
    model.train(training)
    engine = new_engine(model)
    parameters = {name: held.clone() for name, held in model.state_dict().items()}
    trained = half_frozen(model)
    given, states = list(prompt), random_states()
    with usual_defaults():
        defaults = torch_defaults()
        for _ in engine.generate(given, **options):
            pass
        sequences, _ = engine.generate_batch(given, **options)
        after = torch_defaults()
    for sequence in sequences:
        sequence.append(0)
    return {
        "the prompt it was given": given != prompt,
        "a random generator that is not its own": random_states() != states,
        "the model's parameters": any(
            not torch.equal(held, parameters[name]) for name, held in model.state_dict().items()
        ),
        "which parameters are frozen, or a gradient that one had": not still(model, trained),
        "the model's mode, training or evaluation": model.training != training,
        "a default of torch, or whether gradients are enabled": after != defaults,
        "the autograd graph, by running the model with gradients enabled": model.gradients,
    }


def half_frozen(model: torch.nn.Module) -> list[Any]:
    """Freeze every second parameter of a model, give each a gradient, and return what `still` looks at."""
    for i, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(i % 2 == 1)
        parameter.grad = torch.ones_like(parameter)
    return [(each, each.requires_grad, each.grad) for each in model.parameters()]


def still(model: torch.nn.Module, trained: list[Any]) -> bool:
    """Say whether a model has the same parameters, frozen or not, with the same gradients of ones."""
    now = list(model.parameters())
    return len(now) == len(trained) and all(
        each is parameter and each.requires_grad == needed and each.grad is grad and bool((grad == 1).all())
        for each, (parameter, needed, grad) in zip(now, trained, strict=True)
    )


@probe
def greedy(
    config: dict[str, int], weights: dict[str, Any], prompt: list[int], length: int, num_samples: int
) -> dict[str, Any]:
    """Return greedy texts of a real model, from the engine and from `GPT.generate`, and logits along them.

    The logits after each token of the engine's first row come from one forward pass, and from passes
    through the submission's own cache, token by token; None where those raise.
    """
    model = build_model(config, weights, dtype="float32")
    options = {"num_samples": num_samples, "max_tokens": length, "temperature": 0.0}
    rows = columns(new_engine(model).generate(list(prompt), **options), length + 50)["tokens"]
    slow = [
        int(token)
        for token in itertools.islice(model.generate(list(prompt), length, temperature=0.0), length + 50)
    ]
    fast = [column[0] for column in rows]
    return {
        "engine": rows,
        "generate": slow,
        "engine_logits": _logits_along(model, prompt, fast),
        "engine_logits_cached": _logits_along_cached(model, config, prompt, fast),
        "generate_logits": _logits_along(model, prompt, slow),
    }


def _logits_along(model: Any, prompt: list[int], tokens: list[int]) -> NDArray[Any]:
    with torch.no_grad():
        answer = model(tensor(np.array([[*prompt, *tokens]])))
    return values(answer, "the result of forward")[0, len(prompt) - 1 : -1]


def _logits_along_cached(
    model: Any, config: dict[str, int], prompt: list[int], tokens: list[int]
) -> NDArray[Any] | None:
    try:
        cache = imported("nanochat.engine").KVCache(
            batch_size=1,
            num_heads=config["n_kv_head"],
            seq_len=len(prompt) + len(tokens),
            head_dim=config["n_embd"] // config["n_head"],
            num_layers=config["n_layer"],
        )
        pieces = []
        with torch.no_grad():
            for piece in [prompt, *([token] for token in tokens[:-1])]:
                answer = model(tensor(np.array([piece])), kv_cache=cache)
                pieces.append(values(answer, "the result of forward")[0, -1])
        return np.stack(pieces)
    except Exception:  # noqa: BLE001  # a broken cache is another criterion's business
        return None


@probe
def slow(
    config: dict[str, int],
    weights: dict[str, Any],
    prompt: list[int],
    options: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return what `GPT.generate` yields with each of `options`, and the logits after the prompt."""
    model = build_model(config, weights, dtype="float32")
    given, states, trained = list(prompt), random_states(), half_frozen(model)
    texts = [
        [
            plain(token) if type(token) is int else f"a {type(token).__name__}"
            for token in itertools.islice(model.generate(given, **each), each["max_tokens"] + 50)
        ]
        for each in options
    ]
    unchanged = given == prompt and random_states() == states and still(model, trained)
    with torch.no_grad():
        answer = model(tensor(np.array([prompt])))
    return {
        "tokens": texts,
        "logits": values(answer, "the result of forward")[0, -1],
        "nothing_else_changed": unchanged,
    }


@probe
def slow_in_order(
    config: dict[str, int], weights: dict[str, Any], prompt: list[int], options: dict[str, Any]
) -> dict[str, list[int]]:
    """Return what `GPT.generate` yields, options by their names, and their values in the contract's order.

    One that takes some by their names alone is asked once.
    """
    model = build_model(config, weights, dtype="float32")
    return _in_both_ways(
        lambda: model.generate, prompt, options, lambda ids: plain(list(itertools.islice(ids, 100)))
    )


@probe
def slow_in_turn(
    config: dict[str, int], weights: dict[str, Any], prompts: list[list[int]], options: list[dict[str, Any]]
) -> list[list[int]]:
    """Return what `GPT.generate` of one model yields for each prompt, in turn, a token at a time."""
    model = build_model(config, weights, dtype="float32")
    texts = [model.generate(list(prompt), **each) for prompt, each in zip(prompts, options, strict=True)]
    found: list[list[int]] = [[] for _ in texts]
    for _ in range(max(each["max_tokens"] for each in options)):
        for ids, text in zip(found, texts, strict=True):
            ids.extend(plain(token) for token in itertools.islice(text, 1))
    return found


def scripted_model(
    script: dict[str, Any], prompt: int, sequence_len: int, padding: int, layers: int = 1
) -> ScriptedModel:
    """Return a model that follows `script`, with `padding` rows of vocabulary more than `ByteTokenizer` has.

    `script` is {"paths": [(tokens, says), ...]}, {"choices": number, "ids": number}, {"logits": array} or
    {"steps": ids}: the scripts `following`, `hashing`, `constant` and `reciting` of `specs.probes.scripted`.
    `prompt` is the prompt's length. The model has fewer key/value heads than query heads, as an engine must
    expect.
    """
    config = ScriptedConfig(
        sequence_len=sequence_len,
        vocab_size=ByteTokenizer().get_vocab_size() + padding,
        n_layer=layers,
        n_head=4,
        n_kv_head=2,
        n_embd=32,
    )
    if "paths" in script:
        said = scripted.following(config.vocab_size, prompt, script["paths"])
    elif "choices" in script:
        said = scripted.hashing(config.vocab_size, **script)
    elif "steps" in script:
        said = scripted.reciting(config.vocab_size, prompt, script["steps"])
    else:
        said = scripted.constant(script["logits"])
    return (ScriptedModel if layers == 1 else LayeredModel)(config, said)


_BLANK = ord(" ")


class SpellingTokenizer(ByteTokenizer):
    """Encodes some texts as it is told, and has its special ids turned around by a number of places.

    With a `shift` all ids are larger by that much, and those below it are tokens of a blank.
    """

    def __init__(self, spellings: dict[str, list[int]], turn: int = 0, shift: int = 0) -> None:
        super().__init__()
        self._spellings = spellings
        self._turn = turn
        self._shift = shift

    def get_vocab_size(self) -> int:
        """Return the number of tokens, special ones included."""
        return super().get_vocab_size() + self._shift

    def encode_special(self, text: str) -> int:
        """Return the id of a special token."""
        first, count = self._first_special, super().get_vocab_size() - self._first_special
        return self._shift + first + (super().encode_special(text) - first + self._turn) % count

    def encode_one(
        self, text: str, prepend: int | str | None = None, append: int | str | None = None
    ) -> list[int]:
        """Return the ids of one text."""
        ids = [token + self._shift for token in super().encode_one(text)]
        return list(self._spellings.get(text, [*self._edge(prepend), *ids, *self._edge(append)]))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`."""
        return super().decode([max(int(token) - self._shift, _BLANK) for token in ids])


def new_engine(model: Any) -> Any:
    """Return the submission's engine on `model`, with the stand-in tokenizer."""
    return imported("nanochat.engine").Engine(model, ByteTokenizer())


def columns(generator: Iterable[Any], most: int) -> Stream:
    """Return the first `most` columns and masks of a generator, as plain values."""
    found: Stream = {"tokens": [], "masks": []}
    append(found, itertools.islice(generator, most))
    return found


def append(found: Stream, pairs: Iterable[Sequence[Any]]) -> None:
    """Append the (token column, masks) of `pairs` to `found`, as plain values."""
    for tokens, masks in pairs:
        found["tokens"].append(plain(tokens))
        found["masks"].append(plain(masks))


def plain(value: Any) -> Any:
    """Return lists of whatever can serve as an integer as lists of int; the type's name for anything else."""
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, torch.Tensor):
        return plain(value.tolist())
    try:
        number = operator.index(value)
    except TypeError:
        return f"a {type(value).__name__}"
    return number if number.bit_length() < 64 else f"an int of {number.bit_length()} bits"
