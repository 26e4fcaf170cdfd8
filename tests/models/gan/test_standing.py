"""Standing statistics."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.models.gan.dcgan import DCGANGenerator
from jaxgen.models.gan.mlp import MLPGenerator
from jaxgen.models.gan.resnet import ResNetGenerator
from jaxgen.models.gan.standing import standing


def test_they_are_the_moments_of_what_the_generator_makes(jit, x64):
    """Breaks if running values leak into them, the variance between batches is left out, or other networks change: a
    sample would then be normalized by statistics of another generator."""
    net = DCGANGenerator((8, 8, 1), 4, 3, widths=(8, 8))
    variables = net.init(jax.random.key(0), jnp.zeros((2, 4)), jnp.zeros(2, int))
    stale = jax.tree.map(lambda leaf: leaf + 7, variables["batch_stats"])
    params = {"generator": {**variables, "batch_stats": stale}, "critic": {"params": {}}}
    key = jax.random.key(1)
    made = jit(standing(net, "generator", 5, 6))(params, key)
    assert made["critic"] == params["critic"]
    assert jax.tree.structure(made) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, made["generator"]["params"], variables["params"])

    kernel, bias = (np.asarray(variables["params"]["Dense_0"][name]) for name in ("kernel", "bias"))
    embedding = np.asarray(variables["params"]["Embed_0"]["embedding"])
    inputs = []
    for part in jax.random.split(key, 5):
        of_z, of_cond = jax.random.split(part)
        label = np.asarray(jax.random.randint(of_cond, (6,), 0, 3))
        inputs.append(np.concatenate([jax.random.normal(of_z, (6, 4)), embedding[label]], -1))
    h = (np.concatenate(inputs) @ kernel + bias).reshape(-1, 8)
    first = made["generator"]["batch_stats"]["UpBlock_0"]["BatchNorm_0"]["Moments_0"]
    np.testing.assert_allclose(first["mean"], h.mean(0), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(first["var"], h.var(0), rtol=1e-6)


def test_evaluation_with_them_is_training_on_all_fakes_at_once(jit):
    """Breaks if they are not what a generator of one normalization meets: images in evaluation would have another
    contrast than in training."""
    net = DCGANGenerator((4, 4, 1), 4, widths=(8,))
    variables = net.init(jax.random.key(0), jnp.zeros((2, 4)))
    key = jax.random.key(1)
    made = standing(net, "g", 1, 512)({"g": variables}, key)["g"]
    z = jax.random.normal(jax.random.split(jax.random.split(key, 1)[0])[0], (512, 4))
    trained, _ = net.apply(variables, z, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(net.apply(made, z), trained, atol=1e-5)
    assert float(jnp.abs(net.apply(variables, z) - trained).max()) > 1e-2


def test_spectral_normalization_is_not_moved_by_measuring(jit):
    """Breaks if a spectrally normalized generator, as that of BigGAN, cannot be measured in training mode, or if its
    power iterations are not those of the checkpoint afterwards: every measurement would give another generator."""
    net = ResNetGenerator((4, 4, 1), 4, 3, widths=(4, 4), spectral=True)
    params = {"g": jit(net.init)(jax.random.key(0), jnp.zeros((2, 4)), jnp.zeros(2, int))}
    made = jit(standing(net, "g", 2, 8))(params, jax.random.key(1))
    jax.tree.map(np.testing.assert_array_equal, made["g"]["spectral"], params["g"]["spectral"])
    for was, now in zip(*(jax.tree.leaves(tree["g"]["batch_stats"]) for tree in (params, made)), strict=True):
        assert was.shape == now.shape and np.all(was != now)


def test_a_generator_without_statistics_is_left_alone():
    """Breaks if a network without normalization is run for nothing or gains a collection."""
    net = MLPGenerator((8, 8, 1), 4, width=8)
    params = {"g": net.init(jax.random.key(0), jnp.zeros((2, 4)))}
    assert standing(net, "g", 3, 4)(params, jax.random.key(1)) is params
