"""A configuration of family "autoregressive" becomes the model it describes, whose samples follow its likelihood."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.configuration import call, default, override
from jaxgen.data import Spec
from jaxgen.losses.likelihoods import discretized_logistic_mixture
from jaxgen.recipe import structure
from jaxgen.recipes import build
from jaxgen.recipes.autoregressive import draw_of
from jaxgen.sampling.autoregressive import pixels

SPEC = Spec((4, 4, 1), 17, 3, ("a", "b", "c"), 100)
TINY = Spec((1, 3, 1), 3, 3, ("a", "b", "c"), 100)
X = np.random.default_rng(0).integers(0, 17, (6, 4, 4, 1))
KEYS = jax.random.split(jax.random.key(0), 6)
BITS = 16 * math.log(2)


def small(*overrides, likelihood="categorical"):
    config = default("autoregressive")
    config.model = call("made", hidden=(24,), dropout=0.5)
    config.loss.likelihood = call(likelihood)
    return override(config, overrides)


def started(config, jit, spec=SPEC):
    """The recipe and its state before training, with parameters that are not zero."""
    recipe = build(config, spec, None)
    state = jit(recipe.training.init, static_argnums=1)(jax.random.key(0), None)
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda w: 0.5 * rng.standard_normal(w.shape).astype(np.float32), state.params)
    return recipe, state._replace(params=params)


def test_a_model_that_knows_nothing_codes_every_level_alike(jit):
    """log2 17 bits a dimension, in training as in the likelihood: a lost factor or another unit is another number."""
    recipe, state = started(small("data.conditional=True"), jit)
    zeros, cond = jax.tree.map(jnp.zeros_like, state.params), jnp.arange(6) % 3
    nats = jit(recipe.likelihoods["bits_per_dim"].nats)(zeros, KEYS, X, cond)
    np.testing.assert_allclose(nats / BITS, -math.log2(17), rtol=1e-6)
    _, metrics = jit(recipe.training.step)(state._replace(params=zeros), {"x": X, "label": cond}, KEYS[0])
    np.testing.assert_allclose(metrics["bits_per_dim"], math.log2(17), rtol=1e-6)
    np.testing.assert_allclose(metrics["loss"], math.log(17), rtol=1e-6)


def test_likelihood_leaves_dropout_out(jit):
    """A likelihood under dropout is that of another, worse model, and not the same twice."""
    recipe, state = started(small(), jit)
    nats = jit(recipe.likelihoods["bits_per_dim"].nats)
    np.testing.assert_array_equal(nats(state.params, KEYS, X), nats(state.params, KEYS[::-1], X))


@pytest.mark.parametrize("likelihood", ["categorical", "discretized_logistic_mixture"])
def test_samples_follow_the_likelihood(likelihood, jit):
    """Every image as often as the likelihood says: wrong noise, a shifted position or another network than that of the
    training. A share of 8000 draws may be off by five standard deviations."""
    recipe, state = started(small("data.conditional=True", likelihood=likelihood), jit, TINY)
    params = state.params
    images = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(27, 1, 3, 1)
    told = jnp.full(27, 1)
    share = np.exp(jit(recipe.likelihoods["bits_per_dim"].nats)(params, jax.random.split(KEYS[0], 27), images, told))
    np.testing.assert_allclose(share.sum(), 1, rtol=1e-5)
    drawn = jit(recipe.sample)(params, jax.random.split(jax.random.key(2), 8000), jnp.full(8000, 1))
    assert drawn.dtype == jnp.float32
    index = np.asarray(drawn).reshape(-1, 3).astype(int) @ [9, 3, 1]
    count = np.bincount(index, minlength=27)
    assert (np.abs(count - 8000 * share) < 5 * np.sqrt(8000 * share) + 1).all()


def test_filters_and_guidance_change_what_is_drawn(jit):
    """top_k=1 draws the likeliest level whatever the key; guidance of weight 0 is the model without the class."""
    base = ("data.conditional=True", "loss.drop_condition=0.1")
    cond, params = jnp.arange(6) % 3, started(small(*base), jit)[1].params

    def drawn(*overrides, cond=cond):
        return np.asarray(jit(build(small(*base, *overrides), SPEC, None).sample)(params, KEYS, cond))

    greedy = drawn("sampling.top_k=1")
    for label in range(3):
        np.testing.assert_array_equal(greedy[label], greedy[label + 3])
    np.testing.assert_array_equal(greedy, drawn("sampling.temperature=0"))
    assert (greedy != drawn()).any()
    np.testing.assert_array_equal(drawn("sampling.guidance=0.0"), drawn(cond=jnp.full(6, 3)))


def test_a_mixture_is_drawn_directly_unless_an_option_asks_for_its_table(jit):
    """Breaks if every pixel of a plain sample costs a table of 256 levels, or draws other integers than it did."""
    mixture = discretized_logistic_mixture(256, 2)
    parameters = np.random.default_rng(0).normal(size=(6, 20)).astype(np.float32)

    def drawn(*overrides):
        return jit(draw_of(small(*overrides).sampling, mixture, 3, 256))(KEYS, parameters)

    np.testing.assert_array_equal(drawn(), jit(pixels(mixture.sample, 256))(KEYS, parameters))
    assert (drawn("sampling.top_k=256") != drawn()).any()


@pytest.mark.parametrize("name", ["pixelcnnpp", "pixelsnail"])
def test_mixtures_in_colour_have_filters_and_guidance(name, jit):
    """top_k=1 draws the likeliest level of every channel whatever the key, which temperature=0 does too; guidance of
    weight 0 with a filter that keeps all is the model without the class. Breaks if an option is refused, or is of the
    parameters of a mixture instead of its probabilities."""
    attending = {"attentions": 1, "key": 2, "value": 2}
    base = ("data.conditional=True", "loss.drop_condition=0.1")
    spec, cond = TINY._replace(shape=(1, 2, 3)), jnp.arange(6) % 3

    def config(*overrides):
        config = small(*base, *overrides, likelihood="discretized_logistic_mixture")
        config.model = call(name, width=4, blocks=1, **({"scales": 1} if name == "pixelcnnpp" else attending))
        return config

    params = started(config(), jit, spec)[1].params

    def drawn(*overrides, cond=cond):
        return np.asarray(jit(build(config(*overrides), spec, None).sample)(params, KEYS, cond))

    greedy = drawn("sampling.top_k=1")
    np.testing.assert_array_equal(greedy[:3], greedy[3:])
    np.testing.assert_array_equal(greedy, drawn("sampling.temperature=0"))
    assert (greedy != drawn()).any()
    null = jnp.full(6, 3)
    np.testing.assert_array_equal(
        drawn("sampling.guidance=0.0", "sampling.top_p=0.9"), drawn("sampling.top_p=0.9", cond=null)
    )


@pytest.mark.parametrize("name", ["pixelcnnpp", "pixelsnail"])
def test_channels_that_do_not_know_of_each_other_are_refused(name):
    """Breaks if a network of whole pixels draws red without regard to green, and calls it a model of images."""
    config = override(small(), [f"model={name}", "model.width=4"])
    assert build(config, SPEC, None).sample is not None
    with pytest.raises(ValueError, match="predicts all 3 channels of a pixel at once"):
        structure(build(config, SPEC._replace(shape=(4, 4, 3)), None))


def test_filters_are_told():
    """Breaks if `jaxgen info` hides what is left out of the draws."""
    said = build(small("sampling.top_k=3", "sampling.top_p=0.9"), SPEC, None).about["sampling"]
    assert said.endswith("temperature 1, top_k 3, top_p 0.9, guidance 1")


@pytest.mark.parametrize("name", ["pixelcnn", "gated_pixelcnn", "pixelrnn"])
def test_a_network_that_rematerializes_is_sampled(name):
    """Caches that leave a rematerialized block are traced values of a trace that is over: a model trained with
    parallel.remat could not be sampled."""
    config = small("parallel.remat=True")
    config.model = call(name, width=4, head=4, first=3)
    recipe = build(config, TINY, None)
    params = structure(recipe).params
    assert jax.eval_shape(recipe.sample, params, KEYS).shape == (6, 1, 3, 1)


@pytest.mark.parametrize(
    ("overrides", "likelihood", "message"),
    [
        (("data.dequantize=True",), "categorical", "set data.dequantize=False"),
        (("model.levels=16",), "categorical", "model.levels=16 does not fit the data"),
        ((), "gaussian", "loss.likelihood=gaussian is a density"),
        (("loss.drop_condition=0.1",), "categorical", "needs a condition to drop"),
        (("sampling.guidance=2.0",), "categorical", "loss.drop_condition=0.1"),
        (("sampling.top_p=1.5",), "categorical", "top_p is a probability"),
        (("sampling.guidance=2.0",), "discretized_logistic_mixture", "loss.drop_condition=0.1"),
    ],
)
def test_what_does_not_fit_together_is_said(overrides, likelihood, message):
    """Continuous data under a discrete model, or an option without effect, would be trained or drawn in silence."""
    with pytest.raises(ValueError, match=message):
        build(small(*overrides, likelihood=likelihood), SPEC, None)
