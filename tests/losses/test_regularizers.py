"""Regularizers of GANs that are not gradient penalties: path length, LeCam, consistency and more."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.losses import lecam as lecams
from jaxgen.losses import path_length as paths
from jaxgen.losses.algebra import draw
from jaxgen.losses.consistency import consistency, fake_consistency
from jaxgen.losses.feature_matching import feature_matching, mean_feature_matching
from jaxgen.losses.lecam import lecam
from jaxgen.losses.orthogonal import orthogonal
from jaxgen.losses.path_length import path_length
from jaxgen.models.bind import features
from jaxgen.models.gan.mlp import MLPCritic

KEYS = jax.random.split(jax.random.key(0), 8)


def test_path_lengths_match_published_values(golden, x64):
    """Lengths by layers, the running mean and the penalty of StyleGAN2's own formula."""
    data = golden("families/gan_path_length")

    def synthesize(w):
        image = jnp.tanh(jnp.einsum("bld,ldo->bo", w, data["Wg"])).reshape(-1, 3, 2, 2)
        return image.transpose(0, 2, 3, 1)

    w = jnp.asarray(data["ws"])
    np.testing.assert_allclose(synthesize(w).transpose(0, 3, 1, 2), data["img"], rtol=1e-9)
    length = paths.lengths(synthesize, w, jnp.asarray(data["noise"].transpose(0, 2, 3, 1)))
    np.testing.assert_allclose(length, data["pl_lengths"], rtol=1e-9)
    value, a = paths.deviation(length, jnp.asarray(0.3), 0.01)
    np.testing.assert_allclose(a, data["pl_mean_new"], rtol=1e-9)
    np.testing.assert_allclose(value, data["penalty"], rtol=1e-9)


def test_path_length_is_lazy_half_and_keeps_its_mean():
    """A generator that multiplies each style has |J^T y| = |s y|: over many draws it must come out, every second
    example must stand for its neighbour, and the mean must move by `decay` only."""
    side, s = 4, 3.0

    def synthesize(params, w, keys):
        return (params["generator"]["params"]["s"] * w).reshape(-1, side, side, 1)

    def styles(params, batch, keys):
        assert batch["cond"].shape == keys.shape == (1000,)
        return draw(keys, 1, lambda key: jax.random.normal(key, (side**2,)))

    keys = jax.random.split(jax.random.key(2), 2000)
    params = {"generator": {"params": {"s": jnp.float32(s)}}, "path_length": paths.unmeasured()}
    loss = path_length(styles, synthesize)
    value, aux = loss(params, {"cond": jnp.zeros(2000, jnp.int32), "step": jnp.int32(0)}, keys)
    length = aux.metrics["jacobian_length"]
    np.testing.assert_allclose(jnp.mean(length**2), s**2, rtol=0.03)
    mean = aux.updates["path_length"]["state"]["mean"]
    np.testing.assert_allclose(mean, 0.01 * length.mean(), rtol=1e-5)
    np.testing.assert_allclose(value, (length - mean) ** 2, rtol=1e-5)
    np.testing.assert_array_equal(value[::2], value[1::2])
    with pytest.raises(ValueError, match="multiple"):
        loss(params, {"cond": jnp.zeros(5)}, KEYS[:5])

    def flat(s):  # a generator that ignores its style
        here = {**params, "generator": {"params": {"s": s}}}
        return loss(here, {"cond": jnp.zeros(2000, jnp.int32)}, keys)[0].mean()

    assert np.isfinite(jax.grad(flat)(0.0))


def test_the_gradient_of_path_length_goes_through_the_mean_too(x64):
    """x = s w A has the length s |A y|, so with a = d s E|A y| + (1 - d) a_0 the penalty is a square in s: a mean that
    is stopped, or that of the steps before, has another gradient. |A y| is the length that the loss tells at s = 1."""
    rng, decay, before = np.random.default_rng(0), 0.5, 0.7
    matrix = jnp.asarray(rng.normal(size=(5, 12)))

    def synthesize(params, w, keys):
        return (params["generator"]["params"]["s"] * w @ matrix).reshape(-1, 2, 2, 3)

    def styles(params, batch, keys):
        return draw(keys, 1, lambda key: jax.random.normal(key, (5,)))

    loss = path_length(styles, synthesize, decay, shrink=1)

    def value(s):
        params = {"generator": {"params": {"s": s}}, "path_length": {"params": {}, "state": {"mean": before}}}
        penalty, aux = loss(params, {"step": 0}, KEYS)
        return penalty.mean(), aux.metrics["jacobian_length"]

    unit = np.asarray(value(jnp.asarray(1.0))[1])
    s = 1.3
    apart = s * unit - (before + decay * (s * unit.mean() - before))
    gradient = 2 * np.mean(apart * (unit - decay * unit.mean()))
    np.testing.assert_allclose(value(jnp.asarray(s))[0], np.mean(apart**2), rtol=1e-12)
    np.testing.assert_allclose(jax.grad(lambda s: value(s)[0])(s), gradient, rtol=1e-10)


