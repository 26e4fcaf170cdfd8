"""What a configuration of a GAN adds to its losses, when, and through which eyes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.augment import Augmentation
from jaxgen.configuration import call, default
from jaxgen.data import Spec
from jaxgen.losses.adversarial import fake_keys, generate, real_keys
from jaxgen.models.bind import features, stateful
from jaxgen.models.gan.mlp import MLPCritic, MLPGenerator
from jaxgen.recipes import Statistics, build, names
from jaxgen.train.player import Periodic

SPEC = Spec((8, 8, 1), 17, 10, tuple("0123456789"), 64)
STATISTICS = Statistics(np.zeros((8, 8, 1), np.float32), 0.5)
SIZES = {"width": 8, "layers": 1}
BATCH = {"x": jax.random.randint(jax.random.key(3), (8, 8, 8, 1), 0, 17)}


def configured(**losses):
    config = default("gan")
    config.generator.network, config.critic.network = (
        call("mlp_generator", latent=4, **SIZES),
        call("mlp_critic", **SIZES),
    )
    with config.unlocked():
        config.loss.update(losses)
    return config


def test_only_penalties_on_gradients_are_lazy():
    """Breaks if a regularizer that has nothing to do with gradients is taken at every fourth step, four times as
    strong, because the critic's R1 is: LeCam's anchors would be those of every fourth batch."""
    config = configured(r1=1.0, gradient_penalty=1.0, lecam=0.1, consistency=1.0, feature_matching=1.0, orthogonal=1e-4)
    config.augment = call("differentiable", operations=("brightness",))
    config.critic.lazy, config.generator.lazy = 4, 1
    training = build(config, SPEC, STATISTICS).training
    state = jax.eval_shape(training.init, jax.random.key(0), BATCH)
    _, metrics = jax.eval_shape(training.step, state, BATCH, jax.random.key(1))
    terms = {"r1", "gradient_penalty", "lecam", "consistency", "feature_matching", "orthogonal"}
    assert terms <= set(metrics)
    rare = {name: metrics[name].every for name in terms if isinstance(metrics[name], Periodic)}
    assert rare == {"r1": 4, "gradient_penalty": 4}


@pytest.mark.parametrize("augment", ["none", "mirrored"])
def test_feature_matching_compares_means_of_what_the_critic_sees(augment, monkeypatch, jit):
    """Breaks if fakes, which pair with no example, are drawn to single ones, or if the generator matches images that
    its critic is never shown: with an augmentation that mirrors what it sees, the features are those of mirror
    images."""
    monkeypatch.setitem(names.AUGMENTATIONS, "mirrored", lambda: Augmentation(lambda params, keys, x: -x))
    config = configured(feature_matching=1.0)
    config.augment = call(augment)
    training = build(config, SPEC, STATISTICS).training
    before = jit(training.init)(jax.random.key(0), BATCH)
    after, metrics = jit(training.step)(before, BATCH, jax.random.key(1))
    params = {"critic": after.params["critic"], "generator": before.params["generator"]}  # the critic moves first
    keys = jax.random.split(jax.random.fold_in(jax.random.fold_in(jax.random.key(1), 0), 1), 8)
    x = BATCH["x"] / 8.0 - 1
    fakes, _ = generate(stateful(MLPGenerator((8, 8, 1), 4, **SIZES), "generator"), 4)(params, {"x": x}, keys)
    sign = -1.0 if augment == "mirrored" else 1.0
    inside = features(MLPCritic(**SIZES), "critic")
    of_real, of_fake = (inside(params, sign * y, None, seen(keys)) for y, seen in ((x, real_keys), (fakes, fake_keys)))
    apart = [jnp.sum(jnp.square(jnp.mean(a - b, 0))) for a, b in zip(of_real, of_fake, strict=True)]
    np.testing.assert_allclose(metrics["feature_matching"], sum(apart), rtol=1e-4)


@pytest.mark.parametrize(
    ("objective", "fits"),
    [
        ("non_saturating", True),
        ("hinge", True),
        ("relativistic", False),
        ("wasserstein", False),
        ("least_squares", False),
    ],
)
def test_augmentation_follows_signs_that_mean_something_only(objective, fits):
    """Breaks if p is driven by the sign of logits that have no zero: it would stay at 0 or go to 1 by chance."""
    config = configured(objective=call(objective))
    config.augment = call("ada")
    if fits:
        assert build(config, SPEC, STATISTICS)
    else:
        with pytest.raises(ValueError, match=f"loss.objective={objective}: take a schedule"):
            build(config, SPEC, STATISTICS)
    config.augment = call("ada", probability=call("constant", value=0.3))
    assert build(config, SPEC, STATISTICS)
