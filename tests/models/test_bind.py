"""From modules to functions of parameters."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.models.bind import bind, stateful


class Counter(nn.Module):
    """x times a weight; in training it counts its calls."""

    def setup(self):
        self.weight = self.param("weight", nn.initializers.constant(3.0), ())
        self.calls = self.variable("state", "calls", lambda: jnp.int32(0))

    def __call__(self, x, train=False):
        if train:
            self.calls.value = self.calls.value + 1
        self.sow("features", "blocks", x)
        return self.weight * x

    def halved(self, x):
        return self.weight * x / 2


class Plain(nn.Module):
    @nn.compact
    def __call__(self, x, label, cond=None, keys=None):
        return nn.Dense(1)(x)


PARAMS = {"net": {"params": {"weight": jnp.float32(3.0)}, "state": {"calls": jnp.int32(4)}}}


def test_updates_are_the_collections_that_there_are():
    """Breaks if running statistics never reach the step, if they move outside of training, or if what a network shows
    of its inside becomes a part of the state."""
    apply = stateful(Counter(), "net")
    out, updates = jax.jit(lambda params, x: apply(params, x, train=True))(PARAMS, jnp.ones(2))
    np.testing.assert_array_equal(out, [3.0, 3.0])
    assert {name: set(new) for name, new in updates.items()} == {"net": {"state"}}
    assert int(updates["net"]["state"]["calls"]) == 5
    assert int(apply(PARAMS, jnp.ones(2))[1]["net"]["state"]["calls"]) == 4


def test_a_method_is_bound_by_its_name():
    """Breaks if the encoder of a module that is both cannot be called alone."""
    np.testing.assert_array_equal(stateful(Counter(), "net", method="halved")(PARAMS, jnp.ones(2))[0], [1.5, 1.5])


def test_a_network_without_collections_updates_nothing():
    """Breaks if the state of a plain network gets an entry that its checkpoint lacks."""
    module = Plain()
    params = {"net": module.init(jax.random.key(0), jnp.ones((2, 3)), None)}
    out, updates = stateful(module, "net")(params, jnp.ones((2, 3)), None)
    assert updates == {}
    np.testing.assert_array_equal(out, bind(module)(params, jnp.ones((2, 3)), None))


def test_a_network_that_is_not_there_is_named():
    for bound in (bind(Plain(), "other"), stateful(Plain(), "other")):
        with pytest.raises(ValueError, match=r"expected a network 'other' among the parameters, got \['net'\]"):
            bound(PARAMS, jnp.ones((2, 3)), None)
