"""The cells of level1.ipynb, in order. `python notebooks/build.py` runs them and writes the notebook.

A cell begins with a line `# %% name` (code) or `# %% [markdown] name` (text, each line a comment).
Edit this file, never the notebook.
"""
# ruff: noqa: E402  # each cell imports what it needs, so that a module that is broken spoils its own cells only

# %% [markdown] introduction
# # Level 1: from text to the tokens that a model is trained on
#
# **Objective.** Turn text and conversations into the token ids that a model is trained on, and lose nothing
# on the way. The package in `student/nanochat` nearly does: some of the criteria below do not hold yet.
# Find out which and why, and repair the code.
#
# **Acceptance criteria**
#
# | | criterion | what must hold |
# |---|---|---|
# | 1 | Byte-pair encoding | Training joins the most frequent pair, encoding what was learned first. |
# | 2 | Encoding | Text comes back as it was, and only who asks for a special token gets one. |
# | 3 | Chat | A conversation is rendered in order, and the mask marks what the assistant must produce. |
# | 4 | Data | Documents become a stream of batches; no token is lost, repeated or shifted. |
# | 5 | Bytes | Every token knows its bytes, and streamed text never shows half a character. |
#
# **Time estimate:** 30-60 minutes.
#
# **How to work**
#
# 1. Run all cells. Each section explains, makes an experiment with a picture, and ends with an acceptance
#    cell whose assertions must hold. The stored pictures show correct code: compare yours with them.
# 2. Edit `student/nanochat/*.py`. Then restart the kernel: Python does not read a changed module again.
# 3. Ask the grader, which tests far more than this notebook: `grader run --level 1`
#
# `pytest --nbval notebooks/` runs the same cells from a terminal, and `NANOCHAT_SUBMISSION=my/folder` in the
# environment makes them use another package than the one in `student/`. What cells print or draw is not
# compared with what is stored: only exceptions count, so print in your code as much as you like.

# %% [markdown] setup
# ## Set-up
#
# Whatever lies in the submission's folder is what runs: the last assertion of this cell makes sure of it.

# %% setup-cell
import os
import sys
import tempfile
from collections import Counter
from itertools import islice, pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

root = next(
    folder
    for folder in [Path.cwd(), *Path.cwd().parents]
    if (folder / "notebooks" / "level1.ipynb").is_file()
)
submission = (root / os.environ.get("NANOCHAT_SUBMISSION", "student")).resolve()
sys.path.insert(0, str(submission))

import nanochat

assert Path(nanochat.__file__).resolve().parent == submission / "nanochat", (
    f"nanochat came from {nanochat.__file__} and not from {submission}: restart the kernel, and "
    "uninstall any other package of this name"
)

torch.set_num_threads(1)
plt.rcParams.update(
    {"figure.dpi": 80, "figure.constrained_layout.use": True, "axes.titlesize": 10, "axes.grid": False}
)
print(f"nanochat comes from {os.path.relpath(submission, root)}/")

# %% [markdown] helpers
# Some helpers. `attempt` is for experiments, which go on when the code under them raises; `must_run` is for
# acceptance cells, which do not. `draw_pieces` draws pieces of text as coloured boxes.


# %% helpers-cell
TEXT = (
    "The keeper of the lighthouse lit the lamp every evening. The lamp was the only light on the "
    "whole coast, and the keeper was the only one who knew how long the evening was. When the fog "
    "came, he rang the bell. When the fog went, he looked at the light and thought of the ships that "
    "had not needed to thank him. In the morning he put out the lamp, cleaned the glass, filled in "
    "the oil and went to sleep while the whole coast woke up. Nobody had ever asked him what the "
    "light looked like from the other side."
)
"""What the tokenizers of this notebook learn from."""

SPECIALS = ["<|bos|>"]
for who in ("user", "assistant", "python", "output"):
    SPECIALS += [f"<|{who}_start|>", f"<|{who}_end|>"]


def attempt(function, *arguments):
    """Return (what the function returns, "") or (None, the exception in words)."""
    try:
        return function(*arguments), ""
    except Exception as error:  # noqa: BLE001  # an experiment shows whatever happens
        return None, f"raised {type(error).__name__}"


def must_run(what, function, *arguments):
    """Return what the function returns; an exception becomes a failed assertion that says what was asked."""
    try:
        return function(*arguments)
    except Exception as error:
        raise AssertionError(f"{what} raised {type(error).__name__}: {error}") from error


