"""What simulated students write: repairs, checks, prints, comments and helpers.

In a text, `$` is what the reference has, `^` stands for a name that somebody chooses and `~` for a word.
"""

from __future__ import annotations

import random
import re

NAMES = (
    "tmp", "out", "res", "val", "new_x", "fixed", "buf", "arr", "start_pos", "end_pos", "cur", "prev",
    "nxt", "total", "cnt", "flag", "ok", "data", "x_new", "mask_bool", "num_rep", "n_rep", "group_size",
    "scaled", "probs", "top_vals", "idx_new", "tok", "last_tok", "kv", "keys_all", "vals_all", "length",
    "seen", "done",
)  # fmt: skip
WORDS = (
    "the", "a", "of", "in", "to", "is", "was", "not", "with", "for", "cache", "key", "value", "head",
    "heads", "group", "mask", "causal", "rotation", "angle", "half", "position", "token", "tokens",
    "sample", "row", "sign", "wrong", "right", "before", "after", "instead", "shape", "dim", "batch",
    "logits", "scale", "here", "must", "should", "because", "each", "first", "last", "index", "off", "by",
    "one", "grow", "copy", "reset", "memory", "keep", "drop", "again", "check", "note", "fixed", "bug",
    "old", "new", "repeat", "expand", "query", "matches", "reference", "paper", "softmax", "temperature",
    "count", "string", "limit", "depth", "parse", "number", "zero",
)  # fmt: skip

REPAIRS = (
    "(^ := $)", "1 * ($)", "($) + 0", "[$][0]", "($ if True else None)", "_fix($)", "torch.clone($)",
    "max($, $)", "($).contiguous()", "^($)", "_checked($, '~ ~')", "(lambda ^: ^)($)",
)  # fmt: skip
"""In place of an expression."""

STATEMENT_REPAIRS = (
    "^ = 0\n$", "^ = None\n$", "assert ^ is not None, '~ ~ ~'\n$", "^ = ^.clone().to(torch.float32)\n$",
    "if ^ is None:\n    raise ValueError('~ ~ ~ ~')\n$", "^, ^ = ^.shape[0], ^.shape[-1]\n$",
    "^ = torch.zeros_like(^).masked_fill(^ == 0, float('-inf'))\n$",
    "for ^ in range(len(^)):\n    ^ += ^[^]\n$", "^ = [^ for ^ in ^ if ^ > 0]\n$",
    "^ = ^ % ^ if ^ else ^ // 2\n$", "^ = self.^.get('~', ^)\n$",
)  # fmt: skip
"""In place of a statement."""

LINES = (
    "^ = 0", "^ = None", "assert ^ is not None, '~ ~ ~'", "^ = ^.clone().to(torch.float32)", "^ = ^[^]",
    "^, ^ = ^.shape[0], ^.shape[-1]", "^ = torch.zeros_like(^).masked_fill(^ == 0, float('-inf'))",
    "^ = [^ for ^ in ^ if ^ > 0]", "^ = ^ % ^ if ^ else ^ // 2", "^ = self.^.get('~', ^)", "^ = ^(^, ^)",
)  # fmt: skip
"""Of a helper."""

ADDITIONS = (
    "print(x.shape)", "print('here')", "assert x is not None", "print('DEBUG', logits.shape)", "import pdb",
    "# import pdb; pdb.set_trace()", "assert x.ndim == 4, x.shape", "assert not torch.isnan(x).any()",
    "print(f'{^=}')", "assert ^ >= 0, '~ ~'", "^ = ^  # noqa", "if ^ == 0:\n    pass",
    "print('~', ^, ^.dtype)", "assert ^.shape == ^.shape, (^.shape, ^.shape)", "^ = ^.detach().clone()",
    "logger.debug('~ ~ %s', ^)",
)  # fmt: skip

COMMENTS = (
    "# fixed", "# bug was here", "# fix: wrong sign", "# fix: off by one", "# TODO: check this again",
    "# this was wrong before, the sign must be negative", "# see the paper, equation 34",
    "# use the half split", "# each query head reads the key head of its group",
    "# do not sample ids that the tokenizer does not have", "# grow the cache before the insert",
    "# the mask must be causal with a cache as well",
    "# repeat keys and values for each group of query heads", "# temperature zero means greedy decoding",
    "# rotate before the norm", "# reset gives the memory back", "# one random number for each row",
    "# only count string literals", "# limit the depth so that this never hangs",
    "# scale by the square root of d",
)  # fmt: skip

HELPERS = (
    """\
def rotate_half(x):
    x1 = x[..., : x.shape[-1] // 2]
    x2 = x[..., x.shape[-1] // 2 :]
    return torch.cat((-x2, x1), dim=-1)
""",
    """\
def repeat_kv(x, n_rep):
    bs, n_kv_heads, slen, head_dim = x.shape
    if n_rep == 1:
        return x
    x = x[:, :, None, :, :].expand(bs, n_kv_heads, n_rep, slen, head_dim)
    return x.reshape(bs, n_kv_heads * n_rep, slen, head_dim)
""",
    """\
def causal_mask(n):
    return torch.tril(torch.ones(n, n, dtype=torch.bool))
""",
    """\
def norm(x):
    return F.rms_norm(x, (x.size(-1),))
""",
    """\
def is_number(s):
    try:
        float(s)
        return True
    except ValueError:
        return False
""",
    """\
def debug(*args):
    if DEBUG:
        print(*args)
""",
    """\
def round_up(n, multiple):
    return (n + multiple - 1) // multiple * multiple
""",
    """\
def softcap(x, cap):
    return cap * torch.tanh(x / cap)
""",
)
"""What is found in books and public code."""


def said(chance: random.Random, template: str) -> str:
    """Return a text with names and words chosen."""
    text = re.sub(r"\^", lambda _: chance.choice(NAMES), template)
    return re.sub("~", lambda _: chance.choice(WORDS), text)
