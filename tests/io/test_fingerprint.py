"""Fingerprints tell any damage, and nothing but damage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgen.io.fingerprint import differing, of_arrays, of_document, of_shards
from jaxgen.parallel.collectives import collectives
from jaxgen.parallel.mesh import make_mesh, replicated
from jaxgen.parallel.sharding import state_sharding

LEAVES = {
    "float32": np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4),
    "float16": np.linspace(-1, 1, 6, dtype=np.float16),
    "int32": np.int32(-7),
    "int8": np.arange(-3, 3, dtype=np.int8),
    "bool": np.array([True, False, True]),
}


def fingerprint(leaf):
    return of_arrays({"x": jnp.asarray(leaf)})["x"]


def by_hand(words):
    """sum_i fmix32(words[i] xor 0x9E3779B1 i) mod 2^32, as it is written down."""
    total = 0
    for i, word in enumerate(map(int, words)):
        h = word ^ 0x9E3779B1 * i % 2**32
        h = (h ^ h >> 16) * 0x85EBCA6B % 2**32
        h = (h ^ h >> 13) * 0xC2B2AE35 % 2**32
        total += h ^ h >> 16
    return total % 2**32


@pytest.mark.parametrize("name", LEAVES)
def test_the_equation(name):
    """Breaks if checkpoints of one version are damaged to the next."""
    leaf = LEAVES[name]
    assert fingerprint(leaf) == by_hand(np.atleast_1d(leaf).ravel().view(f"u{leaf.dtype.itemsize}"))


def test_64_bits_are_two_words(x64):
    """Breaks if half the bits of a float64 are not looked at."""
    x = np.array([[1.1], [-2.3]])
    assert fingerprint(x) == by_hand(x.view(np.uint32).ravel())


def tidy(name):
    """2^12 numbers with few bits, in which damage by whole pages adds up to round numbers."""
    noise = np.random.default_rng(0).standard_normal(2**12).astype(np.float32)
    return {
        "ones": np.ones(2**12, np.float32),
        "zeros": np.zeros(2**12, np.float32),
        "bfloat16": (noise.view(np.uint32) & 0xFFFF0000).view(np.float32),
        "blocks": np.repeat(np.float32([1, 2, 0.5, 0]), 2**10),
        "counts": np.arange(2**12, dtype=np.int32),
    }[name]


def moved(x, block):
    """Two blocks changed places."""
    y = x.reshape(-1, block).copy()
    y[[0, -1]] = y[[-1, 0]]
    return y.ravel()


def cleared(x, start, length):
    y = x.copy()
    y[start : start + length] = 0
    return y


@pytest.mark.parametrize("name", ["ones", "zeros", "bfloat16", "blocks", "counts"])
def test_whole_pages_show(name):
    """Breaks if the damage that disks and file systems do, pages of zeros and blocks in another place, goes unseen."""
    x = tidy(name)
    places = [(cleared, start, 2**k) for k in range(13) for start in range(0, 2**12, max(2**k, 2**9))]
    changed = [damage(x, *where) for damage, *where in [*places, *((moved, 2**k) for k in range(12))]]
    changed += [np.roll(x, 1), -x, x[::-1].copy()]
    figures = {word.tobytes(): fingerprint(word) for word in [x, *changed]}
    assert len(set(figures.values())) == len(figures)


def test_every_single_bit_shows():
    """Breaks if a flipped bit of a parameter, the damage that nothing else finds, goes unseen."""
    x = LEAVES["float32"]
    figure = fingerprint(x)
    for place in range(x.size):
        for bit in range(32):
            words = x.view(np.uint32).copy().ravel()
            words[place] ^= np.uint32(1) << np.uint32(bit)
            assert fingerprint(words.view(np.float32).reshape(x.shape)) != figure


def test_it_is_the_same_on_any_devices():
    """Breaks if a checkpoint is taken for damaged on another number of devices."""
    tree = {"w": jax.random.normal(jax.random.key(0), (64, 128)), "b": jnp.arange(3.0)}
    spread = jax.device_put(tree, state_sharding(make_mesh(fsdp=8), tree))
    assert len(spread["w"].sharding.device_set) == 8 and not spread["w"].is_fully_replicated
    assert of_arrays(spread) == of_arrays(tree)


@pytest.mark.parametrize("copy", range(8))
def test_every_copy_is_looked_at(copy):
    """Breaks if weights that are right on the first device only, of those that hold them all, pass for right."""
    x = np.ones((8, 3), np.float32)
    sharding = replicated(make_mesh(data=8))
    parts = [jax.device_put(x * (1 + (i == copy)), device) for i, device in enumerate(sharding.mesh.devices.flat)]
    spoilt = {"w": jax.make_array_from_single_device_arrays(x.shape, sharding, parts)}
    whole = {"w": jax.device_put(x, sharding)}
    assert differing(spoilt, of_arrays(whole)) == ["w"] and differing(whole, of_arrays(whole)) == []


def test_no_collective_and_few_programs():
    """Breaks if a save waits for the other machines at every array, or compiles for minutes."""
    tree = {str(i): jnp.full((64, 128), i, jnp.float32) for i in range(50)}
    spread = jax.device_put(tree, state_sharding(make_mesh(fsdp=8), tree))
    of_shards.clear_cache()
    of_arrays(spread)
    assert of_shards._cache_size() == 1
    mesh = Mesh(np.array(jax.devices()), ("devices",))
    part = jax.device_put(tree["1"], NamedSharding(mesh, PartitionSpec("devices")))
    program = of_shards.lower(mesh, part, np.zeros(8, np.uint32), np.zeros(2, np.uint32)).compile()
    assert collectives(program.as_text()) == {}


def test_paths_are_those_of_the_state():
    """Breaks if a part that is restored alone finds no fingerprints."""
    assert set(of_arrays({"net": {"w": jnp.ones(2)}, "opt": (jnp.ones(1),)})) == {"net/w", "opt/0"}


def test_documents_do_not_depend_on_the_order_of_keys_or_on_tuples():
    """Breaks if what JSON gives back is taken for damaged."""
    assert of_document({"a": (1, 2), "b": 0.1}) == of_document({"b": 0.1, "a": [1, 2]})
    assert of_document({"a": 1}) != of_document({"a": 3})