def must_raise(what, function, *arguments, kind=Exception):
    """Require an exception of a kind, and fail with a message if something else happens."""
    try:
        got = function(*arguments)
    except kind:
        return
    except Exception as error:
        raise AssertionError(f"{what} raised {type(error).__name__}, wanted a {kind.__name__}") from error
    raise AssertionError(f"{what} gave {got!r}, wanted a {kind.__name__}")


def train(vocab_size=330, texts=(TEXT,)):
    """Return the submission's tokenizer, trained on the text above."""
    from nanochat.tokenizer import RustBPETokenizer

    return RustBPETokenizer.train_from_iterator(list(texts), vocab_size)


def draw_pieces(axis, rows, width=84):
    """Draw rows of (piece of text, colour); a row longer than `width` characters goes on in the next line."""
    line = 0
    for row in rows:
        column = 0
        for piece, colour in row:
            shown = piece.replace("\n", "⏎")
            if column + len(shown) > width and column:
                line, column = line + 1, 0
            axis.add_patch(
                plt.Rectangle((column, -line - 0.8), len(shown), 0.8, facecolor=colour, edgecolor="white")
            )
            for place, character in enumerate(shown):
                axis.text(
                    column + place + 0.5, -line - 0.43, character, family="monospace", fontsize=8,
                    ha="center", va="center",
                )  # fmt: skip
            column += len(shown)
        line += 1
    axis.set(xlim=(-0.5, width + 0.5), ylim=(-line - 0.2, 0.3))
    axis.axis("off")


COLOURS = ["#cfe2f3", "#fce5cd", "#d9ead3", "#ead1dc", "#fff2cc"]
SPECIAL_COLOUR = "#e06666"


# %% [markdown] bpe
# ## 1. Byte-pair encoding
#
# A tokenizer starts with 256 tokens, the single bytes, so that every text has an encoding. Training counts
# all pairs of neighbours, joins the most frequent pair to a new token, and begins again:
#
# $$\mathrm{pair}_{n} = \arg\max_{(a, b)} \; \#\{\text{places where } b \text{ follows } a\}$$
#
# Counting is done within pieces of text (words, mostly): no token spans two of them. Encoding repeats what
# training did: among the pairs that stand in a text, the one that was *learned first* is joined first.
#
# **Experiment.** The same sentence with vocabularies of three sizes, special tokens included. Below, the
# number of tokens that the text of this notebook takes, by the size of the vocabulary.

# %% bpe-experiment
figure, (above, below) = plt.subplots(2, 1, figsize=(12, 4.6), height_ratios=[1.6, 1])
sentence = TEXT[:56]
rows = []
for size in (265, 300, 420):
    tokenizer, problem = attempt(train, size)
    ids, problem = (None, problem) if problem else attempt(tokenizer.encode, sentence)
    if problem:
        rows.append([(f"{size}: {problem}", "white")])
        continue
    pieces = [(tokenizer.id_to_token(one), COLOURS[n % len(COLOURS)]) for n, one in enumerate(ids)]
    rows.append([(f"{size}: ", "white"), *pieces, (f" {len(ids)} tokens", "white")])
draw_pieces(above, rows)
above.set_title("The same sentence, with vocabularies of three sizes")

sizes = [265, 270, 280, 300, 330, 360, 400, 440]
counts = [attempt(lambda size=size: len(train(size).encode(TEXT)))[0] for size in sizes]
below.plot(sizes, [np.nan if count is None else count for count in counts], "o-")
below.set(xlabel="size of the vocabulary", ylabel="tokens", title=f"Tokens of a text of {len(TEXT)} bytes")
plt.show()

# %% [markdown] bpe-look
# With 265 tokens every byte is one. The first pairs that are joined shorten the text most, and later ones
# less and less: frequent words become one token, rare ones stay in pieces.
#
# **Acceptance.** At every step the pair that was joined is one of the most frequent; encoding joins pairs
# in the order in which they were learned.


# %% bpe-acceptance
def joined(tokens, token):
    """Return a list of tokens in which neighbours that spell `token` are joined, from the left."""
    result = []
    for one in tokens:
        if result and len(result[-1]) < len(token) and result[-1] + one == token:
            result[-1] = token
        else:
            result.append(one)
    return result


def encoded_by_hand(word, learned):
    """Return the tokens of a word: the pair that was learned first is joined first."""
    tokens = list(word)
    while True:
        present = [a + b for a, b in pairwise(tokens) if a + b in learned]
        if not present:
            return tokens
        tokens = joined(tokens, min(present, key=learned.index))


