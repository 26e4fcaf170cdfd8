"""If these fail, a printed bits/dim is off by a bin width, a base or a bound."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

from jaxgen import gaussian
from jaxgen.evaluate.nll import (
    bits_per_dim,
    discretized_gaussian,
    importance_weighted,
    tanh_discretized_gaussian,
)
from jaxgen.losses.likelihoods import discretized_logistic


def test_uniform_density_costs_log2_of_the_levels():
    """p = 17^-64 on [0, 17)^64 is log2 17 = 4.087 bits a pixel, whatever space the model lives in."""
    for low, high in ((0.0, 17.0), (-1.0, 1.0)):
        logp = jnp.full((3,), -64 * math.log(high - low))
        log_det = 64 * math.log((high - low) / 17)
        np.testing.assert_allclose(bits_per_dim(logp, 64, log_det), math.log2(17), rtol=1e-6)


def test_reference_conversion_of_a_density_on_minus_one_to_one(golden, x64):
    """x / 127.5 - 1 adds log2 127.5 = 6.994 bits."""
    data = golden("metrics/bits_per_dim")
    dim = 8 * 8 * 3
    value = bits_per_dim(data["cont_logp_nats_x_in_m1_1"], dim, -dim * math.log(127.5))
    np.testing.assert_allclose(value, data["bpd_from_cont_m1_1"], rtol=1e-9)


def test_bits_of_integers_are_those_of_the_references(golden, x64, jit):
    """Breaks if a bin, an open end or the base is another; guided-diffusion's tanh is off by 0.05 to 0.2 bits/dim, and
    its floor of 1e-12 by more: the exact probability has neither."""
    data = golden("metrics/bits_per_dim")
    x, mean, log_std = jnp.asarray(data["u8"] / 127.5 - 1), jnp.asarray(data["mean"]), jnp.asarray(data["log_scale"])
    exact, tanh = (jit(fn)(x, mean, log_std) for fn in (discretized_gaussian, tanh_discretized_gaussian))

    def bits(logp):
        return bits_per_dim(logp.sum((1, 2, 3)), 8 * 8 * 3)

    near = dict(rtol=1e-9)
    mass = np.exp(data["disc_gauss_loglik_tanh_cdf_approx"])  # a difference of numbers up to 1
    np.testing.assert_allclose(jnp.exp(tanh), mass, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(bits(tanh), data["bpd_disc_gauss"], **near)
    np.testing.assert_allclose(bits(jnp.maximum(exact, math.log(1e-12))), data["bpd_disc_gauss_exact_cdf"], **near)
    assert (bits(exact) > data["bpd_disc_gauss_exact_cdf"] - 1e-9).all()
    logistic = jit(discretized_logistic(256).log_prob)(jnp.concatenate([mean, log_std], -1), x)
    np.testing.assert_allclose(bits_per_dim(logistic, 8 * 8 * 3), data["bpd_disc_logistic_exact"], **near)


def test_terms_of_a_bound_are_those_of_the_reference(golden, x64):
    """Breaks if the KL divergence of a diffusion's or an autoencoder's bound takes a variance for a deviation."""
    data = golden("metrics/bits_per_dim")
    found = gaussian.kl(jnp.asarray(data["mean"]), jnp.asarray(data["log_scale"]) / 2)
    np.testing.assert_allclose(found, data["normal_kl_logvar_is_log_scale_nats"], rtol=1e-9)


def test_probabilities_of_integers_sum_to_one_in_single_precision(jit):
    """Breaks if bins leave gaps or the far tail is infinite: 40 deviations off a level still has a finite price."""
    x = jnp.arange(256) / 127.5 - 1
    np.testing.assert_allclose(jnp.exp(jit(discretized_gaussian)(x, 0.3, -2.0)).sum(), 1, rtol=1e-5)
    far = jit(discretized_gaussian)(x, 0.9, math.log(0.04))
    assert jnp.isfinite(far).all() and far[0] < -1000


def test_dequantized_gaussian_bounds_the_bin_and_importance_weights_close_the_gap(x64):
    """-log2 of the bin mass is a lower bound of one draw's mean, and the limit of K draws (here evenly spaced)."""
    mean, std, levels = 6.3, 0.8, jnp.arange(2.0, 11.0)
    exact = bits_per_dim(jnp.log(norm.cdf(levels + 1, mean, std) - norm.cdf(levels, mean, std)), 1)
    u = (jnp.arange(1000.0)[:, None] + 0.5) / 1000
    logp = norm.logpdf(levels + u, mean, std)
    single = jax.vmap(lambda row: bits_per_dim(row, 1))(logp).mean(0)
    assert (single > exact).all()
    np.testing.assert_allclose(bits_per_dim(importance_weighted(logp), 1), exact, rtol=1e-5)


def test_importance_weights_of_tiny_densities_do_not_underflow():
    """Images have log-densities of hundreds of nats: exp before the mean would be 0."""
    logp = jnp.array([[-900.0, -400.0], [-900.0, -400.0 + math.log(3)]])
    np.testing.assert_allclose(importance_weighted(logp), [-900, -400 + math.log(2)], rtol=1e-7)


def test_unusable_likelihoods_are_refused():
    """A reduced or per-pixel likelihood must not become a number."""
    with pytest.raises(ValueError, match=r"logp must be \[B\]"):
        bits_per_dim(jnp.zeros((2, 3)), 3)
    with pytest.raises(ValueError, match=r"\[K, B\]"):
        importance_weighted(jnp.zeros(3))
