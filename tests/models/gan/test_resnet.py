"""The residual networks: projection, size, shortcuts, and what they refuse."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.models.gan.dcgan import DCGANCritic, DCGANGenerator
from jaxgen.models.gan.mlp import MLPCritic, MLPGenerator
from jaxgen.models.gan.resnet import ResNetCritic, ResNetGenerator, glorot

GENERATORS = {
    "mlp": MLPGenerator((8, 8, 1), 16, 3, width=16),
    "dcgan": DCGANGenerator((8, 8, 1), 16, 3, widths=(8, 8)),
    "resnet": ResNetGenerator((8, 8, 1), 16, 3, widths=(8, 8), spectral=True, attention=(8,)),
}
CRITICS = {
    "mlp": MLPCritic(3, 16),
    "concatenation": MLPCritic(3, 16, conditioning="concatenation"),
    "dcgan": DCGANCritic(3, (8, 8)),
    "resnet": ResNetCritic(3, (8, 8, 8), 1, attention=(4,)),
}
Z = jax.random.normal(jax.random.key(0), (4, 16))
X = jax.random.normal(jax.random.key(1), (4, 8, 8, 1))
LABEL = jnp.array([0, 1, 2, 0])


def test_the_projection_is_that_of_miyato_and_koyama(golden, x64, jit):
    """D = w . phi + e_y . phi: breaks if the class is added elsewhere or the sum is over something else."""
    data = golden("families/gan_misc_losses")
    critic = ResNetCritic(3, (6,), 0, spectral=False)
    x = jnp.asarray(np.abs(data["phi"]))[:, None, None, :]
    variables = jit(critic.init)(jax.random.key(0), x, jnp.asarray(data["label"]))
    blank = jax.tree.map(jnp.zeros_like, variables["params"])  # the one block is then the identity
    params = {
        **blank,
        "linear": {"kernel": data["w"][:, None], "bias": jnp.zeros(1)},
        "embed": {"embedding": data["embed"]},
    }
    logits = jit(critic.apply)({"params": params}, x, jnp.asarray(data["label"]))
    want = np.abs(data["phi"]) @ data["w"] + np.sum(data["embed"][data["label"]] * np.abs(data["phi"]), -1)
    np.testing.assert_allclose(logits, want, rtol=1e-9)
    exact = data["phi"] @ data["w"] + np.sum(data["embed"][data["label"]] * data["phi"], -1)
    np.testing.assert_allclose(exact, data["projection_logit"], rtol=1e-9)


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_depends_on_latent_and_class_and_evaluates_each_example_alone(name, jit):
    """Breaks if a class or z is not looked at; if in evaluation an image depends on those beside it; or if training
    leaves its batch statistics where they were."""
    net = GENERATORS[name]
    variables = jit(net.init)(jax.random.key(2), Z, LABEL)
    moved, updates = jit(lambda v: net.apply(v, Z, LABEL, train=True, mutable=True))(variables)
    assert float(jnp.abs(moved).max()) < 1 and moved.shape == (4, 8, 8, 1) and moved.dtype == jnp.float32
    for collection in set(variables) - {"params"}:
        change = jax.tree.map(
            lambda a, b: a.size == 1 or float(abs(a - b).max()), variables[collection], updates[collection]
        )
        assert min(jax.tree.leaves(change)) > 0, collection  # a vector [1] of norm one stays
    noisy = jax.tree.map(
        lambda leaf: leaf + 0.3 * jax.random.normal(jax.random.key(3), leaf.shape), variables["params"]
    )
    apply = jit(lambda z, label: net.apply({**variables, "params": noisy}, z, label))
    x = apply(Z, LABEL)
    np.testing.assert_allclose(apply(Z[::-1], LABEL[::-1])[::-1], x, atol=1e-5)
    np.testing.assert_allclose(apply(Z.at[1:].set(0), LABEL)[0], x[0], atol=1e-5)
    assert float(jnp.abs(apply(Z.at[0].set(0), LABEL)[0] - x[0]).max()) > 1e-2
    assert float(jnp.abs(apply(Z, LABEL.at[0].set(1))[0] - x[0]).max()) > 1e-3


@pytest.mark.parametrize("name", CRITICS)
def test_a_critic_depends_on_image_and_class_and_shows_its_blocks(name, jit):
    """Breaks if the class is not looked at, or if feature matching gets no features or a variable of their name."""
    net = CRITICS[name]
    variables = jit(net.init)(jax.random.key(2), X, LABEL)
    assert "features" not in variables
    noisy = {**variables, "params": jax.tree.map(lambda leaf: leaf + 0.1, variables["params"])}
    noisy["params"] |= jit(net.init)(jax.random.key(4), X, LABEL)["params"]
    apply = jit(partial(net.apply, mutable=["features"]))
    logits, shown = apply(noisy, X, LABEL)
    assert logits.shape == (4,) and logits.dtype == jnp.float32
    blocks = shown["features"]["blocks"]
    assert len(blocks) == (3 if name == "resnet" else 2) and all(h.shape[0] == 4 for h in blocks)
    other, _ = apply(noisy, X, LABEL.at[0].set(1))
    assert abs(float(other[0] - logits[0])) > 1e-4
    np.testing.assert_allclose(other[1:], logits[1:], atol=1e-6)


@pytest.mark.parametrize("net", [*GENERATORS.values(), *CRITICS.values()])
def test_bad_input_is_one_sentence(net):
    """Breaks if a network without its class trains as if all examples had one, or fails without saying what to do."""
    first = Z if hasattr(net, "latent") else X
    for cond, sentence in ((None, "given no class"), (jnp.eye(3)[LABEL], "not its one-hot code")):
        with pytest.raises(ValueError, match=sentence):
            net.init(jax.random.key(0), first, cond)
    with pytest.raises(ValueError, match="without classes"):
        net.clone(num_classes=0).init(jax.random.key(0), first, LABEL)


def test_sides_that_do_not_split_and_unknown_options_are_refused():
    """Otherwise a reshape fails without naming the layer or the remedy."""
    with pytest.raises(ValueError, match="divisible by 4 for 2 doublings, got 6x8"):
        DCGANGenerator((6, 8, 1), widths=(4, 4)).init(jax.random.key(0), jnp.zeros((1, 100)))
    with pytest.raises(ValueError, match="divisible by 4"):
        ResNetCritic().init(jax.random.key(0), jnp.zeros((1, 6, 6, 3)))
    with pytest.raises(ValueError, match="got 'max'"):
        ResNetCritic(pool="max").init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    with pytest.raises(ValueError, match="got 'sum'"):
        MLPCritic(conditioning="sum").init(jax.random.key(0), X)


def count(net, *arguments):
    shapes = jax.eval_shape(net.init, jax.random.key(0), *arguments)["params"]
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


def test_the_full_sizes_are_sums_over_layers():
    """Breaks if a layer of the published layouts (families.md: widths, kernel sizes, shortcuts) is missing or extra."""

    def conv(a, b, k):
        return a * b * k**2 + b

    x, z = jnp.zeros((2, 32, 32, 3)), jnp.zeros((2, 128))
    block = 2 * conv(256, 256, 3) + conv(256, 256, 1) + 4 * 256
    assert count(ResNetGenerator((32, 32, 3)), z) == 129 * 4096 + 3 * block + 2 * 256 + conv(256, 3, 3)
    first = conv(3, 128, 3) + conv(128, 128, 3) + conv(3, 128, 1)
    later = 3 * 2 * conv(128, 128, 3) + conv(128, 128, 1)
    critic = first + later + 129
    assert count(ResNetCritic(), x) == critic
    assert count(ResNetCritic(10), x, jnp.zeros(2, int)) == critic + 10 * 128
    up = [2 * c + 16 * c * n + n for c, n in ((512, 256), (256, 128), (128, 3))]
    assert count(DCGANGenerator((32, 32, 3)), jnp.zeros((2, 100))) == 101 * 4 * 4 * 512 + sum(up)
    down = [16 * c * n + (n if c == 3 else 2 * n) for c, n in ((3, 128), (128, 256), (256, 512))]
    assert count(DCGANCritic(), x) == sum(down) + 4 * 4 * 512 + 1


def test_glorot_is_uniform_with_its_gain():
    """Breaks if the residual branches start at another scale than SNGAN's (gain sqrt 2)."""
    w = glorot(2**0.5)(jax.random.key(0), (3, 3, 32, 64))
    bound = (2 * 6 / (9 * 96)) ** 0.5
    assert 0.99 * bound < float(jnp.abs(w).max()) <= bound
    np.testing.assert_allclose(jnp.var(w), bound**2 / 3, rtol=0.02)


