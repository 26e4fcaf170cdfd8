"""PixelCNN++: the published numbers, its size, what its pixels see, and drawing from it one pixel at a time."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from causality import assert_causal, assert_sees_everything, influence, total_probability
from flax.traverse_util import flatten_dict, unflatten_dict
from networks import random_variables

from jaxgen.losses.likelihoods import discretized_logistic_mixture
from jaxgen.models.autoregressive.past import Past
from jaxgen.models.autoregressive.pixelcnnpp import PixelCNNpp
from jaxgen.models.layers.weight_norm import PlainConv
from jaxgen.sampling.autoregressive import Incremental, both, channels, generate, naive, pixels
from jaxgen.sampling.filters import chain, temperature, top_k, top_p

LEVELS = 4
MIXTURE = discretized_logistic_mixture(LEVELS, 2)
TINY = {"levels": LEVELS, "width": 4, "blocks": 1}


def published(g):
    """The port's parameters under our names, W for every (g, v); of its transposed convolutions, whose norms are those
    of inputs, the flipped W."""
    streams = {"u_stream": "vertical", "ul_stream": "horizontal"}
    layers = {"conv_input": "conv_in", "nin_skip": "beside", "conv_out": "conv_out"}
    single = {"u_init": "rows", "ul_init.0": "above", "ul_init.1": "before", "nin_out": "head"}
    params = {}
    for name in [key.removeprefix("param/").removesuffix(".bias") for key in g if key.endswith(".bias")]:
        v, gain, bias = (g[f"param/{name}.{part}"] for part in ("weight_v", "weight_g", "bias"))
        w = v.reshape(*v.shape, *[1] * (4 - v.ndim))
        w = w * (gain.reshape(-1, 1, 1, 1) / np.sqrt((w**2).sum((1, 2, 3), keepdims=True)))
        part, *rest = name.split(".")
        w = w.transpose(2, 3, 0, 1)[::-1, ::-1] if part.startswith("upsize") else w.transpose(2, 3, 1, 0)
        if part.endswith("_layers"):
            scale, stream, block, layer, _ = rest
            way = f"down_{scale}" if part == "up_layers" else f"up_{2 - int(scale)}"
            path = (streams[stream], f"{way}_{block}", layers[layer], "conv")
        elif part.startswith(("upsize", "downsize")):
            kind, stream = part.split("_", 1)
            index = f"halve_{rest[0]}" if kind == "downsize" else f"double_{1 - int(rest[0])}"
            path = (streams[stream], index, "conv")
        else:
            layer = single[".".join([part, *rest[:-1]])]
            path = (layer,) if layer == "head" else (layer, "shifted", "conv")
        params[*path, "kernel"], params[*path, "bias"] = w, bias
    return params


def test_published_parameters_of_the_pixels(golden, jit, x64, monkeypatch):
    """If it fails, a stream, a shift, a skip connection or a change of resolution is not that of the published code."""
    g = golden("families/ar_pixelcnnpp_tiny")
    net = PixelCNNpp((8, 8, 3), 256, 20, width=4, blocks=1, conv=PlainConv)
    params = published(g)
    shapes = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3), jnp.int32))["params"]
    assert {k: v.shape for k, v in flatten_dict(shapes).items()} == {k: v.shape for k, v in params.items()}

    def intensities(past, x):  # which in the golden file are no levels
        return jnp.concatenate([x, jnp.ones_like(x[..., :1])], axis=-1)

    monkeypatch.setattr(Past, "encode", intensities)
    apply = jit(partial(net.apply, {"params": unflatten_dict(params)}))
    for x, y in (("x", "y"), ("x_perturbed", "y_perturbed")):
        np.testing.assert_allclose(
            apply(jnp.asarray(g[x].transpose(0, 2, 3, 1))), g[y].transpose(0, 2, 3, 1), rtol=1e-9, atol=1e-9
        )


def test_cifar10_has_54_million_parameters():
    """If it fails, the defaults are not the published CIFAR-10 model of 53.66 M parameters."""
    shapes = jax.eval_shape(PixelCNNpp().init, jax.random.key(0), jnp.zeros((1, 32, 32, 3), jnp.int32))
    assert round(sum(leaf.size for leaf in jax.tree.leaves(shapes)) / 1e6, 2) == 53.66


def moved(net):
    """Variables with which everything has an effect that float32 shows."""
    return jax.tree.map(lambda leaf: 4 * leaf, random_variables(net, jnp.zeros((1, *net.shape), jnp.int32)))


def test_a_pixel_sees_what_comes_before_it_and_all_of_it(jit):
    """A leak makes every likelihood worthless; a blind spot makes it needlessly bad."""
    net = PixelCNNpp((8, 4, 1), out_channels=MIXTURE.outputs(1), **TINY)
    sees = influence(partial(jit(net.apply), moved(net)), net.shape, net.positions, LEVELS)
    assert_causal(sees)
    assert_sees_everything(sees)


@pytest.fixture(scope="module")
def tiny():
    net = PixelCNNpp((8, 4, 1), out_channels=MIXTURE.outputs(1), num_classes=3, dropout=0.5, **TINY)
    return net, moved(net)


def test_probabilities_of_all_images_sum_to_one(jit):
    """If it fails, some pixel of a color image sees itself, a channel of itself, or a pixel that comes later."""
    net = PixelCNNpp((2, 2, 3), 2, (mixture := discretized_logistic_mixture(2, 2)).outputs(3), 0, 4, 1, 2)
    variables = random_variables(net, jnp.zeros((1, 2, 2, 3), jnp.int32))
    log_prob = jit(lambda x: mixture.log_prob(net.apply(variables, x), 2.0 * x - 1))
    assert abs(total_probability(log_prob, (2, 2, 3), 2) - 1) < 1e-5


def test_drawn_pixel_by_pixel_it_is_the_same_image(tiny, jit):
    """If it fails, what is kept of earlier rows, pixels and resolutions is not what the whole image gives."""
    net, variables = tiny
    cond, keys = jnp.asarray([0, 3, 2]), jax.random.split(jax.random.key(1), 3)
    draw = pixels(MIXTURE.sample, LEVELS)
    start, step = (partial(net.apply, variables, method=method) for method in ("start", "step"))
    cached = jit(lambda: generate(start, step, draw, net.shape, net.positions, keys, cond))()
    whole = naive(lambda x, cond: net.apply(variables, x, cond), net.positions)
    np.testing.assert_array_equal(cached, jit(lambda: generate(*whole, draw, net.shape, net.positions, keys, cond))())
    assert len(np.unique(cached)) == LEVELS


def test_drawn_pixel_by_pixel_in_colour_with_filters_and_guidance_it_is_the_same_image(jit):
    """If it fails, the table of a channel is that of other parameters where they come pixel by pixel."""
    net = PixelCNNpp((4, 2, 3), out_channels=MIXTURE.outputs(3), num_classes=2, scales=2, **TINY)
    variables, cond, keys = moved(net), jnp.asarray([0, 1, 0]), jax.random.split(jax.random.key(1), 3)
    draw = channels(MIXTURE.logits, 3, LEVELS, chain(temperature(0.9), top_k(3), top_p(0.95)), 1.5)

    def drawn(incremental):
        return jit(lambda: generate(*both(*incremental, 2), draw, net.shape, net.positions, keys, cond))()

    cached = drawn(Incremental(*(partial(net.apply, variables, method=method) for method in ("start", "step"))))
    np.testing.assert_array_equal(cached, drawn(naive(partial(net.apply, variables), net.positions)))
    assert len(np.unique(cached)) == LEVELS


def test_dropout_needs_keys_and_classes_matter(tiny, jit):
    """If it fails, a likelihood is measured with dropout, training has none, or the class is not told."""
    net, variables = tiny
    apply = jit(net.apply)
    x = jax.random.randint(jax.random.key(0), (8, 8, 4, 1), 0, LEVELS)
    null, told = jnp.full(8, 3), jnp.arange(8) % 3
    y, dropped = apply(variables, x, null), apply(variables, x, null, jax.random.split(jax.random.key(1), 8))
    assert not np.allclose(y, dropped, atol=1e-3) and not np.allclose(y, apply(variables, x, told), atol=1e-3)


def test_sides_that_cannot_be_halved():
    """If it fails, an odd size ends in an error about shapes inside the network."""
    net = PixelCNNpp((6, 6, 1), out_channels=6, **TINY)
    with pytest.raises(ValueError, match="divisible by 4 for 3 levels"):
        net.init(jax.random.key(0), jnp.zeros((1, 6, 6, 1), jnp.int32))