def test_lecam_matches_published_value_and_follows_the_logits(golden, x64):
    """The anchors start at the first logits, so a critic is not drawn to zero, and then follow slowly: as the calls
    count, not the steps, the first of which may come late."""
    data = golden("families/gan_misc_losses")
    r, f = jnp.asarray(data["d_real"]), jnp.asarray(data["d_fake"])
    np.testing.assert_allclose(
        lecams.held(r, f, data["anchor_real"], data["anchor_fake"]).mean(), data["lecam"], rtol=1e-9
    )
    loss = lecam(lambda params, x, cond, keys: (x, {}), lambda params, batch, keys: (f, {}), decay=0.9)
    state = lecams.unanchored()
    first, aux = loss({"lecam": state}, {"x": r, "step": jnp.int32(15)}, KEYS)
    anchors = aux.updates["lecam"]["state"]
    np.testing.assert_allclose([anchors["real"], anchors["fake"]], [r.mean(), f.mean()])
    np.testing.assert_allclose(first, lecams.held(r, f, r.mean(), f.mean()))
    for calls, share in ((1, 1 / 2), (4, 1 / 5), (500, 1 / 10)):
        state = {**anchors, "calls": jnp.asarray(float(calls))}
        _, later = loss({"lecam": {"params": {}, "state": state}}, {"x": r + 1, "step": jnp.int32(7)}, KEYS)
        np.testing.assert_allclose(later.updates["lecam"]["state"]["real"], r.mean() + share, rtol=1e-6)
        assert float(later.updates["lecam"]["state"]["calls"]) == calls + 1


def test_the_gradient_of_lecam_leaves_the_anchors_where_they_are(x64):
    """With D(x) = w x it is 2 E[max(0, D(x) - a_F) x] - 2 E[max(0, a_R - D(y)) y] at the anchors that have moved: if it
    went through them too, a critic could please its own history."""
    rng, w = np.random.default_rng(0), 0.8
    x, y = rng.normal(size=(2, 8))
    loss = lecam(lambda params, x, cond, keys: (params["w"] * x, {}), lambda *_: (jnp.asarray(y), {}), decay=0.9)
    state = {"real": jnp.asarray(0.4), "fake": jnp.asarray(-0.3), "calls": jnp.asarray(3.0)}

    def value(w):
        params = {"w": w, "lecam": {"params": {}, "state": state}}
        return loss(params, {"x": jnp.asarray(x)}, KEYS)[0].mean()

    real, fake = 0.75 * 0.4 + 0.25 * w * x.mean(), 0.75 * -0.3 + 0.25 * w * y.mean()
    above, below = np.maximum(0, w * x - fake), np.maximum(0, real - w * y)
    assert np.any(above > 0) and np.any(below > 0)
    np.testing.assert_allclose(jax.grad(value)(w), 2 * np.mean(above * x) - 2 * np.mean(below * y), rtol=1e-12)


@pytest.mark.parametrize("of", ["data", "fakes"])
def test_consistency_is_the_square_of_what_an_augmentation_changes(of):
    """D(x) = sum x, T adds noise of its own keys: the loss is that noise squared, and the critic's own randomness,
    which is the same for both, does not count."""
    noise = {}

    def augment(params, keys, x):
        noise[of] = draw(keys, 0, lambda key: jax.random.normal(key, x.shape[1:]))
        return x + noise[of]

    def critic(params, x, cond, keys):
        return x.sum(1) + draw(keys, 0, jax.random.normal), {}

    def fakes(params, batch, keys):
        return 5 * batch["x"], {}

    loss = consistency(critic, augment) if of == "data" else fake_consistency(critic, fakes, augment)
    value, _ = loss({}, {"x": jnp.ones((8, 3))}, KEYS)
    np.testing.assert_allclose(value, noise[of].sum(1) ** 2, rtol=1e-4)
    assert np.all(value > 0)


