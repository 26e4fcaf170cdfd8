"""Figures by which a checkpoint that comes back other than it was written is known.

    of an array:     sum_i (2 i + 1) bits_i   mod 2^32,   i the place of a word in row-major order
    of a document:   CRC-32 of its JSON with sorted keys

An odd weight is a unit modulo 2^32, so a single wrong word always shows, and any other damage but once in 2^32. Integer
sums do not depend on their order: an array has one fingerprint, however it is spread over devices and processes, and
each adds up its own part.
"""

import json
import zlib
from collections.abc import Mapping
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array


@jax.jit
def fingerprint(leaf: Array) -> Array:
    """Of an array of booleans, integers or floats, uint32 []. A number of more than 32 bits counts as several words."""
    if leaf.dtype == bool:
        leaf = leaf.astype(jnp.uint8)
    word = {1: jnp.uint8, 2: jnp.uint16}.get(leaf.dtype.itemsize, jnp.uint32)
    words = jax.lax.bitcast_convert_type(leaf, word).astype(jnp.uint32)
    place = jnp.zeros(words.shape, jnp.uint32)
    for axis in range(words.ndim):
        stride = jnp.uint32(prod(words.shape[axis + 1 :]) % 2**32)
        place += stride * jax.lax.broadcasted_iota(jnp.uint32, words.shape, axis)
    return jnp.sum(words * (2 * place + 1), dtype=jnp.uint32)


def of_arrays(tree: Any) -> dict[str, int]:
    """{path: fingerprint} of every leaf, "params/net/params/Dense_0/kernel"; computed where the arrays are."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    figures = [int(fingerprint(leaf)) for _, leaf in leaves]  # one by one: simulated devices would wait for each other
    paths = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
    return dict(zip(paths, figures, strict=True))


def of_document(document: Mapping[str, Any]) -> int:
    """Of what JSON holds."""
    return zlib.crc32(json.dumps(document, sort_keys=True).encode())