for words in (
    {"lamplight": 7, "lamps": 5, "light": 9, "slight": 2, "amply": 3},
    {"banter": 4, "antler": 6, "lantern": 11, "planter": 3, "ante": 1},
    {"winter": 3, "interwoven": 2, "water": 8, "wanted": 5, "over": 12, "wove": 4},
):
    texts = [word for word, times in words.items() for _ in range(times)]
    tokenizer = must_run("training with 9 tokens to learn", train, 265 + 9, texts)
    assert tokenizer.get_vocab_size() == 274, (
        f"vocab_size=274 gave {tokenizer.get_vocab_size()} tokens; 256 bytes, 9 pairs and 9 special tokens "
        "make 274"
    )
    learned = [tokenizer.id_to_token(256 + number) for number in range(9)]
    split = {word: list(word) for word in words}
    for number, token in enumerate(learned):
        pairs = Counter()
        for word, times in words.items():
            for pair in pairwise(split[word]):
                pairs[pair] += times
        best = max(pairs.values())
        count = max((times for pair, times in pairs.items() if "".join(pair) == token), default=0)
        assert count == best, (
            f"token {256 + number} is {token!r}, which stands {count} times in the texts {words}; "
            f"the most frequent pair stands {best} times"
        )
        split = {word: joined(tokens, token) for word, tokens in split.items()}
    for word in [*words, "lightwater", "wanterlamp", "overlantern"]:
        got = [tokenizer.id_to_token(one) for one in must_run(f"encode({word!r})", tokenizer.encode, word)]
        assert got == encoded_by_hand(word, learned), (
            f"{word!r} is encoded as {got}, wanted {encoded_by_hand(word, learned)}: what was learned "
            f"first is joined first, and learned was {learned}"
        )
few = must_run("training on one short text", train, 400, ["abab"])
assert 265 < few.get_vocab_size() < 400, (
    f"the text 'abab' gave {few.get_vocab_size()} tokens; vocab_size is an upper bound, and there is "
    "something to join"
)
print("1. Byte-pair encoding: every assertion holds")

# %% [markdown] encoding
# ## 2. Encoding, decoding and special tokens
#
# Nine special tokens come after all others. They stand for what is no text: where a document begins, who
# speaks, when a tool is called. Text never produces them, also when it spells one out; else whoever writes a
# message could speak for somebody else. They come from `encode_special`, and from `prepend` and `append`:
#
# `encode(text, prepend="<|bos|>")` is `[encode_special("<|bos|>")] + encode(text)`
#
# and for a list of texts the same holds for each of them.
#
# **Experiment.** Four ways to encode a text that spells a special token. Special tokens are red.


# %% encoding-experiment
def shown(tokenizer, ids):
    """Return the pieces of ids, special tokens red."""
    specials = {tokenizer.encode_special(text) for text in tokenizer.get_special_tokens()}
    return [
        (tokenizer.id_to_token(one), SPECIAL_COLOUR if one in specials else COLOURS[n % len(COLOURS)])
        for n, one in enumerate(ids)
    ]


tokenizer = train()
spelled = "He wrote <|bos|> on the wall."
ways = {
    'encode(text)': lambda: tokenizer.encode(spelled),
    'encode(text, prepend="<|bos|>")': lambda: tokenizer.encode(spelled, prepend="<|bos|>"),
    'encode([text, ""], prepend=id)': lambda: [
        one for ids in tokenizer.encode([spelled, ""], prepend=tokenizer.get_bos_token_id()) for one in ids
    ],
    'encode(text, append="<|user_end|>")': lambda: tokenizer.encode(spelled, append="<|user_end|>"),
}  # fmt: skip
figure, axis = plt.subplots(figsize=(12, 1.8))
rows = []
for way, function in ways.items():
    ids, problem = attempt(function)
    rows.append([(way.ljust(37), "white"), *([(problem, "white")] if problem else shown(tokenizer, ids))])
draw_pieces(axis, rows)
axis.set_title("What of a text is special?")
plt.show()

# %% [markdown] encoding-look
# The `<|bos|>` that somebody wrote on the wall is cut into ordinary tokens in each row. Only what was asked
# for is red: one at the front of the second row, two in the third (one for each text, the empty one too),
# one at the end of the fourth.
#
# **Acceptance.** Text comes back as it was, special tokens come from asking only, for single texts and for
# lists, by id and by name; what makes no sense raises; a tokenizer that was saved and loaded answers the
# same.

