"""Figures by which a checkpoint that comes back other than it was written is known.

    of an array:     sum_i mix(bits_i xor c i)   mod 2^32,   i the place of a word in row-major order
    of a document:   CRC-32 of its JSON with sorted keys

c = 0x9E3779B1 is odd and mix, the finalizer of MurmurHash3, is a bijection of 32 bits: a single wrong word always
shows. Damage of several words goes unseen where their terms happen to have the same sum: about once in 2^32 for damage
that knows nothing of mix, as zeroed pages and swapped blocks. Who means to deceive can.

Integer sums do not depend on their order: an array has one fingerprint, however it is spread over devices and
processes. Each adds up its own parts, without a collective on the devices, and one exchange on the host adds these.
"""

import json
import operator
import zlib
from collections.abc import Mapping
from functools import partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, Shard
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgen.parallel import multihost

ODD = 0x9E3779B1  # 2^32 / golden ratio
DEVICES = "devices"


def mix(word: Array) -> Array:
    """fmix32 of MurmurHash3, a bijection of uint32."""
    word = (word ^ word >> 16) * jnp.uint32(0x85EBCA6B)
    word = (word ^ word >> 13) * jnp.uint32(0xC2B2AE35)
    return word ^ word >> 16


@partial(jax.jit, static_argnums=0)
def of_shards(mesh: Mesh, shards: Array, first: Array, strides: Array) -> Array:
    """What each device of `mesh` adds to the fingerprint of an array, uint32 [devices]. Its part lies among the others
    along the first axis of `shards` and begins at place first[device]; one along axis d is strides[d] places."""

    def own(shard: Array, first: Array, strides: Array) -> Array:
        if shard.dtype == bool:
            shard = shard.astype(jnp.uint8)
        unsigned = {1: jnp.uint8, 2: jnp.uint16}.get(shard.dtype.itemsize, jnp.uint32)
        words = jax.lax.bitcast_convert_type(shard, unsigned).astype(jnp.uint32)
        place = jnp.broadcast_to(first[0], words.shape)
        for axis in range(words.ndim):
            place += strides[axis] * jax.lax.broadcasted_iota(jnp.uint32, words.shape, axis)
        return jnp.sum(mix(words ^ place * jnp.uint32(ODD)), dtype=jnp.uint32)[None]

    each = PartitionSpec(DEVICES)
    specs = each if shards.ndim else PartitionSpec(), each, PartitionSpec()
    return jax.shard_map(own, mesh=mesh, in_specs=specs, out_specs=each, check_vma=False)(shards, first, strides)


def started(leaf: Array, parts: list[Shard]) -> Array | int:
    """What each device of this process adds for its part of `leaf`, being computed."""
    if not parts:
        return 0
    mesh = Mesh(np.array([part.device for part in parts]), (DEVICES,))
    shape = *leaf.shape, *([2] if leaf.dtype.itemsize == 8 else [])
    steps = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    starts = [[bounds.start or 0 for bounds in part.index] for part in parts]
    begins = [sum(map(operator.mul, steps, start)) for start in starts]
    own = parts[0].data.shape
    side_by_side = jax.make_array_from_single_device_arrays(
        (len(parts) * own[0], *own[1:]) if own else (),
        NamedSharding(mesh, PartitionSpec(DEVICES) if own else PartitionSpec()),
        [part.data for part in parts],
    )
    first, strides = (np.array([at % 2**32 for at in places], np.uint32) for places in (begins, steps))
    return of_shards(mesh, side_by_side, first, strides)


def sums(parts: Mapping[str, tuple[Array, list[Shard]]]) -> np.ndarray:
    """The fingerprints of {path: (leaf, its parts that count)}, uint32 [leaves], over all processes."""
    figures = jax.device_get([started(leaf, some) for leaf, some in parts.values()])  # all are started, then fetched
    own = np.array([np.sum(figure, dtype=np.uint32) for figure in figures], np.uint32)
    return multihost.agree(own).sum(0, dtype=np.uint32)


def of_arrays(tree: Any) -> dict[str, int]:
    """{path: fingerprint} of every leaf, "params/net/params/Dense_0/kernel". All processes make this call."""
    leaves = named(tree)
    return dict(zip(leaves, map(int, sums({path: (leaf, firsts(leaf)) for path, leaf in leaves.items()})), strict=True))


def differing(tree: Any, written: Mapping[str, int]) -> list[str]:
    """The paths of leaves of which a copy, on any device, has another fingerprint than `written`, {path: fingerprint}.
    All processes make this call."""
    leaves = named(tree)
    one = sums({path: (leaf, firsts(leaf)) for path, leaf in leaves.items()})
    every = sums({path: (leaf, leaf.addressable_shards) for path, leaf in leaves.items()})
    expected = np.array([written[path] for path in leaves], np.uint32)
    wrong = (one != expected) | (every != expected * np.array([copies(leaf) for leaf in leaves.values()], np.uint32))
    return [path for path, bad in zip(leaves, wrong, strict=True) if bad]


def firsts(leaf: Array) -> list[Shard]:
    """One copy of each part that this process has and is to count."""
    return [part for part in leaf.addressable_shards if part.replica_id == 0]


def copies(leaf: Array) -> int:
    """How many devices hold each part."""
    part = leaf.sharding.shard_shape(leaf.shape)
    return len(leaf.sharding.device_set) * prod(part) // max(1, leaf.size)


def named(tree: Any) -> dict[str, Any]:
    """{path: leaf}."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def of_document(document: Mapping[str, Any]) -> int:
    """Of what JSON holds."""
    return zlib.crc32(json.dumps(document, sort_keys=True).encode())
