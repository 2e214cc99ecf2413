"""What packages named nanochat do, bit for bit: `python behaviour.py DIR...` prints a line of JSON for each.

A model of random weights with its cache, loss and gradients, sampling, an engine that calls the calculator,
the tokenizer, and the messages of what is refused.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch

Modules = dict[str, ModuleType]
NAMES = ("gpt", "engine", "tools", "tokenizer")
EXPRESSIONS = (
    "1+2",
    "7//2*3",
    "-(4%3)/8",
    "'strawberry'.count('r')",
    "1/0",
    "9**9",
    "0x10+1_000",
    "(" * 300,
    "x",
)
CONVERSATION = {
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "how many?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "let me see "},
                {"type": "python", "text": "6*7"},
                {"type": "python_output", "text": "42"},
            ],
        },
    ]
}


def main(folders: list[str]) -> None:
    """Print what each package does."""
    torch.set_num_threads(1)
    # Fills memory that nobody wrote to: some broken caches read it.
    torch.use_deterministic_algorithms(True)
    for folder in folders:
        sys.path.insert(0, folder)
        modules = {name: importlib.import_module(f"nanochat.{name}") for name in NAMES}
        print(json.dumps({"does": dict(deeds(modules)), "offers": offers(modules)}))
        sys.path.remove(folder)
        for name in [name for name in sys.modules if name.split(".")[0] == "nanochat"]:
            del sys.modules[name]


def deeds(modules: Modules) -> Iterator[tuple[str, Any]]:
    """Yield names and outcomes of everything that is tried."""
    for sizes in ((3, 4, 2, 32), (1, 2, 2, 8), (2, 6, 1, 24)):
        yield f"model {sizes}", attempt(lambda sizes=sizes: model_of(modules, *sizes))
        yield f"engine {sizes}", attempt(lambda sizes=sizes: engine_of(modules, *sizes))
    yield "calculator", [str(modules["tools"].use_calculator(text)) for text in EXPRESSIONS]
    yield "tokenizer", attempt(lambda: tokenizer_of(modules))
    yield "sampling", attempt(lambda: sampling_of(modules))
    yield "refusals", [attempt(call) for call in refusals(modules)]


def attempt(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or what it raises."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001  # what is raised is behaviour too
        return f"{type(error).__name__}: {error}"


def digest(*tensors: torch.Tensor) -> str:
    """Return a hash of every bit of some tensors; one NaN is like another.

    The sign of a NaN is that of the first of two factors, whose order a disguise may change.
    """
    plain = [
        torch.where(each.isnan(), torch.nan, each) if each.is_floating_point() else each for each in tensors
    ]
    content = [bytes(tensor.detach().contiguous().flatten().view(torch.uint8).tolist()) for tensor in plain]
    return hashlib.sha256(b"|".join(content)).hexdigest()


def new_model(modules: Modules, layers: int, heads: int, kv_heads: int, width: int) -> Any:
    """Return a model of these sizes with the weights of its default seed."""
    gpt = modules["gpt"]
    model = gpt.GPT(gpt.GPTConfig(150, 300, layers, heads, kv_heads, width))
    model.init_weights()
    return model


def model_of(modules: Modules, *sizes: int) -> list[Any]:
    """Return logits, losses, gradients, pieces through a cache, and what the slow way generates."""
    model = new_model(modules, *sizes)
    ids = torch.randint(0, 300, (2, 90), generator=torch.Generator().manual_seed(1))
    targets = ids.roll(-1, 1).masked_fill(ids % 5 == 0, -1)
    losses = [model(ids, targets, loss_reduction=how) for how in ("mean", "sum", "none")]
    losses[0].backward()
    cache = modules["engine"].KVCache(2, sizes[2], 16, sizes[3] // sizes[1], sizes[0])
    with torch.inference_mode():
        pieces = [model(piece, kv_cache=cache) for piece in ids.split([1, 70, 7, 12], dim=1)]
    found = [digest(model(ids)), digest(*losses), digest(*pieces), digest(model.cos, model.sin)]
    found += [digest(*(each.grad for each in model.parameters()))]
    found += [cache.get_pos(), model.estimate_flops(), list(model.generate([1, 2, 3], 5, 0.9, 7))]
    cache.reset()
    return [*found, cache.storage is None]


class Bytes:
    """A tokenizer of bytes, with special tokens behind them."""

    special = (
        "<|bos|>",
        "<|assistant_end|>",
        "<|python_start|>",
        "<|python_end|>",
        "<|output_start|>",
        "<|output_end|>",
    )

    def get_vocab_size(self) -> int:
        return 262

    def get_bos_token_id(self) -> int:
        return 256

    def encode_special(self, token: str) -> int:
        return 256 + self.special.index(token)

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: list[int]) -> str:
        return bytes(min(each, 255) for each in ids).decode("latin-1")


class Script:
    """A model that continues every text with a tool call, in rows of different lengths."""

    def __init__(self, model: Any, text: list[int]) -> None:
        self.model, self.text, self.config = model, text, model.config

    def get_device(self) -> torch.device:
        return torch.device("cpu")

    def forward(self, ids: torch.Tensor, kv_cache: Any) -> torch.Tensor:
        logits = self.model.forward(ids, kv_cache=kv_cache)
        position = kv_cache.get_pos()
        if position < len(self.text):
            logits[:, -1, self.text[position]] += 30.0
        return logits


def engine_of(modules: Modules, *sizes: int) -> list[Any]:
    """Return what an engine generates with and without calls of the calculator."""
    tokenizer = Bytes()
    made = modules["engine"].Engine(new_model(modules, *sizes), tokenizer)
    call = [256, 104, 258, *b"6*7", 259, 105, 106, 257]
    scripted = modules["engine"].Engine(Script(made.model, call), tokenizer)
    columns = [
        list(each) for each in made.generate([256, 1, 2], 3, max_tokens=40, temperature=1.3, top_k=9, seed=5)
    ]
    return [
        columns,
        list(scripted.generate([256], 2, max_tokens=30, temperature=0.8, seed=2)),
        made.generate_batch([256, 65], 2, max_tokens=6, temperature=0.0),
        len(list(made.generate([256] * 140, 1))),
    ]


def tokenizer_of(modules: Modules) -> list[Any]:
    """Return what a small trained tokenizer makes of texts and of a conversation."""
    made = modules["tokenizer"].RustBPETokenizer.train_from_iterator(["how many strawberries " * 40], 275)
    bos = made.get_bos_token_id()
    return [
        made.get_vocab_size(),
        made.get_special_tokens(),
        made.encode(["how", "many <|bos|>"], prepend="<|bos|>", append=bos),
        made.decode(made.encode("strawberry é")),
        made.render_conversation(CONVERSATION),
        made.render_for_completion(CONVERSATION),
        made.id_to_token(bos),
    ]


def sampling_of(modules: Modules) -> list[Any]:
    """Return what is drawn from the same logits in several ways."""
    logits = torch.randn(4, 50, generator=torch.Generator().manual_seed(3)) * 3
    ways = [(1.0, None), (0.0, None), (0.7, 5), (1e-30, 3), (2.0, 500)]
    draw = modules["engine"].sample_next_token
    return [draw(logits, torch.Generator().manual_seed(4), *way).tolist() for way in ways]


def refusals(modules: Modules) -> Iterator[Callable[[], Any]]:
    """Yield calls that must be refused."""
    gpt, engine, tokenizer = (modules[name] for name in ("gpt", "engine", "tokenizer"))
    ok = torch.zeros(1, 2, 3, 4)
    rng = torch.Generator()
    for sizes in ((0, 9, 1, 1, 1, 2), (9, 9, 1, 3, 1, 4), (9, 9, 1, 4, 3, 8), (9, 9, 1, 2, 1, 6)):
        yield lambda sizes=sizes: gpt.GPTConfig(*sizes)
    yield lambda: engine.KVCache(1, 2, 3, 4, 0)
    for layer, k, v in ((5, ok, ok), (0, ok[0], ok), (0, ok, ok[..., :2])):
        yield lambda layer=layer, k=k, v=v: engine.KVCache(1, 2, 3, 4, 1).insert_kv(layer, k, v)
    yield lambda: engine.KVCache(2, 2, 3, 4, 1).prefill(engine.KVCache(2, 2, 3, 4, 1))
    for temperature, top_k in ((-1.0, None), (float("nan"), None), (1.0, 0)):
        yield lambda t=temperature, k=top_k: engine.sample_next_token(torch.zeros(1, 3), rng, t, k)
    made = engine.Engine(new_model(modules, 1, 2, 2, 8), Bytes())
    for tokens, samples, most in (([], 1, 1), ([1], 0, 1), ([1], 1, -1), ([1] * 140, 1, 11)):
        yield lambda a=tokens, b=samples, c=most: list(made.generate(a, b, c))
    yield lambda: list(made.model.generate([], 1))
    yield lambda: made.model(torch.zeros(1, 151, dtype=torch.long))
    yield lambda: tokenizer.RustBPETokenizer.train_from_iterator([], 10)
    small = tokenizer.RustBPETokenizer.train_from_iterator(["ab"], 265)
    for call, given in ((small.encode, 3), (small.decode, [999]), (small.encode_special, "x")):
        yield lambda call=call, given=given: call(given)
    for messages in ([], [{"role": "assistant", "content": ""}], [{"role": "user", "content": 3}]):
        yield lambda messages=messages: small.render_conversation({"messages": messages})


def offers(modules: Modules) -> dict[str, str]:
    """Return the signature of everything that a module defines, by name, whatever the order."""
    found = {}
    for name, module in modules.items():
        for each, value in vars(module).items():
            if getattr(value, "__module__", "") == module.__name__:
                found[f"{name}.{each}"] = signature(value)
                if inspect.isclass(value):
                    found |= {
                        f"{name}.{each}.{part}": signature(member)
                        for part, member in vars(value).items()
                        if inspect.isroutine(member) or isinstance(member, property)
                    }
            elif each.isupper():
                found[f"{name}.{each}"] = repr(value)
    return dict(sorted(found.items()))


def signature(value: Any) -> str:
    """Return the signature of something, or its kind if it has none."""
    try:
        return str(inspect.signature(value))
    except (TypeError, ValueError):
        return type(value).__name__


if __name__ == "__main__":
    main(sys.argv[1:])
