"""Fingerprints tell any damage, and nothing but damage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.io.fingerprint import fingerprint, of_arrays, of_document
from jaxgen.parallel.mesh import make_mesh
from jaxgen.parallel.sharding import state_sharding

LEAVES = {
    "float32": np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4),
    "float16": np.linspace(-1, 1, 6, dtype=np.float16),
    "int32": np.int32(-7),
    "int8": np.arange(-3, 3, dtype=np.int8),
    "bool": np.array([True, False, True]),
}


@pytest.mark.parametrize("name", LEAVES)
def test_the_equation(name):
    """Breaks if checkpoints of one version are damaged to the next."""
    leaf = LEAVES[name]
    words = np.atleast_1d(leaf).ravel().view(f"u{leaf.dtype.itemsize}").astype(object)
    expected = sum((2 * i + 1) * int(word) for i, word in enumerate(words)) % 2**32
    assert int(fingerprint(jnp.asarray(leaf))) == expected


def test_64_bits_are_two_words(x64):
    """Breaks if half the bits of a float64 are not looked at."""
    x = np.array([1.1, -2.3])
    words = x.view(np.uint32).astype(object)
    expected = sum((2 * i + 1) * int(word) for i, word in enumerate(words)) % 2**32
    assert int(fingerprint(jnp.asarray(x))) == expected


def test_every_single_bit_shows():
    """Breaks if a flipped bit of a parameter, the damage that nothing else finds, goes unseen."""
    x = LEAVES["float32"]
    figure = int(fingerprint(jnp.asarray(x)))
    for place in range(x.size):
        for bit in range(32):
            words = x.view(np.uint32).copy().ravel()
            words[place] ^= np.uint32(1) << np.uint32(bit)
            assert int(fingerprint(jnp.asarray(words.view(np.float32).reshape(x.shape)))) != figure


def test_it_is_the_same_on_any_devices():
    """Breaks if a checkpoint is taken for damaged on another number of devices."""
    tree = {"w": jax.random.normal(jax.random.key(0), (64, 128)), "b": jnp.arange(3.0)}
    spread = jax.device_put(tree, state_sharding(make_mesh(fsdp=8), tree))
    assert len(spread["w"].sharding.device_set) == 8 and not spread["w"].is_fully_replicated
    assert of_arrays(spread) == of_arrays(tree)


def test_paths_are_those_of_the_state():
    """Breaks if a part that is restored alone finds no fingerprints."""
    assert set(of_arrays({"net": {"w": jnp.ones(2)}, "opt": (jnp.ones(1),)})) == {"net/w", "opt/0"}


def test_documents_do_not_depend_on_the_order_of_keys_or_on_tuples():
    """Breaks if what JSON gives back is taken for damaged."""
    assert of_document({"a": (1, 2), "b": 0.1}) == of_document({"b": 0.1, "a": [1, 2]})
    assert of_document({"a": 1}) != of_document({"a": 3})
