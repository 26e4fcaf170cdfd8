"""The mean of an estimate over a step, against polynomials whose mean is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen import sde as process
from jaxgen.sampling.average import Step, exact, in_log_snr, in_rho, in_time, lagrange
from jaxgen.sampling.multistep import orders
from jaxgen.sampling.singlestep import blocks


@pytest.mark.parametrize("z", [-4.0, -0.3, 1e-3, 2.0, 12.0])
def test_moments_are_those_of_an_exponential(z, x64):
    """Breaks if an exponential integrator weighs its step wrongly: I_0 = (e^z - 1)/z, I_i = (e^z - i I_{i-1})/z."""
    tau = np.linspace(0, 1, 200_001)
    density = np.exp(z * (tau - 1))
    expected = [np.trapezoid(density * tau**i, tau) / np.trapezoid(density, tau) for i in range(4)]
    np.testing.assert_allclose(np.stack(exact(4, jnp.asarray([z])))[:, 0], expected, rtol=1e-8)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(("name", "axis"), [("log_snr", in_log_snr()), ("rho", in_rho), ("time", in_time)])
def test_polynomials_have_their_exact_mean(name, axis, sign, x64):
    """Breaks if nodes, moments and variable of a multistep method do not belong together: of a cubic in its variable,
    known at four times, the mean over rho must come out."""
    sde = process.vp()
    t, s, times = jnp.asarray([0.5]), jnp.asarray([0.4]), jnp.asarray([[0.5], [0.57], [0.7], [0.8]])

    def cubic(t):
        u = axis.position(sde, sign, t, 0)
        return 1 + u - 0.5 * u**2 + 0.3 * u**3

    def rho(t):
        return jnp.exp(0.5 * sign * sde.log_snr(t))

    step = Step(sde, sign, jnp.asarray(0), t, s, 0.5 * sign * (sde.log_snr(s) - sde.log_snr(t)))
    position = [axis.position(sde, sign, time, 0) for time in (*times, s)]
    nodes = [(u - position[0]) / (position[-1] - position[0]) for u in position[:-1]]
    weights = lagrange(nodes, axis.moments(4, step))
    fine = jnp.linspace(0.5, 0.4, 200_001)
    expected = np.trapezoid(cubic(fine), rho(fine)) / (rho(s) - rho(t))
    np.testing.assert_allclose(jnp.sum(weights * jax.vmap(cubic)(times), axis=0), expected, rtol=1e-8)


def test_orders_rise_and_fall():
    """Breaks if a first step uses an evaluation that does not exist, or the last ones do not fall as asked for."""
    assert orders(7, 3).tolist() == [1, 2, 3, 3, 3, 3, 3]
    assert orders(7, 3, 1).tolist() == [1, 2, 3, 3, 3, 2, 1]
    assert orders(7, 3, 2).tolist() == [1, 2, 3, 3, 3, 3, 2]
    assert orders(2, 3, 1).tolist() == [1, 1]


def test_blocks_spend_every_evaluation():
    """Breaks if singlestep solvers of a fixed number of evaluations take other orders than DPM-Solver-fast."""
    sizes = {n: blocks(n, 3, True)[0][blocks(n, 3, True)[1] == 0].tolist() for n in (2, 9, 10, 11)}
    assert sizes == {2: [2], 9: [3, 3, 2, 1], 10: [3, 3, 3, 1], 11: [3, 3, 3, 2]}
    assert blocks(4, 3)[1].tolist() == [0, 1, 2, 0] and blocks(4, 2, True)[0].tolist() == [2, 2, 1, 1]
