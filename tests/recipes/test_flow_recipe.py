"""A configuration of family "flow" becomes the model it describes, in bits of the integers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.configuration import call, default, override
from jaxgen.data import Spec
from jaxgen.data.transforms import dequantize
from jaxgen.keys import fold
from jaxgen.losses.flow import NOISE
from jaxgen.recipes import build
from jaxgen.train.state import join

SPEC = Spec((4, 4, 1), 17, 3, ("a", "b", "c"), 100)
X = np.random.default_rng(0).integers(0, 17, (6, 4, 4, 1))
KEYS = jax.random.split(jax.random.key(0), 6)
LABELS = np.arange(6) % 3


def small(*overrides, model=None, dequantizer=None):
    config = default("flow")
    config.data.dequantize = True
    config.model = model or call("nice", couplings=2, layers=1, width=8, dropout=0.5)
    config.dequantizer = dequantizer or call("uniform")
    config.likelihood.importance = 4
    return override(config, overrides)


def moved(params):
    return jax.tree.map(lambda leaf: leaf + 0.1 * jax.random.normal(jax.random.key(1), leaf.shape), params)


def started(config, batch=None):
    """The recipe and its parameters, off their first values."""
    recipe = build(config, SPEC, None)
    return recipe, moved(recipe.training.init(jax.random.key(0), batch).params)


@pytest.mark.parametrize("space", ["linear", "logit"])
@pytest.mark.parametrize("base", ["normal", "logistic"])
def test_bits_of_the_identity_are_known(space, base):
    """Breaks if the base is another, or the volume of a bin in model space is lost: a flow that moves nothing has the
    density of its base over dequantized pixels."""
    recipe, params = started(small(f"base={base}", f"data.space={space}"))
    y = np.asarray(dequantize(fold(KEYS, NOISE), jnp.asarray(X)), np.float64)
    p = 0.02 + 0.96 * y / 17
    z = 2 * y / 17 - 1 if space == "linear" else np.log(p / (1 - p))
    slope = 2 / 17 if space == "linear" else 0.96 / 17 / (p * (1 - p))
    logp = -0.5 * z**2 - 0.5 * math.log(2 * math.pi) if base == "normal" else -z - 2 * np.log1p(np.exp(-z))
    nats = recipe.likelihoods["bits_per_dim"].nats(jax.tree.map(jnp.zeros_like, params), KEYS, X)
    np.testing.assert_allclose(nats, (logp + np.log(slope)).sum((1, 2, 3)), rtol=1e-4)


def test_the_likelihood_is_that_of_evaluation(jit):
    """Breaks if dropout stays on, noise is always the same, or more draws do not tighten the bound."""
    recipe, params = started(small())
    plain, _ = started(small("model.dropout=0.0"))
    one, many = (jit(recipe.likelihoods[name].nats) for name in ("bits_per_dim", "bits_per_dim_importance"))
    np.testing.assert_allclose(
        one(params, KEYS, X), jit(plain.likelihoods["bits_per_dim"].nats)(params, KEYS, X), rtol=1e-6
    )
    assert np.abs(one(params, KEYS, X) - one(params, KEYS[::-1], X)).min() > 1e-3
    draws = np.stack([one(params, fold(KEYS, k), X) for k in range(4)])
    np.testing.assert_allclose(
        many(params, KEYS, X), np.log(np.exp(draws - draws.max(0)).mean(0)) + draws.max(0), rtol=1e-5
    )


def test_training_begins_from_its_first_batch(jit):
    """Breaks if activation normalization does not see the data (or shapes cannot be had without any), the metric is
    not bits, or a step does not move the flow."""
    config = small("data.conditional=True", model=call("glow", scales=1, steps=1, width=4))
    training, batch = build(config, SPEC, None).training, {"x": X, "label": LABELS}
    without = jax.eval_shape(lambda key: training.init(key, None), jax.random.key(0))
    state = jit(training.init)(jax.random.key(0), batch)
    assert jax.tree.map(jnp.shape, without) == jax.tree.map(jnp.shape, state)
    other = jit(training.init)(jax.random.key(0), {**batch, "x": X // 4})
    log_scale = [s.params["flow"]["params"]["flows_0"]["step"]["actnorm"]["log_scale"] for s in (state, other)]
    np.testing.assert_allclose(log_scale[1] - log_scale[0], math.log(4), atol=0.3)
    after, metrics = jit(training.step)(state, batch, jax.random.key(1))
    assert float(metrics["bits_per_dim"]) == pytest.approx(float(metrics["loss"]) / math.log(2), rel=1e-5)
    assert all(
        (a != b).any()
        for a, b in zip(*(jax.tree.leaves(s.params["flow"]["params"]["top"]) for s in (state, after)), strict=True)
    )


def test_noise_that_is_learned(jit):
    """Breaks if variational dequantization does not reach the bound, or its network is not among what is trained: the
    bits would be those of uniform noise."""
    noise = call("flowpp_dequantizer", width=4, blocks=1, heads=1, components=2, features=4)
    recipe = build(small(dequantizer=noise), SPEC, None)
    state = jit(recipe.training.init)(jax.random.key(0), {"x": X})
    assert set(state.params) == {"flow", "dequantizer"}
    after, metrics = jax.eval_shape(recipe.training.step, state, {"x": X}, jax.random.key(1))
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state) and "bits_per_dim" in metrics
    nats = jit(recipe.likelihoods["bits_per_dim"].nats)
    noisy = state.params["dequantizer"]
    one, other = (join({**state.params, "dequantizer": p}, state.extra) for p in (noisy, moved(noisy)))
    found = nats(one, KEYS, X)
    assert np.isfinite(found).all() and np.abs(found - nats(other, KEYS, X)).min() > 1e-3


def test_samples_follow_temperature_and_class(jit):
    """At temperature 0 all images of a class are one; encoding and decoding are inverse to each other."""
    recipe, params = started(small("data.conditional=True"))
    cold, _ = started(small("data.conditional=True", "sampling.temperature=0.0"))
    draw = jit(cold.sample)(params, KEYS, LABELS)
    np.testing.assert_array_equal(draw[:3], draw[3:])
    assert (np.asarray(jit(recipe.sample)(params, KEYS, LABELS)).std(0) > 0).any()
    z = recipe.encode(params, KEYS, X, LABELS)
    np.testing.assert_array_equal(recipe.decode(params, z, None, LABELS), X)
    assert (z != recipe.encode(params, KEYS, X, (LABELS + 1) % 3)).any()


def test_images_with_noise_are_modelled_and_denoised(jit):
    """Breaks if noise of 0.3 in model space is another, if the bits of the integers are not those of their bins, a
    level wide, or samples keep the noise: by a flow that moves nothing they are (1 - 0.3^2) z."""
    noisy = "data.dequantize=False", "loss.noise=0.3", "data.conditional=True"
    recipe, params = started(small(*noisy))
    params = jax.tree.map(jnp.zeros_like, params)
    v = recipe.enter(KEYS, X)
    assert np.std(v - (X / 8 - 1)) == pytest.approx(0.3, rel=0.2)
    logp = (-0.5 * np.square(v) - 0.5 * math.log(2 * math.pi) + math.log(1 / 8)).sum((1, 2, 3))
    state = recipe.training.init(jax.random.key(0), {"x": X, "label": LABELS})
    state = state._replace(params=jax.tree.map(jnp.zeros_like, state.params))
    _, metrics = jit(recipe.training.step)(state, {"x": X, "label": LABELS}, jax.random.key(1))
    assert float(metrics["bits_per_dim_noised"]) == pytest.approx(-logp.mean() / 16 / math.log(2), rel=0.05)

    u = (np.asarray(dequantize(fold(KEYS, NOISE), jnp.asarray(X)), np.float64) - 8.5) / 8
    inside = (-0.5 * u**2 - 0.5 * math.log(2 * math.pi) + math.log(1 / 8)).sum((1, 2, 3))
    likelihood = recipe.likelihoods["bits_per_dim"]
    np.testing.assert_allclose(likelihood.nats(params, KEYS, X, LABELS), inside, rtol=1e-4)
    assert "noise of standard deviation 0.3" in likelihood.definition

    z = 0.5 * jax.random.normal(jax.random.key(2), (6, 16))
    raw = build(small(*noisy, "sampling.denoise=False"), SPEC, None)
    for one, factor in ((recipe, 0.91), (raw, 1.0)):
        want = np.clip(np.round(8 + 8 * factor * np.asarray(z)), 0, 16).reshape(X.shape)
        np.testing.assert_array_equal(one.decode(params, z, KEYS, LABELS), want)


def test_a_guided_flow_is_a_flow(jit):
    """Breaks if images do not come back from their latent variables under guidance, if it changes nothing, or if
    classes that are always dropped are told in training."""
    model = call("tarflow", patch=2, flows=2, depth=1, width=8, heads=2)
    told = "data.conditional=True", "loss.drop_condition=1.0"
    recipe, batch = build(small(*told, "sampling.guidance=3.0", model=model), SPEC, None), {"x": X, "label": LABELS}
    state = recipe.training.init(jax.random.key(0), batch)
    state = state._replace(params=moved(state.params))
    z = jit(recipe.encode)(state.params, KEYS, X, LABELS)
    np.testing.assert_array_equal(jit(recipe.decode)(state.params, z, None, LABELS), X)
    plain = build(small(*told, model=model), SPEC, None)
    assert (np.abs(z - jit(plain.encode)(state.params, KEYS, X, LABELS)).max(1) > 1e-3).all()
    step = jit(recipe.training.step)
    one, other = (step(state, {"x": X, "label": y}, jax.random.key(1))[1]["loss"] for y in (LABELS, LABELS[::-1]))
    assert one == other


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (lambda: small("data.dequantize=False"), "is a density, which integers have none of: set data.dequantize=True"),
        (lambda: small("model=vdvae"), "model=vdvae is no flow: take model=nice or realnvp"),
        (lambda: small("base=gumbel"), "base 'gumbel'"),
        (lambda: small("loss.noise=0.1"), "loss.noise=0.1 takes the place of dequantization in training: set data.deq"),
        (lambda: small("loss.drop_condition=0.1"), "needs a condition to drop: set data.conditional=True"),
        (lambda: small("loss.drop_condition=0.1", "data.conditional=True"), "model=nice knows no class that stands"),
        (lambda: small("sampling.guidance=2.0"), "model=nice knows no guidance: leave out sampling.guidance"),
        (lambda: small("sampling.guidance=2.0", model=call("tarflow")), "needs something to lead away from"),
        (lambda: small("sampling.attention_temperature=0.0"), "attention_temperature must be greater than 0, got 0"),
        (lambda: small("model.dropout=1.5"), r"dropout of model nice must be in \[0, 1\)"),
    ],
)
def test_what_does_not_fit_is_said(config, message):
    """A contradiction in a configuration is one sentence, not a silent choice."""
    with pytest.raises(ValueError, match=message):
        build(config(), SPEC, None)


def test_estimates_are_no_bounds(jit):
    """Breaks if an importance-weighted "bound" is told of log-determinants that are estimates, whose exponentials it
    would average; if evaluation has no keys, so that all derivatives are taken; or if it is not said."""
    spec = SPEC._replace(shape=(257,))
    recipe = build(small(model=call("residual_flow", dense_blocks=1, dense_width=2)), spec, None)
    state = recipe.training.init(jax.random.key(0), None)
    params = join(moved(state.params), state.extra)
    (name, likelihood), x = *recipe.likelihoods.items(), np.ones((6, 257), int)
    run = jit(likelihood.nats)
    nats = run(params, KEYS, x)
    assert name == "bits_per_dim" and "estimated" in likelihood.definition
    assert np.isfinite(nats).all() and np.abs(nats - run(params, KEYS[::-1], x)).min() > 1e-3
    assert set(build(small(model=call("ffjord")), spec, None).likelihoods) == {"bits_per_dim"}
    assert "bits_per_dim_importance" in build(small(model=call("ffjord")), SPEC, None).likelihoods
