"""BigGAN against the published code, its truncation, and its size."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.models.gan.biggan import BigGANGenerator, truncated
from jaxgen.models.gan.resnet import ResNetCritic, ResNetGenerator

ROWS = np.arange(256).reshape(16, 16).T.ravel()  # of the first layer: [C, H W], as published, to [H W, C]


def published(data, network):
    """(params, spectral, batch_stats) of the published network, by the names of ours."""
    trees: dict[str, dict] = {"params": {}, "spectral": {}, "batch_stats": {}}

    def put(collection, path, leaf, value):
        tree = trees[collection]
        for part in path:
            tree = tree.setdefault(part, {})
        tree[leaf] = jnp.asarray(value)

    block = "GeneratorBlock" if network == "G" else "CriticBlock"
    for key in (key for key in data if key.startswith(f"{network}/")):
        *path, leaf = key.removeprefix(f"{network}/").split(".")
        value = data[key]
        if path[0] == "blocks":
            norms = {"bn1": "ConditionalBatchNorm_0", "bn2": "ConditionalBatchNorm_1", "conv_sc": "shortcut"}
            path = [f"{block}_{path[1]}", *(norms.get(part, part) for part in path[3:])]
        elif path[0] == "output_layer":
            path = ["BatchNorm_0"] if path[1] == "0" else ["output"]
        if leaf == "weight" and path[-1] in ("shared", "embed"):
            put("params", path, "embedding", value)
        elif leaf == "weight":
            value = value[ROWS] if (network, path) == ("G", ["linear"]) else value
            put("params", path, "kernel", value.T if value.ndim == 2 else value.transpose(2, 3, 1, 0))
        elif leaf == "bias" or leaf == "gain":
            value = value[ROWS] if (network, path) == ("G", ["linear"]) else value
            put("params", path, "scale" if leaf == "gain" else "bias", value)
        elif leaf == "u0":
            put("spectral", path, "u", value[0][ROWS] if (network, path) == ("G", ["linear"]) else value[0])
        elif leaf.startswith("stored"):
            put("batch_stats", [*path, "Moments_0"], leaf.removeprefix("stored_"), value)
        else:
            assert leaf == "sv0", key
    return {name: tree for name, tree in trees.items() if tree}


def same_tree(module, variables, *arguments):
    """The published variables have the names and shapes of ours, none left over."""
    ours = jax.eval_shape(module.init, jax.random.key(0), *arguments)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(lambda leaf: leaf.shape, ours)


def test_generator_and_critic_are_the_published_ones(golden, x64, jit):
    """Breaks if pieces of z go elsewhere, a normalization, shortcut, pooling or projection differs, or evaluation makes
    another power iteration: published weights would make other images."""
    data = golden("families/gan_biggan_tiny")
    z, label = jnp.asarray(data["z"]), jnp.asarray(data["label"])
    x = data["img"].transpose(0, 2, 3, 1)
    generator = BigGANGenerator((32, 32, 3), 4, 16, (16, 16, 16, 16), 6, ())
    variables = published(data, "G")
    same_tree(generator, variables, z, label)
    np.testing.assert_allclose(jit(generator.apply)(variables, z, label), x, rtol=1e-8, atol=1e-9)
    critic = ResNetCritic(4, (16, 16, 16, 16), wide=True)
    variables = published(data, "D")
    same_tree(critic, variables, jnp.asarray(x), label)
    logits = jit(critic.apply)(variables, jnp.asarray(x), label)
    np.testing.assert_allclose(logits, data["logits"][:, 0], rtol=1e-8, atol=1e-9)


def test_truncation_draws_values_beyond_it_anew():
    """Breaks if values are clipped or scaled, which is another distribution than the truncation trick's."""
    z = jax.random.normal(jax.random.key(0), (20_000,))
    assert truncated(z, 1.0) is z
    for truncation in (0.2, 0.5, 0.99):
        t = 2 * truncation
        kept = np.asarray(z)[abs(np.asarray(z)) < t]
        made = np.sort(np.asarray(truncated(z, truncation)))
        assert abs(made).max() <= t + 1e-5
        quantiles = np.linspace(0, 1, 21)[1:-1]
        np.testing.assert_allclose(np.quantile(made, quantiles), np.quantile(kept, quantiles), atol=0.06)
    with pytest.raises(ValueError, match="got 1.5"):
        truncated(z, 1.5)


