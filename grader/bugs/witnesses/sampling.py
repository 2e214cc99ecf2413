"""Witnesses of bugs in sampling and generation."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch

from grader.bugs.witnesses.setting import (
    BOS,
    END,
    VOCABULARY,
    Bytes,
    Modules,
    Speech,
    StandIn,
    attempt,
    certain,
    generator,
    model,
    script,
)


def _draws(modules: Modules, logits: torch.Tensor, count: int, **options: Any) -> list[int]:
    """Return `count` draws from one row of logits."""
    sample = modules["engine"].sample_next_token
    return [int(sample(logits[None], generator(seed), **options).item()) for seed in range(count)]


def _generated(modules: Modules, speech: Speech, width: int = VOCABULARY, **options: Any) -> Any:
    """Return the columns and masks of an engine, and what its model was fed."""
    stand_in = StandIn(speech, width=width, sequence_len=options.pop("sequence_len", 64))
    engine = modules["engine"].Engine(stand_in, Bytes())
    prompt = [BOS, 1, 2][: options.pop("prompt", 2)]
    return attempt(lambda: [list(map(list, engine.generate(prompt, **options))), stand_in.fed])


def _flat(among: list[int], width: int = VOCABULARY) -> torch.Tensor:
    """Return logits that leave the choice among some tokens."""
    logits = torch.full((width,), -30.0)
    logits[among] = 0.0
    return logits


def ties(modules: Modules) -> Any:
    """Return how many tokens come up when several tie for the last place."""
    return [
        len(set(_draws(modules, torch.tensor(logits), 60, top_k=top_k)))
        for logits, top_k in (
            ([1.0, 1.0, 1.0, 1.0], 2),
            ([3.0, 0.0, 3.0, 3.0, 3.0], 1),
            ([2.0, 2.0, 2.5, 2.0], 3),
        )
    ]


def rows(modules: Modules) -> Any:
    """Return how often tokens come up in rows that differ, and how many in rows that do not."""
    sample = modules["engine"].sample_next_token
    unlike = torch.tensor([[9.0, 8.0, 1.0, 0.0], [0.0, 0.1, 0.2, 0.3]])
    found: list[Any] = []
    for seed in range(2):
        found.append(sample(unlike.repeat(200, 1), generator(seed), 1.0, 2)[1::2].unique().tolist())
        found.append(sample(unlike.flip(0).repeat(200, 1), generator(seed), 1.0, 2)[1::2].unique().tolist())
        found.append(len(sample(torch.zeros(50, 9), generator(seed)).unique()) > 1)
    return found


def neighbours(modules: Modules) -> Any:
    """Return how often, in tenths, tokens come up in rows of ordinary logits beside rows of huge ones."""
    sample = modules["engine"].sample_next_token
    logits = torch.tensor([[0.0, 0.4, 0.8, 1.2], [1e7, 1e7, 1e7, 1e7]]).repeat(5000, 1)
    found = []
    for seed, top_k in ((0, None), (1, 3)):
        ids = sample(logits, generator(seed), 1.0, top_k)[::2]
        found += [round(float((ids == token).float().mean()), 1) for token in range(4)]
    return found


def candidates(modules: Modules) -> Any:
    """Return which tokens come up for several numbers of candidates."""
    logits = torch.tensor([0.1, 0.5, 0.3, 0.2, 0.4])
    return [
        attempt(lambda: sorted(set(_draws(modules, order, 80, top_k=top_k))))  # noqa: B023  # called at once
        for order in (logits, logits.flip(0))
        for top_k in (1, 2, 3, 4, 5, 9)
    ]


def distribution(modules: Modules) -> Any:
    """Return how often tokens come up, in tenths, at several temperatures and numbers of candidates."""
    sample = modules["engine"].sample_next_token
    found = []
    for seed, logits in enumerate((torch.tensor([2.0, 0.0, -1.0]), torch.tensor([0.0, 3.0, 1.0, 1.0]))):
        for temperature, top_k in ((0.5, None), (1.0, 2), (3.0, None), (2.0, 3)):
            ids = sample(logits.repeat(20_000, 1), generator(seed), temperature, top_k)
            found += [round(float((ids == token).float().mean()), 1) for token in range(len(logits))]
    return found


def greedy(modules: Modules) -> Any:
    """Return which tokens come up at temperature 0 when two logits are close."""
    return [
        sorted(set(_draws(modules, torch.tensor(logits), 200, temperature=0.0, top_k=top_k)))
        for logits, top_k in (([0.0, 0.1], None), ([0.3, 0.2, 0.0], 2), ([0.05, 0.0, 0.1], None))
    ]


def seeds(modules: Modules) -> Any:
    """Return whether equal seeds give equal draws and others do not, for the sampler and for an engine."""
    found: list[Any] = []
    for top_k in (None, 5):
        draws = [_draws(modules, torch.zeros(50), 20, top_k=top_k) for _ in range(3)]
        found.append(draws[0] == draws[1] == draws[2])
    for one, other in ((1, 2), (42, 43), (0, 7)):
        texts = [
            _generated(modules, lambda _: _flat(list(range(60))), seed=seed, max_tokens=12)[0]
            for seed in (one, other, one)
        ]
        found += [texts[0] == texts[1], texts[0] == texts[2]]
    return found


def many_seeds(modules: Modules) -> Any:
    """Return how many texts some seeds give, the smallest and large ones."""
    found = []
    for number in (1, 42):
        texts = [
            _generated(modules, lambda _: _flat(list(range(60))), seed=seed, max_tokens=12)[0]
            for seed in (0, number, number + 65536)
        ]
        found.append([text == texts[0] for text in texts] + [text == texts[1] for text in texts])
    return found


def steps(modules: Modules) -> Any:
    """Return whether the tokens of one text are alike when the model always says the same."""
    return [
        len({column[0][0] for column in _generated(modules, lambda _: _flat(list(range(90))), seed=seed)[0]})
        > 1
        for seed in (0, 5, 42)
    ]


def first(modules: Modules) -> Any:
    """Return whether rows begin alike when many tokens are possible."""
    found = []
    for seed, count in ((0, 12), (3, 20)):
        columns = _generated(
            modules, lambda _: _flat(list(range(90))), seed=seed, num_samples=count, max_tokens=3
        )
        found += [columns if isinstance(columns, str) else len(set(column)) > 1 for column, _ in columns[0]]
    return found


def traces(modules: Modules) -> Any:
    """Return what sampling and generating leave behind: in logits, in the prompt, in the global generator."""
    found: list[Any] = []
    for seed in (0, 1):
        logits = torch.randn(2, 6, generator=generator(seed)) + 5
        before = logits.clone()
        modules["engine"].sample_next_token(logits, generator(seed))
        found.append(bool(torch.equal(logits, before)))
        state = torch.get_rng_state()
        engine = modules["engine"].Engine(StandIn(lambda _: _flat([65, 66, 67])), Bytes())
        prompt = [BOS, 1]
        engine.generate_batch(prompt, num_samples=1 + seed, max_tokens=4, seed=seed)
        found += [bool(torch.equal(torch.get_rng_state(), state)), len(prompt)]
        torch.set_rng_state(state)
    return found


def collected(modules: Modules) -> Any:
    """Return the columns of an engine, collected before any is read."""
    found = []
    for prompt in (1, 2):
        stand_in = StandIn(script([65, 66, 67, 68], prompt), width=VOCABULARY)
        engine = modules["engine"].Engine(stand_in, Bytes())
        found.append(attempt(lambda: list(engine.generate([BOS, 1][:prompt], max_tokens=4))))  # noqa: B023  # called at once
    return found


def slow(modules: Modules) -> Any:
    """Return what GPT.generate draws with several options, and whether it leaves traces."""
    found: list[Any] = []
    for seed in (0, 1):
        made = model(modules, seed, n_layer=1)
        state = torch.get_rng_state()
        for options in ({"top_k": 1, "temperature": 5.0}, {"temperature": 0.0}, {"temperature": 40.0}):
            texts = [list(made.generate([1, 2], 12, seed=number, **options)) for number in range(4)]
            found += [len({tuple(text) for text in texts}) > 1, len(texts[0])]
            found.append(max(Counter(token for text in texts for token in text).values()) > 12)
        found.append(bool(torch.equal(torch.get_rng_state(), state)))
        torch.set_rng_state(state)
    return found


def padded(modules: Modules) -> Any:
    """Return which ids come up from a model with more rows than the tokenizer has tokens."""
    found = []
    for seed, extra in ((0, 3), (1, 9)):
        among = [VOCABULARY - 1, VOCABULARY, VOCABULARY + extra - 1]
        columns = _generated(
            modules,
            lambda _: _flat(among, VOCABULARY + extra),  # noqa: B023  # called at once
            width=VOCABULARY + extra,
            seed=seed,
            num_samples=6,
            max_tokens=8,
        )
        found.append(
            columns if isinstance(columns, str) else sorted({i for column, _ in columns[0] for i in column})
        )
    return found


def context(modules: Modules) -> Any:
    """Return how many columns come for limits around what the context has room for."""
    found = []
    for length in (8, 13):
        for limit in (None, 0, 1, length - 2, length - 1, length, length + 5, length + 62):
            columns = _generated(modules, lambda _: certain(65), sequence_len=length, max_tokens=limit)
            found.append(columns if isinstance(columns, str) else len(columns[0]))
    return found


def ends(modules: Modules) -> Any:
    """Return columns and masks of rows that end at different times, by either terminal token."""
    found: list[Any] = [
        _generated(modules, script([65, 66, last, 67, 68], 2), max_tokens=6, temperature=0.0)[0]
        for last in (BOS, END)
    ]
    for seed in range(8):
        columns = _generated(
            modules,
            lambda text: _flat([65, 66, END]) if len(text) < 9 else certain(END),
            seed=seed,
            num_samples=4,
            max_tokens=9,
        )
        found.append(columns[0])
    return found


def work(modules: Modules) -> Any:
    """Return how many passes the model makes for texts that end by limit, by token, and by context."""
    return [
        len(_generated(modules, script([65, 66, END], 2), temperature=0.0, **options)[1])
        for options in ({"max_tokens": 1}, {"max_tokens": 2}, {"max_tokens": 9}, {"sequence_len": 4})
    ]


def small(modules: Modules) -> Any:
    """Return which tokens come up at small temperatures from logits that are as close together."""
    logits = torch.tensor([1.0, 0.5, 0.0, -0.5])
    return [
        sorted(set(_draws(modules, logits * temperature, 60, temperature=temperature, top_k=top_k)))
        for temperature, top_k in ((1e-5, None), (5e-4, 3), (1e-3, None))
    ]


def unlikely(modules: Modules) -> Any:
    """Return how often, in tenths, the first of thousands of tokens comes up."""
    sample = modules["engine"].sample_next_token
    found = []
    for seed, lead in ((0, 8.0), (1, 9.0)):
        logits = torch.zeros(300, 8192)
        logits[:, 0] = lead
        found.append(round(float((sample(logits, generator(seed)) == 0).float().mean()), 1))
    return found


def large(modules: Modules) -> Any:
    """Return what comes of a large top_k, of many equal tokens, and of a generator at temperature 0."""
    sample = modules["engine"].sample_next_token
    found: list[Any] = []
    for seed, top_k in ((0, 100), (1, 200)):
        rng = generator(seed)
        ids = sample(torch.arange(300.0).mul(1e-3).repeat(500, 1), rng, 1.0, top_k)
        found.append(int(ids.min()) >= 300 - top_k)
        found.append(len(sample(torch.zeros(2000, 8192), rng).unique()) > 1700)
        state = rng.get_state()
        sample(torch.zeros(2, 5), rng, 0.0)
        found.append(torch.equal(state, rng.get_state()))
    return found


def ordinary(modules: Modules) -> Any:
    """Return texts that hold special tokens which do not end them."""
    tokenizer = Bytes()
    names = ("user_start", "user_end", "assistant_start", "output_start", "output_end")
    found = []
    for prompt in (1, 2):
        text = [part for name in names for part in (tokenizer.encode_special(f"<|{name}|>"), ord("a"))]
        found.append(_generated(modules, script(text, prompt), prompt=prompt, max_tokens=12))
    return found


def long(modules: Modules) -> Any:
    """Return how many tokens come without a limit, and what the model of a long prompt was fed."""
    found = []
    for length in (3, 150):
        stand_in = StandIn(script([], length), sequence_len=450)
        engine = modules["engine"].Engine(stand_in, Bytes())
        prompt = [BOS, *range(length - 1)]
        columns = attempt(lambda: len(list(engine.generate(prompt))))  # noqa: B023  # called at once
        found.append([columns, stand_in.fed[:1]])
    return found


def over(modules: Modules) -> Any:
    """Return how many tokens come the slow way when more are asked for than the context holds."""
    found = []
    for seed, count in ((0, 5), (1, 7)):
        made = model(modules, seed, sequence_len=8)
        found.append(attempt(lambda: len(list(made.generate([1, 2, 3, 4], count)))))  # noqa: B023  # called at once
    return found
