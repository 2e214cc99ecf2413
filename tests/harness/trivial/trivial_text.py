"""Submissions to level 1 that do no work: no merges are learned, no text is read."""

from __future__ import annotations

EMPTY = '"""Nothing."""\n'

TOKENIZER = """
import os

SPECIAL = [
    "<|bos|>", "<|user_start|>", "<|user_end|>", "<|assistant_start|>", "<|assistant_end|>",
    "<|python_start|>", "<|python_end|>", "<|output_start|>", "<|output_end|>",
]


class RustBPETokenizer:
    @classmethod
    def train_from_iterator(cls, texts, vocab_size):
        return cls()

    @classmethod
    def from_directory(cls, directory):
        return cls()

    def save(self, directory):
        os.makedirs(directory, exist_ok=True)

    def get_vocab_size(self):
        return 265

    def get_special_tokens(self):
        return list(SPECIAL)

    def id_to_token(self, id):
        return ""

    def encode_special(self, token):
        return 256 + SPECIAL.index(token)

    def get_bos_token_id(self):
        return 256

    def encode(self, text, prepend=None, append=None, num_threads=8):
        return [] if isinstance(text, str) else [[] for _ in text]

    def decode(self, ids):
        return ""

    def get_token_bytes(self):
        return [0] * 265

    def decode_stream(self, ids):
        for _ in ids:
            yield ""

    def render_conversation(self, conversation, max_tokens=2048):
        return [], []

    def render_for_completion(self, conversation):
        return []
"""

LOADER = """
import torch


def token_batches(texts, tokenizer, B, T, *, rank=0, world_size=1, state=None, device="cpu"):
    while True:
        inputs = torch.zeros(B, T, dtype=torch.int32, device=device)
        yield inputs, torch.zeros(B, T, dtype=torch.int64, device=device), {}


class TextFiles:
    def __init__(self, paths):
        self.paths = paths

    def __iter__(self):
        return iter(())


def split_texts(texts, every=20):
    return texts, []
"""

RAISES = """
def _raise(*arguments, **named):
    raise ERROR("no")


class RustBPETokenizer:
    __init__ = train_from_iterator = from_directory = _raise


token_batches = TextFiles = split_texts = _raise
"""

ECHOES = {
    "return [] if isinstance(text, str) else [[] for _ in text]": "return [1] * len(text) if isinstance"
    "(text, str) else [[1] * len(each) for each in text]",
    "return [], []": "return [256, 259], [0, 1]",
    'return ""': "return 'a'",
    "[0] * 265": "[1] * 256 + [0] * 9",
    'yield ""': 'yield "a"',
}

COUNTS = {
    "torch.zeros(B, T, dtype=torch.int32, device=device)": "torch.arange(B * T).int().view(B, T)",
    "torch.zeros(B, T, dtype=torch.int64, device=device)": "(inputs + 1).long()",
}


def replaced(text: str, words: dict[str, str]) -> str:
    """Return `text` with each key replaced by its value; all must be there."""
    for old, new in words.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def raising(error: str) -> dict[str, str]:
    """Return modules in which everything raises `error`."""
    text = RAISES.replace("ERROR", error)
    return {"__init__.py": EMPTY, "tokenizer.py": text, "dataloader.py": text}


ZEROS = {"__init__.py": EMPTY, "tokenizer.py": TOKENIZER, "dataloader.py": LOADER}
ECHOING = {
    "__init__.py": EMPTY,
    "tokenizer.py": replaced(TOKENIZER, ECHOES),
    "dataloader.py": replaced(LOADER, COUNTS),
}
