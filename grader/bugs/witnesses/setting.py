"""What witnesses are made of: small models with random weights, stand-ins, and caches."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor

Modules = dict[str, ModuleType]

BOS = 300
END = 304
PYTHON_START, PYTHON_END, OUTPUT_START, OUTPUT_END = 305, 306, 307, 308
VOCABULARY = 309
SPECIAL = {
    "<|bos|>": BOS,
    "<|user_start|>": 301,
    "<|user_end|>": 302,
    "<|assistant_start|>": 303,
    "<|assistant_end|>": END,
    "<|python_start|>": PYTHON_START,
    "<|python_end|>": PYTHON_END,
    "<|output_start|>": OUTPUT_START,
    "<|output_end|>": OUTPUT_END,
}


class Bytes:
    """A tokenizer whose ids are the bytes of the text, with the special tokens far above."""

    def get_vocab_size(self) -> int:
        """Return the number of tokens."""
        return VOCABULARY

    def get_bos_token_id(self) -> int:
        """Return the id of the BOS token."""
        return BOS

    def encode_special(self, token: str) -> int:
        """Return the id of a special token."""
        return SPECIAL[token]

    def encode(self, text: str) -> list[int]:
        """Return the bytes of a text."""
        return list(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of bytes; special tokens by their names."""
        names = {number: name for name, number in SPECIAL.items()}
        parts = [
            names[one].encode() if one in names else bytes([one]) for one in ids if one < 256 or one in names
        ]
        return b"".join(parts).decode("utf-8", errors="replace")


Speech = Callable[[tuple[int, ...]], Tensor]
"""What a stand-in says after a text: logits (V,)."""


class StandIn:
    """A model whose logits are a function of the text in its cache, and which notes what it was fed."""

    def __init__(
        self, speech: Speech, *, sequence_len: int = 64, width: int = VOCABULARY, layers: int = 1
    ) -> None:
        self.config = SimpleNamespace(
            sequence_len=sequence_len, vocab_size=width, n_layer=layers, n_head=1, n_kv_head=1, n_embd=2
        )
        self.speech = speech
        self.fed: list[list[list[int]]] = []

    def get_device(self) -> torch.device:
        """Return where the numbers are."""
        return torch.device("cpu")

    def forward(self, idx: Tensor, kv_cache: Any = None) -> Tensor:
        """Return logits (B, T, V): what is said after each token, given all before it."""
        self.fed.append(idx.tolist())
        k = idx.float()[:, None, :, None].expand(-1, 1, -1, 2)
        texts = idx
        if kv_cache is not None:
            for layer in range(self.config.n_layer):
                keys, _ = kv_cache.insert_kv(layer, k, k)
            texts = keys[:, 0, :, 0].round().long()
        first = texts.size(1) - idx.size(1)
        said = [
            torch.stack([self.speech(tuple(row[: first + t + 1])) for t in range(idx.size(1))])
            for row in texts.tolist()
        ]
        return torch.stack(said)

    __call__ = forward


def certain(token: int, width: int = VOCABULARY) -> Tensor:
    """Return logits that leave no doubt about one token."""
    logits = torch.full((width,), -20.0)
    logits[token] = 20.0
    return logits


def script(tokens: Sequence[int], prompt: int, width: int = VOCABULARY) -> Speech:
    """Return a speech that says `tokens` one after the other behind a prompt of `prompt` tokens, then "." """
    return lambda text: certain(
        tokens[len(text) - prompt] if 0 <= len(text) - prompt < len(tokens) else ord("."), width
    )


def generator(seed: int) -> torch.Generator:
    """Return a generator of its own."""
    return torch.Generator().manual_seed(seed)


def model(modules: Modules, seed: int, **sizes: int) -> Any:
    """Return a small model in evaluation mode, with weights that let every part matter."""
    config = {"sequence_len": 64, "vocab_size": 31, "n_layer": 2, "n_head": 2, "n_kv_head": 2, "n_embd": 16}
    made = modules["gpt"].GPT(modules["gpt"].GPTConfig(**{**config, **sizes}))
    made.init_weights()
    rng = generator(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            spread = 2.0 / parameter.size(-1) ** 0.5
            parameter.copy_(torch.randn(parameter.shape, generator=rng) * spread)
    return made.eval()


def ids(seed: int, rows: int, length: int, vocabulary: int = 31) -> Tensor:
    """Return random token ids (rows, length)."""
    return torch.randint(0, vocabulary, (rows, length), generator=generator(seed))


def cache(modules: Modules, made: Any, rows: int, slots: int) -> Any:
    """Return an empty cache for a model."""
    config = made.config
    return modules["engine"].KVCache(
        batch_size=rows,
        num_heads=config.n_kv_head,
        seq_len=slots,
        head_dim=config.n_embd // config.n_head,
        num_layers=config.n_layer,
    )


def in_chunks(modules: Modules, made: Any, tokens: Tensor, chunks: Sequence[int], slots: int) -> Tensor:
    """Return the logits (B, T, V) of tokens that a model reads through a cache, piece by piece."""
    held = cache(modules, made, tokens.size(0), slots)
    with torch.inference_mode():
        parts = torch.split(tokens, list(chunks), dim=1)
        return torch.cat([made(part, kv_cache=held) for part in parts], dim=1)


def some(values: Tensor, count: int = 40) -> list[float]:
    """Return some `count` numbers spread over a tensor, and its mean square: enough to see a difference."""
    flat = values.detach().double().flatten()
    step = max(1, flat.numel() // count)
    return [*flat[::step].tolist(), float((flat * flat).mean())]


def attempt(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or the name of what it raises."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001  # that it raises is what is to be seen
        return f"raised {type(error).__name__}"


def reached(holder: Any) -> list[Any]:
    """Return every object that an object's attributes, lists and dicts reach, itself among them."""
    found: dict[int, Any] = {}
    todo = [holder]
    while todo:
        one = todo.pop()
        if id(one) in found:
            continue
        found[id(one)] = one
        if isinstance(one, dict):
            todo += one.values()
        elif isinstance(one, list | tuple | set):
            todo += one
        elif hasattr(one, "__dict__") and not isinstance(one, Tensor | ModuleType | type):
            todo += vars(one).values()
    return list(found.values())


def held_bytes(holder: Any) -> int:
    """Return the bytes of all different storages that an object reaches."""
    storages = [one.untyped_storage() for one in reached(holder) if isinstance(one, Tensor)]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def held_numbers(holder: Any) -> int:
    """Return how many numbers stand in the lists and tuples that an object reaches."""
    lists = [one for one in reached(holder) if isinstance(one, list | tuple)]
    return sum(isinstance(number, int | float) for one in lists for number in one)


def alive_bytes() -> int:
    """Return the bytes of all different storages of tensors that are alive in this process."""
    gc.collect()
    return held_bytes([one for one in gc.get_objects() if type(one) is Tensor])