# %% encoding-acceptance
SAMPLES = [
    "", " ", "a", "\n\n  indented\ttab", "naïve café", "日本語 🙂🙂", "1234567 + 89", "<|bos|>",
    "<|user_start|>me<|user_end|>", "<|bos|", "|>", "The keeper's lamp, again... and again!\r\n", TEXT,
]  # fmt: skip
with tempfile.TemporaryDirectory() as folder:
    first = train()
    must_run("save", first.save, folder)
    from nanochat.tokenizer import RustBPETokenizer

    loaded = must_run("from_directory", RustBPETokenizer.from_directory, folder)
for name, tokenizer in (("the tokenizer", first), ("the tokenizer that was loaded", loaded)):
    size = tokenizer.get_vocab_size()
    special_ids = [tokenizer.encode_special(text) for text in SPECIALS]
    assert special_ids == list(range(size - 9, size)), (
        f"{name}: the ids of the special tokens are {special_ids}, wanted the last nine of {size}, in order"
    )
    for text in SAMPLES:
        plain = must_run(f"encode({text!r})", tokenizer.encode, text)
        assert plain == first.encode(text), f"{name} encodes {text!r} as {plain}, and not as it did before"
        assert not set(plain) & set(special_ids), (
            f"{name}: {text!r} is text, but its ids {plain} hold a special token"
        )
        assert tokenizer.decode(plain) == text, f"{name}: {text!r} comes back as {tokenizer.decode(plain)!r}"
        for special, number in zip(SPECIALS, special_ids, strict=True):
            for edge in (special, number):
                got = tokenizer.encode(text, prepend=edge)
                assert got == [number, *plain], (
                    f"{name}: encode({text!r}, prepend={edge!r}) begins with {got[:3]}; wanted the id "
                    f"{number} in front of {plain[:2]}..."
                )
                got = tokenizer.encode(text, append=edge)
                assert got == [*plain, number], (
                    f"{name}: encode({text!r}, append={edge!r}) ends with {got[-3:]}; "
                    f"wanted {number} at the end"
                )
    for number in (special_ids[0], special_ids[6]):
        want = [[number, *tokenizer.encode(text), number] for text in SAMPLES]
        got = must_run("encode of a list", tokenizer.encode, SAMPLES, number, number)
        assert got == want, (
            f"{name}: encode(list, prepend={number}, append={number}) differs from encoding one by one: the "
            f"first text became {got[0] if got else got}, wanted {want[0]}"
        )
    assert tokenizer.encode(SAMPLES) == [tokenizer.encode(text) for text in SAMPLES], (
        f"{name}: a list is encoded otherwise than its texts one by one"
    )
    must_raise("encode(5)", tokenizer.encode, 5)
    must_raise("encode_special('<|nobody|>')", tokenizer.encode_special, "<|nobody|>")
    must_raise("decode([-1])", tokenizer.decode, [-1])
    must_raise(f"decode([{size}])", tokenizer.decode, [size])
must_raise("vocab_size=264", train, 264, kind=ValueError)
print("2. Encoding: every assertion holds")

# %% [markdown] chat
# ## 3. Conversations and their mask
#
# A chat model reads a conversation as one list of ids: `<|bos|>`, then each message between its delimiters.
# It is trained to produce what the assistant says, and nothing else; the mask says which ids these are.
#
# | | ids | mask |
# |---|---|---|
# | user | `<\|user_start\|>` text `<\|user_end\|>` | 0 |
# | assistant | `<\|assistant_start\|>` parts `<\|assistant_end\|>` | 0 on the first, 1 on the last |
# | its text | text | 1 |
# | its call of a tool | `<\|python_start\|>` text `<\|python_end\|>` | 1 |
# | the tool's answer | `<\|output_start\|>` text `<\|output_end\|>` | 0 |
#
# What the tool answers is not the assistant's doing: trained on it, a model learns to make answers up. The
# end of a message is: without it, the model never learns to stop.
#
# **Experiment.** A conversation with a system message and a tool, its supervised ids in orange.

# %% chat-experiment
CONVERSATION = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How many lamps are 12 times 7?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "The whole coast has "},
                {"type": "python", "text": "12*7"},
                {"type": "python_output", "text": "84"},
                {"type": "text", "text": " lamps."},
            ],
        },
        {"role": "user", "content": "Thank you."},
        {"role": "assistant", "content": "Good evening!"},
    ]
}
tokenizer = train()
rendered, problem = attempt(tokenizer.render_conversation, CONVERSATION)
figure, axis = plt.subplots(figsize=(12, 2.2))
if problem:
    row = [(problem, "white")]
else:
    row = [
        (tokenizer.id_to_token(one), "#f6b26b" if kept else "#d9d9d9")
        for one, kept in zip(*rendered, strict=True)
    ]
