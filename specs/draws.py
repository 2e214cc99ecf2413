"""Weights, tokens and activations from a seed: the values; Hypothesis draws only the structure.

Every matrix is random at a scale at which every path matters: nothing is zero, attention is far from
uniform, and logits have a standard deviation of about three, so that the soft cap is felt.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from specs.oracles import rotary
from specs.oracles.gpt import Config, Weights, head_dim


def weights(config: Config, seed: int, dtype: str = "float32") -> Weights:
    """Return every parameter of a model of `config`, float32, rounded to what `dtype` can hold."""
    random = np.random.default_rng([seed, 1])
    width, head = config["n_embd"], head_dim(config)
    shapes: dict[str, tuple[int, int]] = {"transformer.wte.weight": (config["vocab_size"], width)}
    for layer in range(config["n_layer"]):
        name = f"transformer.h.{layer}."
        shapes[name + "attn.c_q.weight"] = (config["n_head"] * head, width)
        shapes[name + "attn.c_k.weight"] = (config["n_kv_head"] * head, width)
        shapes[name + "attn.c_v.weight"] = (config["n_kv_head"] * head, width)
        shapes[name + "attn.c_proj.weight"] = (width, width)
        shapes[name + "mlp.c_fc.weight"] = (4 * width, width)
        shapes[name + "mlp.c_proj.weight"] = (width, 4 * width)
    shapes["lm_head.weight"] = (config["vocab_size"], width)
    return {
        name: rounded(random.standard_normal(shape) * gain(name, shape[1]), dtype)
        for name, shape in shapes.items()
    }


def gain(name: str, inputs: int) -> float:
    """Return the standard deviation of a matrix with so many inputs."""
    # The embedding and the heads of queries and keys are normalised. One that is short by chance would show
    # the epsilon of the norm, which is free up to 1e-5: at a quarter of this size one law in fifty failed on
    # correct code with that epsilon.
    if name.startswith("transformer.wte"):
        return 4.0
    if name.endswith(("c_q.weight", "c_k.weight")):
        return 4.0 / float(np.sqrt(inputs))
    return (3.0 if name.startswith("lm_head") else 1.0) / float(np.sqrt(inputs))


def model(config: Config, seed: int, dtype: str = "float32") -> Weights:
    """Return every parameter, and the right rotary tables "cos" and "sin" (position, head_dim / 2)."""
    cos, sin = rotary.table(config["sequence_len"], head_dim(config))
    tables = {"cos": cos.astype(np.float32), "sin": sin.astype(np.float32)}
    return weights(config, seed, dtype) | tables


def scaled(weights: Weights, part: str, factor: float) -> Weights:
    """Return the weights with every matrix whose name holds `part` multiplied by `factor`."""
    return {
        name: value * np.float32(factor) if f".{part}." in f".{name}" else value
        for name, value in weights.items()
    }


def tokens(config: Config, seed: int, batch: int, length: int) -> NDArray[np.int64]:
    """Return random token ids of shape (batch, length)."""
    return np.random.default_rng([seed, 2]).integers(0, config["vocab_size"], (batch, length))


def normal(seed: int, *shape: int, dtype: str = "float32") -> NDArray[np.float32]:
    """Return standard normal values, float32, rounded to what `dtype` can hold."""
    return rounded(np.random.default_rng([seed, 3]).standard_normal(shape), dtype)


def rounded(values: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    """Return `values` in float32, rounded to the nearest that `dtype` can hold, ties to even."""
    single = values.astype(np.float32)
    if dtype != "bfloat16":
        return single
    bits = single.view(np.uint32)
    # bfloat16 is the upper half of a float32.
    nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return nearest.astype(np.uint32).view(np.float32)