def count(module, *arguments):
    shapes = jax.eval_shape(module.init, jax.random.key(0), *arguments)["params"]
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


def conv(inputs, outputs, size):
    return inputs * outputs * size**2 + outputs


def generator_count(widths, first, norm, sides, attention, shared):
    """The parameters of a residual generator, layer by layer: norm(C) of a block's normalization."""
    total = shared + (first + 1) * sides**2 * widths[0] + 2 * widths[-1] + conv(widths[-1], 3, 3)
    for i, (a, b) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        total += norm(a) + norm(b) + conv(a, b, 3) + conv(b, b, 3) + conv(a, b, 1)
        if sides << i + 1 in attention:
            total += 1 + b * (b // 8 * 2 + b // 2) + b * b // 2
    return total


def critic_count(widths, downs, sides, attention, classes):
    """The parameters of a residual critic whose hidden channels are those it puts out, layer by layer."""
    total = widths[-1] + 1 + classes * widths[-1]
    for i, (a, b) in enumerate(zip((3, *widths[:-1]), widths, strict=True)):
        total += conv(a, b, 3) + conv(b, b, 3) + (conv(a, b, 1) if i < downs or a != b else 0)
        if sides >> i + 1 in attention:
            total += 1 + b * (b // 8 * 2 + b // 2) + b * b // 2
    return total


def test_sagan_is_a_residual_network_with_attention():
    """Breaks if the arguments that make SAGAN of the residual networks leave out a layer of it: the counts are sums
    over the layers of its release."""
    z, label, widths = jnp.zeros((2, 128)), jnp.zeros(2, int), (64, 128, 256, 512, 1024, 1024)
    generator = ResNetGenerator((128, 128, 3), 128, 1000, widths[::-1], spectral=True, attention=(64,))
    assert count(generator, z, label) == generator_count(widths[::-1], 128, lambda c: 2 * c * 1000, 4, (64,), 0)
    critic = ResNetCritic(1000, widths, 5, wide=True, attention=(64,))
    assert count(critic, jnp.zeros((2, 128, 128, 3)), label) == critic_count(widths, 5, 128, (64,), 1000)


def test_the_networks_have_the_size_of_biggan():
    """Breaks if a layer of the full-size networks is missing, extra, or of another width. 70 million parameters of the
    128x128 generator are the published figure; all numbers are also sums over layers, formed here."""
    z, label = jnp.zeros((2, 120)), jnp.zeros(2, int)
    big = count(BigGANGenerator((128, 128, 3), 1000), z, label)
    widths = (1536, 1536, 768, 384, 192, 96)
    assert big == generator_count(widths, 20, lambda c: 2 * c * (128 + 20), 4, (64,), 1000 * 128)
    assert round(big / 1e6) == 70
    critic = ResNetCritic(1000, widths[::-1][:5] + widths[:1], 5, wide=True, attention=(64,))
    assert count(critic, jnp.zeros((2, 128, 128, 3)), label) == critic_count(critic.widths, 5, 128, (64,), 1000)
    small = ResNetCritic(10, (256,) * 4, 2, wide=True)
    assert count(small, jnp.zeros((2, 32, 32, 3)), label) == critic_count(small.widths, 2, 32, (), 10)
    cifar = ResNetGenerator((32, 32, 3), 128, 10, spectral=True)
    assert count(cifar, jnp.zeros((2, 128)), label) == generator_count((256,) * 4, 128, lambda c: 2 * c * 10, 4, (), 0)