draw_pieces(axis, [row])
axis.set_title("A conversation: orange is what the assistant must produce, grey is what it only reads")
plt.show()

# %% [markdown] chat-look
# Orange: the assistant's text, its call of the tool with both delimiters, and `<|assistant_end|>`. Grey:
# `<|bos|>`, all of the user's messages with the system message in the first one, `<|assistant_start|>`, and
# the tool's answer.
#
# **Acceptance.** Ids and mask are those of the table; a system message is merged; nothing is cut before
# `max_tokens`; the order of roles is checked; the conversation stays as it was.


# %% chat-acceptance
def rendered_by_hand(tokenizer, *parts):
    """Return (ids, mask) of parts: (mask, special tokens in front, text, special tokens behind)."""
    ids, mask = [tokenizer.encode_special("<|bos|>")], [0]
    for keep, front, text, behind in parts:
        added = [tokenizer.encode_special(one) for one in front]
        added += tokenizer.encode(text)
        added += [tokenizer.encode_special(one) for one in behind]
        ids += added
        mask += [keep] * len(added)
    return ids, mask


tokenizer = train()
want = rendered_by_hand(
    tokenizer,
    (0, ["<|user_start|>"], "Be brief.\n\nHow many lamps are 12 times 7?", ["<|user_end|>"]),
    (0, ["<|assistant_start|>"], "", []),
    (1, [], "The whole coast has ", []),
    (1, ["<|python_start|>"], "12*7", ["<|python_end|>"]),
    (0, ["<|output_start|>"], "84", ["<|output_end|>"]),
    (1, [], " lamps.", ["<|assistant_end|>"]),
    (0, ["<|user_start|>"], "Thank you.", ["<|user_end|>"]),
    (0, ["<|assistant_start|>"], "", []),
    (1, [], "Good evening!", ["<|assistant_end|>"]),
)
before = repr(CONVERSATION)
ids, mask = must_run("render_conversation", tokenizer.render_conversation, CONVERSATION)
for place, (got_id, want_id) in enumerate(zip(ids, want[0], strict=False)):
    assert got_id == want_id, (
        f"id {place} of the conversation is {tokenizer.id_to_token(got_id)!r}, "
        f"wanted {tokenizer.id_to_token(want_id)!r}"
    )
assert len(ids) == len(want[0]), f"the conversation has {len(ids)} ids, wanted {len(want[0])}"
assert len(mask) == len(ids), f"the mask has {len(mask)} entries for {len(ids)} ids"
for place, (got_mask, want_mask) in enumerate(zip(mask, want[1], strict=True)):
    assert got_mask == want_mask, (
        f"the mask of id {place}, {tokenizer.id_to_token(ids[place])!r}, is {got_mask}, wanted {want_mask}"
    )
assert repr(CONVERSATION) == before, "rendering changed the conversation that it was given"
for most in (0, 1, 5, len(ids) - 1, len(ids), len(ids) + 1):
    got = must_run(f"max_tokens={most}", tokenizer.render_conversation, CONVERSATION, most)
    assert list(map(list, got)) == [ids[:most], mask[:most]], (
        f"max_tokens={most} gave {len(got[0])} ids and {len(got[1])} of the mask; "
        f"wanted the first {most} of each"
    )
user, assistant = {"role": "user", "content": "Hello <|user_end|>"}, {"role": "assistant", "content": "Yes."}
prompt = must_run("render_for_completion", tokenizer.render_for_completion, {"messages": [user, assistant]})
want_prompt, _ = rendered_by_hand(
    tokenizer,
    (0, ["<|user_start|>"], "Hello <|user_end|>", ["<|user_end|>"]),
    (0, ["<|assistant_start|>"], "", []),
)
assert prompt == want_prompt, (
    f"the prompt for a completion is {tokenizer.decode(prompt)!r}, wanted {tokenizer.decode(want_prompt)!r}"
)
for what, messages in {
    "no messages": [],
    "an assistant that begins": [assistant, user],
    "two users in a row": [user, user],
    "a system message alone": [{"role": "system", "content": "x"}],
    "a system message later on": [user, assistant, {"role": "system", "content": "x"}],
    "an unknown role": [{"role": "nobody", "content": "x"}],
    "an unknown part": [user, {"role": "assistant", "content": [{"type": "image", "text": "x"}]}],
}.items():
    must_raise(what, tokenizer.render_conversation, {"messages": messages}, kind=ValueError)
print("3. Chat: every assertion holds")