def value_and_updates(net, first):
    """variables -> (a scalar of the output in training, what moves), and its gradient by the parameters."""
    collections = ["batch_stats", "spectral"]

    def scalar(params, others):
        out, moved = net.apply({**others, "params": params}, first, LABEL, train=True, mutable=collections)
        return jnp.sum(jnp.sin(out.astype(jnp.float32))), moved

    return jax.value_and_grad(scalar, has_aux=True)


@pytest.mark.parametrize("net, first", [(GENERATORS["resnet"], Z), (CRITICS["dcgan"], X), (GENERATORS["mlp"], Z)])
def test_rematerialized_blocks_are_the_same_network(net, first, jit, x64):
    """Breaks if a block computed again for its gradient moves its statistics or power iterations twice, or is named
    otherwise: the same checkpoint would train on differently."""
    variables = jax.tree.map(lambda leaf: leaf.astype(float), jit(net.init)(jax.random.key(0), first, LABEL))
    others = {name: tree for name, tree in variables.items() if name != "params"}
    again = net.clone(remat=True)
    assert jax.tree.structure(jax.eval_shape(again.init, jax.random.key(0), first, LABEL)) == jax.tree.structure(
        variables
    )
    plain, remat = (jit(value_and_updates(n, first))(variables["params"], others) for n in (net, again))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12), plain, remat)


@pytest.mark.parametrize("name", ["mlp", "dcgan", "resnet"])
def test_bfloat16_is_for_products_only(name):
    """Breaks if a convolution is left in float32, or parameters, statistics or logits are kept in 8 bits."""
    for net, first in ((GENERATORS[name], Z), (CRITICS[name], X)):
        net = net.clone(dtype=jnp.bfloat16)
        variables = jax.eval_shape(net.init, jax.random.key(0), first, LABEL)
        run = partial(net.apply, train=True, mutable=["batch_stats", "spectral"])
        made = jax.make_jaxpr(run)(variables, first, LABEL)
        assert {str(leaf.dtype) for leaf in jax.tree.leaves(variables)} == {"float32"}
        assert {str(out.dtype) for out in made.out_avals} == {"float32"}
        dtypes = {str(v.aval.dtype) for e in made.jaxpr.eqns if "conv_general" in str(e.primitive) for v in e.invars}
        assert dtypes == ({"bfloat16"} if name != "mlp" else set())
