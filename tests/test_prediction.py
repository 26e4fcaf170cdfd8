"""Every conversion between predictions is the same linear algebra: it must return what it was given, everywhere."""

from itertools import permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from processes import SDES, times

from jaxgen.prediction import EPS, SCORE, VELOCITY, X0, V, convert, decode, edm_output, encode, eps_error_scale
from jaxgen.sde import edm, expand, rectified_flow, vp

PREDICTIONS = {"x0": X0, "eps": EPS, "score": SCORE, "v": V, "velocity": VELOCITY, "edm": edm_output(0.5)}
PAIRS = list(permutations(PREDICTIONS, 2))


def _data(sde, n: int = 9) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    t = times(sde, n)
    return t, rng.standard_normal((n, 6)), rng.standard_normal((n, 6))


@pytest.mark.parametrize("name", SDES)
def test_round_trips_in_float64(x64, name):
    """frm -> to -> frm agrees with the truth at t0, t1 and between: the rule below with u = 1.6e-15."""
    _check(SDES[name], "float64", 1e-13)


@pytest.mark.parametrize("name", SDES)
def test_conversions_in_float32(name):
    """The float32 conversion of the float64 truth, at t0, t1 and between, is as good as its conditioning allows.

    Rule. With x_0 = (b x - sigma y)/d, eps = (alpha y - a x)/d, d = alpha b - sigma a, a rounding of x, of y or of a
    coefficient moves y' = a' x_0 + b' eps by at most u kappa [(|a' b| + |b' a|)|x| + (|a'| sigma + |b'| alpha)|y|]/|d|,
    u = 6e-8, with kappa = (|alpha b| + |sigma a|)/|d| for the cancellation in d. 64 of these are allowed.
    """
    _check(SDES[name], "float32", 64 * 6e-8)


def _check(sde, dtype: str, unit: float) -> None:
    at, x0, eps = _data(sde)
    with jax.enable_x64(True):
        t = jnp.asarray(at)
        alpha, sigma = np.asarray(sde.alpha(t)), np.asarray(sde.sigma(t))
        x = expand(alpha, x0) * x0 + expand(sigma, x0) * eps
        forms = {name: np.asarray(prediction(sde, t)) for name, prediction in PREDICTIONS.items()}
        size = {name: (np.abs(a), np.abs(b)) for name, (a, b) in forms.items()}
        truth = {name: np.asarray(encode(sde, p, x0, eps, t)) for name, p in PREDICTIONS.items()}

    @jax.jit
    def conversions(truth, x, t):
        return {(f, to): convert(sde, PREDICTIONS[f], PREDICTIONS[to], truth[f], x, t) for f, to in PAIRS}

    told = conversions(*jax.tree.map(lambda value: jnp.asarray(value, dtype), (truth, x, at)))
    for frm, to in PAIRS:
        determinant = np.abs(alpha * forms[frm][1] - sigma * forms[frm][0])
        (a, b), (a_to, b_to), y = size[frm], size[to], truth[frm]
        got = told[frm, to]
        assert got.dtype == dtype and np.all(np.isfinite(got)), (frm, to)
        kappa = (alpha * b + sigma * a) / determinant
        of_x = (a_to * b + b_to * a) / determinant
        of_y = (a_to * sigma + b_to * alpha) / determinant
        bound = unit * (kappa * of_x)[:, None] * np.abs(x) + unit * (kappa * of_y)[:, None] * np.abs(y)
        error = np.abs(np.asarray(got, np.float64) - truth[to])
        assert np.all(error <= bound + 1e-30), (frm, to, float(np.max(error / bound)))


@pytest.mark.parametrize("name", SDES)
def test_decode_inverts_encode(x64, name):
    """decode(encode(x_0, eps)) returns both, whatever is predicted."""
    sde = SDES[name]
    at, x0, eps = _data(sde)
    t = jnp.asarray(at)
    x = expand(sde.alpha(t), x0) * x0 + expand(sde.sigma(t), x0) * eps
    for prediction in PREDICTIONS.values():
        got_x0, got_eps = decode(sde, prediction, encode(sde, prediction, x0, eps, t), x, t)
        # x_0 or eps is a difference of terms 1/alpha or 1/sigma times larger than itself at the ends
        np.testing.assert_allclose(got_x0, x0, atol=1e-12 * float(np.max(1 / sde.alpha(t) ** 2 + sde.sigma(t) ** 2)))
        np.testing.assert_allclose(got_eps, eps, atol=1e-12 * float(np.max(1 / sde.sigma(t) ** 2)))


@pytest.mark.parametrize("sigma_data", [0.5, 1.3])
@pytest.mark.parametrize("sde", [edm(), vp()], ids=["edm", "vp"])
def test_edm_output_is_the_papers_preconditioning(x64, sde, sigma_data):
    """D = c_skip x + c_out F of 2206.00364 table 1, on its own process and (rescaled) on others."""
    at, x0, eps = _data(sde)
    t = jnp.asarray(at)
    alpha, level = sde.alpha(t), sde.sigma(t) / sde.alpha(t)
    x = x0 + expand(level, x0) * eps
    c_skip = sigma_data**2 / (level**2 + sigma_data**2)
    c_out = level * sigma_data / np.sqrt(level**2 + sigma_data**2)
    f = (x0 - c_skip[:, None] * x) / c_out[:, None]
    np.testing.assert_allclose(encode(sde, edm_output(sigma_data), x0, eps, t), f, rtol=1e-7, atol=1e-7)
    got, _ = decode(sde, edm_output(sigma_data), f, expand(alpha, x) * x, t)
    np.testing.assert_allclose(got, x0, rtol=1e-7, atol=1e-7)


def test_velocity_is_v_where_the_process_turns(x64):
    """On alpha = cos, sigma = sin the path's velocity is Salimans and Ho's v; on straight paths it is eps - x_0."""
    turn = vp()._replace(alpha=jnp.cos, sigma=jnp.sin)
    t, x0, eps = jnp.asarray([0.3, 1.0]), jnp.ones((2, 1)), jnp.full((2, 1), -2.0)
    np.testing.assert_allclose(encode(turn, VELOCITY, x0, eps, t), encode(turn, V, x0, eps, t), rtol=1e-12)
    np.testing.assert_allclose(encode(rectified_flow(), VELOCITY, x0, eps, t), eps - x0, rtol=1e-12)


@pytest.mark.parametrize("name", SDES)
def test_eps_error_scale_is_the_slope_of_eps(x64, name):
    """The factor that turns an error of y into one of eps, on which every loss weight is built."""
    sde = SDES[name]
    at, x0, eps = _data(sde)
    t = jnp.asarray(at)
    x = expand(sde.alpha(t), x0) * x0 + expand(sde.sigma(t), x0) * eps
    for prediction in PREDICTIONS.values():
        y = encode(sde, prediction, x0, eps, t)
        slope = decode(sde, prediction, y + 1, x, t)[1] - decode(sde, prediction, y, x, t)[1]
        scale = np.asarray(eps_error_scale(sde, prediction, t))
        size = np.abs(scale) + 1e-3 / np.asarray(sde.sigma(t))
        np.testing.assert_allclose(slope / size[:, None], (scale / size)[:, None] + 0 * x0, atol=1e-7)
