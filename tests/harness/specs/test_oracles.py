"""The oracles, against answers worked out by hand or by another way."""

from __future__ import annotations

import numpy as np
import pytest

from specs import draws
from specs.oracles import gpt, rotary
from specs.strategies import config


def test_the_rotary_table_by_hand() -> None:
    cos, sin = rotary.table(3, 4)
    # Head of 4: pairs turn by 1 and by 10000^(-1/2) = 0.01 radians a position.
    assert np.allclose(cos[2], [np.cos(2.0), np.cos(0.02)])
    assert np.allclose(sin[2], [np.sin(2.0), np.sin(0.02)])


def test_rotation_is_multiplication_by_a_complex_number() -> None:
    x = np.random.default_rng(0).standard_normal((1, 5, 2, 6))
    cos, sin = rotary.table(5, 6)
    # (x1 + i x2) times e^(-i angle): the sign of the contract.
    turned = (x[..., :3] + 1j * x[..., 3:]) * (cos - 1j * sin)[None, :, None, :]
    assert np.allclose(rotary.rotate(x, cos, sin), np.concatenate([turned.real, turned.imag], axis=-1))


def test_attention_of_one_token_is_its_value() -> None:
    shape = config(n_head=2, n_kv_head=1)
    weights = draws.weights(shape, 0)
    x = draws.normal(0, 1, 1, shape["n_embd"]).astype(np.float64)
    value = x @ weights["transformer.h.0.attn.c_v.weight"].astype(np.float64).T
    want = np.concatenate([value, value], axis=-1) @ gpt.weight(weights, "transformer.h.0.attn.c_proj").T
    assert np.allclose(gpt.attention(shape, weights, 0, x, rotary.table(1, 8)), want)


def test_the_loss_of_even_logits_is_the_log_of_their_number() -> None:
    each = gpt.loss_of_each(np.full((1, 3, 7), 2.5), np.array([[0, -1, 6]]))
    assert np.allclose(each, [[np.log(7), 0, np.log(7)]])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_logits_vary_and_every_path_matters(dtype: str) -> None:
    shape = config(n_layer=2, n_head=3)
    weights, tokens = draws.weights(shape, 1, dtype), draws.tokens(shape, 1, 2, 16)
    logits = gpt.logits(shape, weights, tokens)
    assert 0.5 < np.std(logits) < 5
    for name in weights:
        other = gpt.logits(shape, {**weights, name: 0.5 * weights[name] + 0.5}, tokens)
        assert np.abs(other - logits).max() > 0.05, name


def test_rounding_to_bfloat16_by_hand() -> None:
    # 8 significant bits: 1 + 2^-8 lies halfway between 1 and 1 + 2^-7, and goes to the even one.
    values = np.array([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -3.140625], dtype=np.float32)
    want = [1.0, 1 + 2**-6, 1 + 2**-7, -3.140625]
    assert draws.rounded(values, "bfloat16").tolist() == want


def test_the_same_seed_draws_the_same() -> None:
    shape = config()
    first, second = draws.weights(shape, 5), draws.weights(shape, 5)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["lm_head.weight"], draws.weights(shape, 6)["lm_head.weight"])