# %% [markdown] data
# ## 4. The token stream
#
# Documents stand one behind the other, `<|bos|>` in front of each, epoch after epoch. Batch $n$ holds the
# next
# $B \cdot T$ ids, row after row, and the target of each id is the id that follows it:
#
# $$x_{n,r,c} = s_{nBT + rT + c} \qquad y_{n,r,c} = s_{nBT + rT + c + 1}$$
#
# Two neighbouring batches therefore share one id: the last target of one is the first input of the next. With
# $W$ ranks, rank $r$ reads the documents $r, r + W, r + 2W, \dots$ of every epoch. And with each batch comes
# a state, from which a new loader goes on as if the old one had never stopped.
#
# The tokenizer of this section is no part of your code: its ids are the bytes of a text, and `<|bos|>` is
# 256.
#
# **Experiment.** On the left three batches of four documents, each document in its own colour and `<|bos|>`
# as a dot; on the right, which of three ranks reads which of ten documents.


# %% letters
class Letters:
    """A tokenizer whose ids are the bytes of a text; `<|bos|>` is 256."""

    def get_bos_token_id(self):
        return 256

    def encode_special(self, text):
        return 256 + SPECIALS.index(text)

    def encode(self, text, prepend=None, append=None, num_threads=8):  # noqa: ARG002
        if isinstance(text, list):
            return [self.encode(one, prepend, append) for one in text]
        front, behind = (
            [self.encode_special(one) if isinstance(one, str) else one] for one in (prepend, append)
        )
        return [one for one in [*front, *text.encode(), *behind] if one is not None]


def batches(documents, B, T, number, state=None, rank=0, world_size=1):
    """Return the first batches of the submission's loader: a list of (inputs, targets, state)."""
    from nanochat.dataloader import token_batches

    running = token_batches(documents, Letters(), B, T, rank=rank, world_size=world_size, state=state)
    return list(islice(running, number))


def stream_by_hand(documents, length, rank=0, world_size=1):
    """Return the first ids of the stream of a rank."""
    epoch = [one for text in documents[rank::world_size] for one in [256, *text.encode()]]
    return (epoch * (length // len(epoch) + 1))[:length]


# %% data-experiment
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 3.6), width_ratios=[1.5, 1])
documents = ["aaaaaaa", "bb", "", "cccccccccccccccccc"]
got, problem = attempt(batches, documents, 2, 12, 3)
if problem:
    left.text(0.1, 0.5, problem)
else:
    colours = {ord("a"): 0, ord("b"): 1, ord("c"): 3}
    for number, (inputs, targets, _) in enumerate(got):
        for row in range(2):
            for kind, tensor in enumerate((inputs, targets)):
                y = -(number * 5.5 + row * 2.4 + kind)
                for column, one in enumerate(tensor[row].tolist()):
                    colour = COLOURS[colours.get(one, 2)] if one != 256 else "white"
                    left.add_patch(plt.Rectangle((column, y), 1, 0.9, facecolor=colour, edgecolor="gray"))
                    left.text(
                        column + 0.5, y + 0.42, "•" if one == 256 else chr(one), ha="center", va="center"
                    )
                left.text(
                    -0.3, y + 0.42, "inputs" if kind == 0 else "targets", ha="right", va="center", fontsize=8
                )
        left.text(12.4, -(number * 5.5) - 1.2, f"batch {number}", va="center", fontsize=9)
    left.set(xlim=(-2.5, 14.5), ylim=(-16.2, 1.5))
left.axis("off")
left.set_title("Three batches of the documents aaaaaaa, bb, (empty) and cccccccccccccccccc")

tagged = [chr(97 + number) * 3 for number in range(10)]
table = np.full((3, 10), np.nan)
for rank in range(3):
    epoch = len(tagged[rank::3]) * 4
    found, problem = attempt(
        lambda rank=rank, epoch=epoch: batches(tagged, 1, epoch, 1, rank=rank, world_size=3)
    )
    if not problem:
        for one in found[0][0][0].tolist():
            if 97 <= one < 107:
                table[rank, one - 97] = rank
right.imshow(table, cmap="Set2", vmin=0, vmax=7, aspect="auto")
right.set(title="Which rank reads which document in an epoch", xlabel="document", ylabel="rank")
right.set_xticks(range(10))
right.set_yticks(range(3))
plt.show()

# %% [markdown] data-look
# Read a row of targets below its row of inputs: it is the same text, one place to the left. The empty
# document is a dot of its own. On the right every column has one colour: each document is read by one rank.
#
# **Acceptance.** Dtypes, shift, stream, ranks, epochs and states as above; batches stay as they came; text
# files and their split give the documents that they should.

