"""The classifier of noisy images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import random_variables, shapes

from jaxgen.models import WideResNet

X, T = jax.random.normal(jax.random.key(0), (4, 8, 8, 1)), jnp.array([0.01, 0.1, 1.0, 50.0])


@pytest.fixture(scope="module")
def case(jit):
    net = WideResNet(num_classes=3, depth=16, widen=1, dropout=0.5)
    variables = random_variables(net, X, T)
    return net, variables, jit(net.apply)


def test_noise_level_image_and_dropout_move_the_logits(case):
    """A classifier deaf to the noise level is overconfident at the large ones, where guidance matters."""
    _, variables, apply = case
    keys = jax.random.split(jax.random.key(1), 4)
    logits = apply(variables, X, T, None, keys)
    for other in ((X, 2 * T, None, keys), (X[::-1], T, None, keys), (X, T, None, keys[::-1]), (X, T)):
        assert jnp.abs(apply(variables, *other) - logits).max(1).min() > 1e-4


def test_an_example_does_not_depend_on_its_batch(case):
    """With dropout on, any split of the batch must give the same numbers."""
    _, variables, apply = case
    keys = jax.random.split(jax.random.key(1), 4)
    logits = apply(variables, X, T, None, keys)
    parts = [apply(variables, X[i : i + 2], T[i : i + 2], None, keys[i : i + 2]) for i in (0, 2)]
    np.testing.assert_allclose(logits, jnp.concatenate(parts), atol=1e-5 * jnp.abs(logits).max())


def test_brightness_and_contrast_do_not_matter(case):
    """Every image is standardized: variance exploding inputs of any size look alike to the network."""
    _, variables, apply = case
    logits = apply(variables, X, T)
    np.testing.assert_allclose(apply(variables, 50 * X + 3, T), logits, rtol=1e-3, atol=1e-3 * jnp.abs(logits).max())


def test_it_learns_and_a_constant_image_has_a_finite_gradient(case, jit):
    """One gradient step must lower the loss; a grey image, of zero variance, must not end training."""
    net, _, _ = case
    net = net.clone(dropout=0.0)
    variables = jit(net.init)(jax.random.key(0), X, T)
    x = X.at[0].set(0.5)

    def loss(variables, x):
        return -jnp.mean(jax.nn.log_softmax(net.apply(variables, x, T))[jnp.arange(4), jnp.array([0, 1, 2, 0])])

    step = jit(jax.value_and_grad(loss, (0, 1)))
    before, (grads, grad_x) = step(variables, x)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((grads, grad_x)))
    assert not grads["params"]["GaussianFourierProjection_0"]["W"].any()
    moved = jax.tree.map(lambda w, g: w - 0.01 * g, variables, grads)
    assert step(moved, x)[0] < 0.9 * before


def test_parameters_have_the_published_names():
    """The published classifier is loaded by name."""
    tree = shapes(WideResNet(), jnp.zeros((1, 32, 32, 3)), jnp.ones(1))
    group = "WideResnetGroup_2", "WideResnetBlock_0"
    assert tree[("init_conv", "kernel")] == (3, 3, 3, 16)
    assert tree[("pre-pool-bn", "scale")] == (640,)
    assert tree[("GaussianFourierProjection_0", "W")] == (128,)
    assert tree[("Dense_2", "kernel")] == (640, 10)
    assert tree[(*group, "conv1", "kernel")] == (3, 3, 320, 640)
    assert tree[(*group, "init_bn", "scale")] == (320,)
    assert tree[(*group, "bn_2", "scale")] == tree[(*group, "Dense_0", "bias")] == (640,)


@pytest.mark.parametrize(
    "options, inputs, sentence",
    [
        ({"depth": 15}, (X, T), "depth of 6 n . 4"),
        ({}, (X[:, :6], T), "divisible by 4"),
        ({}, (X, jnp.arange(4)), "noise level .float., got int32: use loss.label=noise_level"),
        ({}, (X, T, jnp.arange(4)), "predicts the class"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(options, inputs, sentence):
    """The class as a condition would be the answer given with the question."""
    with pytest.raises(ValueError, match=sentence):
        jax.eval_shape(WideResNet(**options).init, jax.random.key(0), *inputs)
