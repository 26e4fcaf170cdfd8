"""What is computed at some steps only."""

from contextlib import nullcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.losses.when import branched, is_due, when, zeros_of

X, W = jnp.linspace(-1, 1, 2 * 6 * 6 * 3).reshape(2, 6, 6, 3), jnp.linspace(-1, 2, 3 * 3 * 3 * 4).reshape(3, 3, 3, 4)


def convolution(w):
    out = jax.lax.conv_general_dilated(X, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return jnp.sum(out**3)


def product(w):
    return jnp.sum((X[..., None, :] @ w[0, 0]) ** 3)


def test_due_steps_are_those_that_logs_count():
    """Breaks if a run that logs at multiples of n never sees what it computes at every n-th step."""
    assert [step for step in range(1, 13) if is_due(step - 1, 4)] == [4, 8, 12]


@pytest.mark.parametrize("function", [convolution, product])
def test_values_and_gradients_are_those_of_the_function_where_it_is_due(function):
    """Breaks if what a CPU selects and what an accelerator branches to differ, or if a gradient leaks between."""

    def at(w, due):
        return when(due, lambda: function(w), lambda: zeros_of(lambda: function(w)))

    for context in (branched(), nullcontext()):
        with context:
            both = jax.jit(jax.value_and_grad(lambda w, due: at(w, due)))
            due, idle = both(W, True), both(W, False)
        for got, want in zip(due, jax.value_and_grad(function)(W), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
        assert float(idle[0]) == 0 and not np.any(idle[1])


def test_only_convolutions_on_a_cpu_are_computed_in_vain():
    """Breaks if an idle player is computed where that can be saved, or if a convolution comes into a branch on a CPU,
    where its gradient takes a hundred times longer."""

    def branches(function):
        traced = jax.make_jaxpr(lambda due, w: when(due, jax.grad(function), jnp.zeros_like, w))
        return "cond[" in str(traced(True, W))

    assert branches(product)
    assert branches(convolution) == (jax.default_backend() != "cpu")
    with branched():
        assert branches(convolution)
