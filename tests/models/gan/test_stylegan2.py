"""StyleGAN2 on published weights, its parameter counts, and what training does with keys and averages."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgen.models.gan.stylegan2 import StyleGAN2Generator
from jaxgen.models.gan.stylegan2_critic import StyleGAN2Critic

TINY = dict(channel_base=128, channel_max=8, layers=2)
NAMES = ["families/gan_stylegan2_tiny_uncond", "families/gan_stylegan2_tiny_cond"]


def converted(state: dict[str, np.ndarray]) -> dict:
    """Variables of a published state dict: its names, its kernels as HWIO, those of up-sampling convolutions mirrored,
    its constant as HWC and what is flattened in that order; without the filters, which are constants here."""
    buffers, params = {}, {}
    for name, w in state.items():
        *path, last = name.split(".")
        if last == "resample_filter":
            continue
        if last == "weight" and w.ndim == 4:
            w = w.transpose(2, 3, 1, 0)
            w = w[::-1, ::-1] if path[0] == "synthesis" and path[-1] == "conv0" else w
        elif last == "weight":
            if path == ["b4", "fc"]:
                w = w.reshape(len(w), -1, 4, 4).transpose(0, 2, 3, 1).reshape(len(w), -1)
            w = w.T
        elif last == "const":
            w = w.transpose(1, 2, 0)
        if name == "mapping.w_avg":
            buffers["w_avg",] = w
        else:
            (buffers if last == "noise_const" else params)[(*path, last)] = w
    trees = {"params": params, "buffers": buffers}
    return {kind: jax.tree.map(jnp.asarray, unflatten_dict(tree)) for kind, tree in trees.items() if tree}


def part(data: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): w for name, w in data.items() if name.startswith(prefix)}


def networks(data: dict[str, np.ndarray]) -> tuple[StyleGAN2Generator, StyleGAN2Critic, jax.Array | None]:
    """The generator, the critic and the classes of a golden file."""
    cond = jnp.asarray(data["c"].argmax(-1)) if "c" in data else None
    classes = data["c"].shape[1] if "c" in data else 0
    generator = StyleGAN2Generator((16, 16, 3), 8, classes, style=8, **TINY)
    return generator, StyleGAN2Critic(classes, group=2, **TINY), cond


@pytest.mark.parametrize("name", NAMES)
def test_the_parameter_tree_is_the_published_one(name, golden):
    """Breaks if a layer is missing, too many, or of another shape: weights could not be exchanged."""
    data = golden(name)
    generator, critic, cond = networks(data)
    for net, prefix, inputs in ((generator, "G/", jnp.zeros((4, 8))), (critic, "D/", jnp.zeros((4, 16, 16, 3)))):
        ours = flatten_dict(jax.eval_shape(net.init, jax.random.key(0), inputs, cond))
        published = flatten_dict(converted(part(data, prefix)))
        assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in published.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_is_the_published_one(name, golden, x64, jit):
    """Breaks if any of mapping, truncation, modulation, noise, resampling or the image pyramid differs."""
    data = golden(name)
    generator, _, cond = networks(data)
    variables, z = converted(part(data, "G/")), jnp.asarray(data["z"])

    @jit
    def images(variables, truncation):
        w = generator.apply(variables, z, cond, truncation=truncation, method="styles")
        return w, generator.apply(variables, z, cond, truncation=truncation)

    silent = jax.tree.map_with_path(lambda path, leaf: leaf * ("noise_strength" not in str(path)), variables)
    for weights, psi, w, image in (
        (variables, 1.0, "w", "img_const_noise"),
        (silent, 0.5, "w_trunc05", "img_trunc05_nonoise"),
    ):
        styles, x = images(weights, psi)
        np.testing.assert_allclose(styles, data[w], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(x, data[image].transpose(0, 2, 3, 1), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_the_critic_and_its_gradient_are_the_published_ones(name, golden, x64, jit):
    """Breaks if a block, the statistic over the minibatch or the class projection differs; R1 is that gradient."""
    data = golden(name)
    _, critic, cond = networks(data)
    variables, x = converted(part(data, "D/")), jnp.asarray(data["img_const_noise"].transpose(0, 2, 3, 1))

    def total(variables, x):
        logits = critic.apply(variables, x, cond)
        return jnp.sum(logits), logits

    (_, logits), gradient = jit(jax.value_and_grad(total, argnums=1, has_aux=True))(variables, x)
    np.testing.assert_allclose(logits, data["logits"][:, 0], rtol=1e-9)
    np.testing.assert_allclose(gradient, data["r1_grad"].transpose(0, 2, 3, 1), rtol=1e-8, atol=1e-12)


TINY_GENERATOR = StyleGAN2Generator((8, 8, 1), 4, style=4, channel_base=64, channel_max=8, layers=1)
TINY_CRITIC = StyleGAN2Critic(channel_base=128, channel_max=8)


def random_variables(net, *inputs) -> dict:
    """Variables of the right shapes, without the compilation of the initializers."""
    rng = np.random.default_rng(0)
    tree = jax.eval_shape(net.init, jax.random.key(0), *inputs)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.standard_normal(leaf.shape)), tree)


@pytest.mark.parametrize(
    ("net", "inputs", "published", "within"),
    [
        (StyleGAN2Generator((32, 32, 3), num_classes=10, layers=2), (1, 512), 20_200_000, 50_000),
        (StyleGAN2Critic(num_classes=10, architecture="orig", group=32), (1, 32, 32, 3), 23_100_000, 50_000),
        (StyleGAN2Generator((1024, 1024, 3), layers=2), (1, 512), 28_794_124, 0),
        (StyleGAN2Critic(), (1, 1024, 1024, 3), 29_012_513, 0),
    ],
    ids=["cifar10_generator", "cifar10_critic", "1024_generator", "1024_critic"],
)
def test_networks_have_the_published_number_of_parameters(net, inputs, published, within):
    """Breaks if a layer or a width of the full-size networks differs, which the tiny ones cannot show."""
    cond = jnp.zeros(1, int) if net.num_classes else None
    shapes = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros(inputs), cond)
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes["params"]))
    assert abs(count - published) <= within, count


def test_the_average_style_follows_training_only(x64):
    """Breaks if w_avg, which truncation pulls towards, stays at zero, forgets too fast, or moves in evaluation."""
    z = jax.random.normal(jax.random.key(0), (6, 4))
    variables = random_variables(TINY_GENERATOR, z)
    call = dict(method="styles", mutable=["buffers"])
    w, updated = TINY_GENERATOR.apply(variables, z, train=True, **call)
    old, new = variables["buffers"]["w_avg"], updated["buffers"]["w_avg"]
    np.testing.assert_allclose(new, 0.995 * old + 0.005 * w[:, 0].mean(0), rtol=1e-12)
    _, kept = TINY_GENERATOR.apply(variables, z, **call)
    np.testing.assert_array_equal(kept["buffers"]["w_avg"], old)


def test_styles_are_mixed_from_keys_in_training(x64, jit):
    """Breaks if mixing happens at sampling, touches the first layer, at another rate than it should, or at layers that
    are not equally likely: with L = 4 layers each of 1, 2, 3 takes a third of the mixed examples."""
    count, net = 3000, TINY_GENERATOR.clone(mixing=0.6)
    z = jax.random.normal(jax.random.key(0), (count, 4))
    variables, keys = random_variables(net, z[:1]), jax.random.split(jax.random.key(1), count)

    @jit
    def styles(variables, z, keys):
        calls = (None, False), (keys, False), (None, True), (keys, True)
        return [net.apply(variables, z, None, *call, method="styles") for call in calls]

    plain, sampled, without_keys, mixed = styles(variables, z, keys)
    np.testing.assert_array_equal(sampled, plain)
    np.testing.assert_array_equal(without_keys, plain)
    kept = (mixed == plain).all(-1)
    shares = np.bincount(kept.sum(1), minlength=5) / count
    assert (np.sort(kept, axis=1)[:, ::-1] == kept).all(), "a style changes once, from one layer on"
    np.testing.assert_allclose(shares, [0, 0.2, 0.2, 0.2, 0.4], atol=0.03)


def test_noise_comes_from_each_example_s_own_key(x64, jit):
    """Breaks if an image depends on the batch around it, two layers share their noise, or noise without keys is not the
    constant one: neither a sharded batch nor a resumed run would draw the same images."""
    z, keys = jax.random.normal(jax.random.key(0), (3, 4)), jax.random.split(jax.random.key(1), 3)
    variables = random_variables(TINY_GENERATOR, z)
    images = jit(TINY_GENERATOR.apply)
    x = images(variables, z, None, keys)
    others = images(variables, z.at[::2].set(0), None, keys.at[::2].set(jax.random.key(2)))
    np.testing.assert_allclose(x[1], others[1], rtol=1e-10, atol=1e-12)
    assert np.abs(x - images(variables, z, None, keys[::-1]))[0].max() > 1e-3
    shifted = jax.tree.map_with_path(lambda path, v: v + ("noise_const" in str(path)), variables)
    np.testing.assert_array_equal(x, images(shifted, z, None, keys))
    assert np.abs(images(shifted, z) - images(variables, z)).max() > 1e-3


def test_images_are_synthesized_from_styles(x64, jit):
    """Breaks if the two halves that path length regularization differentiates between are not the whole."""
    z, keys = jax.random.normal(jax.random.key(0), (2, 4)), jax.random.split(jax.random.key(1), 2)
    variables = random_variables(TINY_GENERATOR, z)

    @jit
    def halves_and_whole(variables):
        w = TINY_GENERATOR.apply(variables, z, None, keys, True, method="styles")
        x = TINY_GENERATOR.apply(variables, w, keys, method="synthesize")
        return x, TINY_GENERATOR.apply(variables, z, None, keys, True)

    np.testing.assert_allclose(*halves_and_whole(variables), rtol=1e-10, atol=1e-12)


def test_the_architectures_of_the_critic_contain_each_other(x64, jit):
    """Breaks if the residual or the skip architecture, for which no weights were at hand, is not what its formula says.
    A residual critic without biases and skips is the plain one times sqrt(1/2) a block; one whose pyramid shows nothing
    below the first resolution is the plain one."""
    x = jax.random.normal(jax.random.key(0), (4, 16, 16, 1))

    def blocks(architecture, change):
        critic = TINY_CRITIC.clone(architecture=architecture)
        variables = jax.tree.map_with_path(change, parameters)
        logits, features = jit(lambda variables: critic.apply(variables, x, mutable=["features"]))(variables)
        return logits, features["features"]["blocks"]

    skip = random_variables(TINY_CRITIC.clone(architecture="skip"), x)
    resnet = random_variables(TINY_CRITIC.clone(architecture="resnet"), x)
    assert [size for size in ("b16", "b8", "b4") if "fromrgb" in skip["params"][size]] == ["b16", "b8", "b4"]

    def silenced(*names):
        return lambda path, leaf: 0 * leaf if any(name in jax.tree_util.keystr(path) for name in names) else leaf

    parameters = resnet
    _, plain = blocks("orig", silenced("bias"))
    _, residual = blocks("resnet", silenced("bias", "skip"))
    assert len(plain) == 2
    for i, (a, b) in enumerate(zip(plain, residual, strict=True), 1):
        np.testing.assert_allclose(a * 0.5 ** (i / 2), b, rtol=1e-10, atol=1e-12)
    parameters = skip
    dark = silenced("['b8']['fromrgb']", "['b4']['fromrgb']")
    np.testing.assert_allclose(blocks("skip", dark)[0], blocks("orig", dark)[0], rtol=1e-10)
    assert np.abs(blocks("skip", silenced())[0] - blocks("orig", silenced())[0]).max() > 1e-3


@pytest.mark.parametrize("net", [TINY_GENERATOR, TINY_CRITIC.clone(architecture="skip")], ids=["generator", "critic"])
def test_rematerialized_and_half_precision_networks_are_the_same_network(net, jit):
    """Breaks if rematerialization renames parameters or draws other noise, or if bfloat16 reaches the output, the
    styles or the image: published training keeps those in float32."""
    x = jax.random.normal(jax.random.key(0), (4, 4) if net is TINY_GENERATOR else (4, 8, 8, 1))
    keys = jax.random.split(jax.random.key(1), 4)
    variables = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), random_variables(net, x))

    @jit
    def gradients(variables):
        def loss(variables, net):
            y = net.apply(variables, x, None, keys)
            return jnp.sum(y**2), y

        return [jax.grad(loss, has_aux=True)(variables, n) for n in (net, net.clone(remat=True))]

    (plain, y), (again, _) = gradients(variables)
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(jnp.abs(a).max()))
    half = jit(net.clone(dtype=jnp.bfloat16).apply)(variables, x, None, keys)
    assert half.dtype == jnp.float32
    assert 0 < jnp.abs(y - half).max() < 0.05 * jnp.abs(y).max()


def test_r1_of_a_collapsed_generator_has_a_gradient(x64, jit):
    """Breaks if the second derivative is NaN where all images of a batch are the same."""
    x = jnp.ones((4, 8, 8, 1))
    variables = random_variables(TINY_CRITIC, x)

    def r1(variables):
        return jnp.sum(jax.grad(lambda x: jnp.sum(TINY_CRITIC.apply(variables, x)))(x) ** 2)

    gradients = jax.tree.leaves(jit(jax.grad(r1))(variables))
    assert all(jnp.isfinite(leaf).all() for leaf in gradients) and any(leaf.any() for leaf in gradients)


@pytest.mark.parametrize("shape", [(24, 24, 3), (16, 32, 3), (4, 4, 1)])
def test_images_that_are_no_such_squares_are_refused(shape):
    """Breaks if such a shape ends in an error about broadcasting, or in images of another size."""
    with pytest.raises(ValueError, match=f"squares of 8, 16, 32.*got {shape[0]} x {shape[1]}"):
        jax.eval_shape(StyleGAN2Generator(shape, 4).init, jax.random.key(0), jnp.zeros((1, 4)))
    with pytest.raises(ValueError, match=f"squares of 8, 16, 32.*got {shape[0]} x {shape[1]}"):
        jax.eval_shape(TINY_CRITIC.init, jax.random.key(0), jnp.zeros((1, *shape)))


def test_an_unknown_architecture_is_refused():
    """Breaks if a misspelt architecture silently is the plain one."""
    with pytest.raises(ValueError, match="orig, resnet, skip, got 'residual'"):
        TINY_CRITIC.clone(architecture="residual").init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