# %% data-acceptance
from nanochat.dataloader import TextFiles, split_texts

CORPORA = [
    ["ab", "c", "", "defghij"],
    ["a"],
    ["one two three", "", "<|bos|>", "é🙂", "x" * 100, "end"],
    [f"document {number}" for number in range(70)],
]
for documents in CORPORA:
    for B, T in ((1, 1), (2, 3), (3, 16)):
        got = must_run(f"token_batches with B={B}, T={T}", batches, documents, B, T, 8)
        want = stream_by_hand(documents, 8 * B * T + 1)
        for number, (inputs, targets, _) in enumerate(got):
            what = f"batch {number} of {len(documents)} documents with B={B}, T={T}"
            assert inputs.dtype == torch.int32, f"{what}: inputs are {inputs.dtype}, wanted torch.int32"
            assert targets.dtype == torch.int64, f"{what}: targets are {targets.dtype}, wanted torch.int64"
            assert tuple(inputs.shape) == tuple(targets.shape) == (B, T), (
                f"{what}: inputs are {tuple(inputs.shape)}, targets {tuple(targets.shape)}, wanted {(B, T)}"
            )
            assert inputs.is_contiguous() and targets.is_contiguous(), f"{what} is not contiguous"  # noqa: PT018  # one sentence
            start = number * B * T
            assert inputs.flatten().tolist() == want[start : start + B * T], (
                f"{what}: inputs are {inputs.tolist()}, wanted the ids {want[start : start + B * T]}"
            )
            assert targets.flatten().tolist() == want[start + 1 : start + B * T + 1], (
                f"{what}: targets are {targets.tolist()}, wanted what follows each input: "
                f"{want[start + 1 : start + B * T + 1]}"
            )
        for number in (0, 2, 4):
            again = must_run("going on from a state", batches, documents, B, T, 3, got[number][2])
            for step, (inputs, _, _) in enumerate(again):
                start = (number + 1 + step) * B * T
                assert inputs.flatten().tolist() == want[start : start + B * T], (
                    f"a loader from the state of batch {number} (B={B}, T={T}) yields {inputs.tolist()} "
                    f"as its batch {step}, wanted {want[start : start + B * T]}"
                )

for documents, world_size in ((CORPORA[3], 3), (CORPORA[2], 2), (CORPORA[3][:9], 8)):
    for rank in range(world_size):
        got = must_run("a rank", batches, documents, 2, 5, 6, None, rank, world_size)
        found = [one for inputs, _, _ in got for one in inputs.flatten().tolist()]
        want = stream_by_hand(documents, 60, rank, world_size)
        assert found == want, (
            f"rank {rank} of {world_size} reads {found[:12]}..., wanted {want[:12]}...: in every epoch its "
            f"documents are those with i % {world_size} == {rank}"
        )
must_raise(
    "two ranks for one document", lambda: batches(["a"], 1, 1, 1, rank=1, world_size=2), kind=ValueError
)
must_raise("B=0", lambda: batches(["a"], 0, 1, 1), kind=ValueError)
must_raise("rank=2 of 2", lambda: batches(list("abc"), 1, 1, 1, rank=2, world_size=2), kind=ValueError)

with tempfile.TemporaryDirectory() as folder:
    paths = [Path(folder) / name for name in ("b.txt", "a.txt")]
    paths[0].write_bytes("\n one\ntwo \n \t\n\nthrée".encode())
    paths[1].write_bytes(b"four\r\nfive\r\n\r\nsix\r\n")
    texts = TextFiles(paths)
    for number in range(2):
        found = must_run("TextFiles", list, texts)
        assert found == [" one\ntwo ", "thrée", "four\nfive", "six"], (
            f"iteration {number} over two files gave the documents {found}"
        )
numbers = [str(number) for number in range(45)]
training, validation = must_run("split_texts", split_texts, numbers)
for number in range(2):
    assert list(validation) == ["19", "39"], f"iteration {number}: validation has {list(validation)}"
    assert sorted([*training, *validation]) == sorted(numbers), (
        f"iteration {number}: training has {len(list(training))} of 45 texts; "
        "wanted all but the two for validation"
    )
must_raise("every=1", split_texts, numbers, 1, kind=ValueError)
print("4. Data: every assertion holds")

# %% [markdown] bytes
# ## 5. Bytes
#
# Tokenizers with larger vocabularies need fewer tokens, so losses per token cannot be compared. Per byte they
# can, and for that every token must know for how many bytes of text it stands, special tokens for none:
#
# $$\sum_{i} \mathrm{bytes}(\mathrm{id}_i) = \text{the length of the text in bytes}$$
#
# A token is a string of bytes, not of characters: it may end in the middle of one. Whoever shows text while
# it is being generated must hold such bytes back until the character is whole, and no longer.
#
# **Experiment.** How many bytes the tokens have that were learned; and what `decode_stream` gives for each
# id of a text whose characters take two to four bytes.

