"""What a submission's own model and tokenizer say, as far as others can be held to it.

Training and fine-tuning are asked with stand-ins, so that a wrong model does not show in them. Some laws ask
with the submission's own parts as well, so that these are seen together; they take what a part says for
granted, and say nothing where a part raises or contradicts itself, which is the business of other levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from specs.oracles.gpt import Config
from specs.oracles.training import Batch
from specs.outcomes import SubmissionRaised
from specs.probe import Probe
from specs.strategies import config
from specs.training_draws import VOCABULARY

MODEL: Config = config(n_layer=2, n_head=2, head_dim=8, vocab_size=VOCABULARY, sequence_len=16)
"""Small, and with more than one block."""


def said_by_its_model(probe: Probe, seed: int, batches: Sequence[Batch]) -> dict[str, Any] | None:
    """Return the losses of each position of each batch, the gradients of their sum; None if they disagree."""
    got = probe.attempt("own_parts.losses", config=MODEL, seed=seed, pairs=batches)
    if isinstance(got, SubmissionRaised):
        return None
    apart, together = got["apart"], got["together"]
    targets = [pair[1].reshape(-1) for pair in batches]
    counted = [float((each != -1).sum()) for each in targets]
    sizes = [each.size for each in targets]
    if [np.size(each) for each in apart["none"]] != sizes or np.size(together["none"][0]) != sum(sizes):
        return None
    each = [float(np.sum(losses)) for losses in apart["none"]]
    means = [float(mean) * count for mean, count in zip(apart["mean"], counted, strict=True) if count]
    alike = [
        (apart["sum"], each),
        (means, [total for total, count in zip(each, counted, strict=True) if count]),
        (together["sum"][0], sum(each)),
        (together["none"][0], np.concatenate([np.ravel(losses) for losses in apart["none"]])),
        (np.concatenate([np.ravel(losses) for losses in apart["none"]])[np.concatenate(targets) == -1], 0.0),
    ]
    alike += [(together["gradients"].get(name, np.nan), one) for name, one in apart["gradients"].items()]
    if not all(np.allclose(one, other, rtol=1e-3, atol=1e-4) for one, other in alike):
        return None
    return {"losses": [np.ravel(losses) for losses in apart["none"]], "gradients": apart["gradients"]}


def rendered_by_its_tokenizer(
    probe: Probe, texts: list[str], conversations: list[Any], max_tokens: int
) -> list[tuple[list[int], list[int]]] | None:
    """Return the rows that the submission's own tokenizer renders; None if they cannot be rows."""
    got = probe.attempt("own_parts.rendered", texts=texts, conversations=conversations, max_tokens=max_tokens)
    if isinstance(got, SubmissionRaised):
        return None
    fits = all(2 <= len(ids) <= max_tokens and len(ids) == len(mask) for ids, mask in got)
    return [(ids, mask) for ids, mask in got] if fits else None