def test_orthogonal_counts_filters_that_resemble_each_other():
    """Its gradient is the update that BigGAN adds, 4 W (W^T W o (1 - I)), and orthogonal filters cost nothing, however
    long; biases never count."""
    rng = np.random.default_rng(0)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 2, 4)), jnp.float32)
    w = np.asarray(kernel).reshape(-1, 4)
    off = w.T @ w * (1 - np.eye(4))

    def value(kernel):
        params = {"critic": {"params": {"conv": {"kernel": kernel, "bias": jnp.ones(4)}}}}
        return orthogonal("critic")(params, {}, KEYS)[0]

    np.testing.assert_allclose(value(kernel), np.full(8, np.sum(off**2)), rtol=1e-5)
    gradient = jax.grad(lambda k: value(k).mean())(kernel).reshape(-1, 4)
    np.testing.assert_allclose(gradient, 4 * w @ off, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(value(7 * jnp.eye(4)[None]), np.zeros(8), atol=1e-5)
    with pytest.raises(ValueError, match="kernels"):
        orthogonal("lecam")({"lecam": lecams.unanchored()}, {}, KEYS)


def test_feature_matching_matches_published_value(golden, x64):
    """The mean within a layer and the sum over layers: exchanged, wide layers would drown the others."""
    data = golden("families/gan_misc_losses")

    def layers(params, x, cond, keys):
        return [jnp.asarray(data[f"f{'r' if x[0] else 'f'}{layer}"]) for layer in range(2)]

    loss = feature_matching(layers, lambda params, batch, keys: (0 * batch["x"], {}))
    np.testing.assert_allclose(loss({}, {"x": jnp.ones(2)}, KEYS[:2])[0].mean(), data["feature_matching"], rtol=1e-9)


def test_mean_feature_matching_compares_batches_only():
    """A generator that permutes the data is perfect to it, one that moves them by 1 in every feature is not."""
    x = jax.random.normal(jax.random.key(1), (8, 3))

    def value(change):
        loss = mean_feature_matching(lambda params, x, cond, keys: [x, 2 * x], lambda *_: (change(x), {}))
        return loss({}, {"x": x}, KEYS)[0]

    np.testing.assert_allclose(value(lambda x: x[::-1]), np.zeros(8), atol=1e-6)
    np.testing.assert_allclose(value(lambda x: x + 1), np.full(8, 3 + 12.0), rtol=1e-5)


@pytest.mark.parametrize("matching", [feature_matching, mean_feature_matching])
def test_the_gradient_of_feature_matching_moves_the_fakes_only(matching, x64):
    """Of fakes s y and features x A: -E[sign(x A - s y A) y A] of pairs, -2 (E x - s E y) A A^T E y of batches. A
    gradient that is stopped at the features, or taken by the data too, trains nothing or another thing."""
    rng, s = np.random.default_rng(0), 0.6
    x, y, matrix = rng.normal(size=(8, 3)), rng.normal(size=(8, 3)), rng.normal(size=(3, 4))

    def value(s):
        loss = matching(lambda params, x, cond, keys: [x @ matrix], lambda *_: (s * jnp.asarray(y), {}))
        return loss({}, {"x": jnp.asarray(x)}, KEYS)[0].mean()

    pairs = -np.mean(np.sign((x - s * y) @ matrix) * (y @ matrix))
    batches = -2 * (x.mean(0) - s * y.mean(0)) @ matrix @ matrix.T @ y.mean(0)
    np.testing.assert_allclose(jax.grad(value)(s), pairs if matching is feature_matching else batches, rtol=1e-10)


def test_features_of_a_critic_are_its_layers():
    """What feature matching sees is what the logits are made of: the last layer's features give them."""
    critic = MLPCritic(width=7, layers=3)
    x = jax.random.normal(jax.random.key(1), (5, 4, 4, 1))
    params = {"critic": critic.init(jax.random.key(2), x)}
    blocks = features(critic, "critic")(params, x)
    assert [h.shape for h in blocks] == [(5, 7)] * 3 and set(params["critic"]) == {"params"}
    last = params["critic"]["params"]["Dense_0"]
    np.testing.assert_allclose(
        blocks[-1] @ last["kernel"][:, 0] + last["bias"], critic.apply(params["critic"], x), rtol=1e-5, atol=1e-6
    )