# %% bytes-experiment
tokenizer = train(420)
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 3.4))
held, problem = attempt(tokenizer.get_token_bytes)
if problem:
    left.text(0.1, 0.5, problem)
else:
    left.hist(held, bins=np.arange(-0.5, 12.5), rwidth=0.8, log=True)
left.set(title="Bytes per token", xlabel="bytes", ylabel="tokens")

sample = "né 日 🙂!"
ids = tokenizer.encode(sample)


def when_given(ids):
    """Return the text that has been given when so many ids have come in."""
    taken, given = [0], []

    def coming():
        for one in ids:
            given.append("".join(pieces))
            taken[0] += 1
            yield one

    pieces = []
    for piece in tokenizer.decode_stream(coming()):
        pieces.append(piece)
    return [*given[1:], "".join(pieces)]


given, problem = attempt(when_given, ids)
if problem:
    right.text(0.1, 0.5, problem)
else:
    right.step(range(1, len(ids) + 1), [len(text.encode()) for text in given], where="mid", label="given")
    if held:
        come = np.cumsum([held[one] for one in ids])
        right.plot(range(1, len(ids) + 1), come, "o", markersize=3, label="come in")
    right.legend()
right.set(title="Bytes of a text and of its stream", xlabel="ids so far", ylabel="bytes")
plt.show()

# %% [markdown] bytes-look
# Nine special tokens have no bytes, 256 have one, and most of those that were learned have two or three. On
# the right, the stairs wait below the dots while a character is not whole, and touch them again with its
# last byte.
#
# **Acceptance.** Bytes add up to the text; pieces of a stream join to what `decode` gives; no piece holds
# half a character, and none comes late.


# %% bytes-acceptance
for size in (265, 300, 420):
    tokenizer = train(size)
    held = must_run("get_token_bytes", tokenizer.get_token_bytes)
    assert len(held) == tokenizer.get_vocab_size(), (
        f"get_token_bytes gives {len(held)} numbers for {tokenizer.get_vocab_size()} tokens"
    )
    special = [tokenizer.encode_special(text) for text in tokenizer.get_special_tokens()]
    assert [held[one] for one in special] == [0] * 9, (
        f"the special tokens stand for {[held[one] for one in special]} bytes, wanted 0 for each"
    )
    for one in range(256):
        assert held[one] == 1, f"token {one} is a single byte, but get_token_bytes says {held[one]}"
    for text in ("", "a", "né 日本 🙂!", TEXT, "\x00ÿ€"):
        ids = tokenizer.encode(text)
        total = sum(held[one] for one in ids)
        assert total == len(text.encode()), (
            f"the tokens of {text[:20]!r} stand for {total} bytes, and the text has {len(text.encode())}"
        )
        pieces = must_run("decode_stream", lambda: list(tokenizer.decode_stream(iter(ids))))  # noqa: B023  # called at once
        assert "".join(pieces) == text, f"the pieces of {text[:20]!r} join to {''.join(pieces)[:40]!r}"
        assert "\ufffd" not in "".join(pieces), f"a piece of {text[:20]!r} holds half a character: {pieces}"
    for text in ("né 日 🙂!", "🙂🙂", "plain"):
        ids = tokenizer.encode(text)
        given = must_run("decode_stream, id by id", when_given, ids)
        data = 0
        for number, (one, so_far) in enumerate(zip(ids, given, strict=True), start=1):
            data += held[one]
            whole = text.encode()[:data].decode("utf-8", errors="ignore")
            assert so_far == whole, (
                f"after {number} ids of {text!r} the stream has given {so_far!r}, and {whole!r} is complete"
            )
    broken = must_run("a stream that ends early", lambda: "".join(tokenizer.decode_stream([0xF0, 0x9F])))  # noqa: B023  # called at once
    assert broken == tokenizer.decode([0xF0, 0x9F]), (
        f"two bytes of a character and no more give {broken!r}, wanted {tokenizer.decode([0xF0, 0x9F])!r}"
    )
print("5. Bytes: every assertion holds")

# %% [markdown] summary
# ## Summary
#
# If every acceptance cell printed its line, these five criteria hold for the inputs of this notebook. The
# grader draws many more, and other ones each time you ask: `grader run --level 1`.
