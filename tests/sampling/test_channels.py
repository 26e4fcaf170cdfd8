"""The channels of a pixel, drawn in turn of a mixture of logistics: as often as its filtered, guided table says."""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.losses.likelihoods import discretized_logistic_mixture
from jaxgen.sampling.autoregressive import channels
from jaxgen.sampling.filters import chain, temperature, top_k, top_p

LEVELS, DRAWS = 4, 20_000
MIXTURE = discretized_logistic_mixture(LEVELS, 2)
PIXELS = np.array(list(product(range(LEVELS), repeat=3)))
STRONG, WEAK = np.random.default_rng(0).normal(size=(2, MIXTURE.outputs(3))).astype(np.float32)
KEYS = jax.random.split(jax.random.key(0), DRAWS)


def joint(parameters):
    """P of all pixels, [levels, levels, levels], by the likelihood."""
    x = jnp.asarray(2 * PIXELS / (LEVELS - 1) - 1, jnp.float32)[:, None, None]
    logp = MIXTURE.log_prob(jnp.broadcast_to(parameters, (len(x), 1, 1, len(parameters))), x)
    return np.exp(np.asarray(logp, np.float64)).reshape(LEVELS, LEVELS, LEVELS)


def in_turn(change, *joints):
    """The P of all pixels where a channel has change(its P given those before it, by each of the joints)."""
    share = np.ones((LEVELS,) * 3)
    for c, at in product(range(3), np.ndindex(LEVELS, LEVELS, LEVELS)):
        tables = [p[at[:c]].reshape(LEVELS, -1).sum(-1) for p in joints]
        share[at] *= change(*(table / table.sum() for table in tables))[at[c]]
    return share


def tempered(p, t):
    return p ** (1 / t) / (p ** (1 / t)).sum()


def likeliest(p, k):
    return np.where(p >= np.sort(p)[-k], p, 0) / np.sort(p)[-k:].sum()


def nucleus(p, share):
    """The first in order of size that together have more than `share`."""
    return likeliest(p, int((np.cumsum(np.sort(p)[::-1]) <= share).sum()) + 1)


def drawn(*parameters, keep=lambda logits: logits, weight=None, n=DRAWS):
    told = jnp.concatenate([jnp.broadcast_to(p, (n, len(p))) for p in parameters])
    return np.asarray(jax.jit(channels(MIXTURE.logits, 3, LEVELS, keep, weight))(KEYS[:n], told))


def assert_follows(draws, share):
    """Every pixel within five standard deviations of its share, and those of no share never."""
    count = np.zeros(share.shape)
    np.add.at(count, tuple(draws.T), 1)
    assert abs(share.sum() - 1) < 1e-4
    assert (count[share == 0] == 0).all() and (share > 0).sum() > 1
    assert (np.abs(count - len(draws) * share) < 5 * np.sqrt(len(draws) * share) + 1).all()


def test_without_any_change_it_is_the_likelihood():
    """If it fails, temperature=1 draws something else than the plain draw, whose distribution this is."""
    assert_follows(drawn(STRONG, keep=temperature(1.0)), joint(STRONG))


@pytest.mark.parametrize(
    ("keep", "change"),
    [
        (temperature(0.5), lambda p: tempered(p, 0.5)),
        (top_k(2), lambda p: likeliest(p, 2)),
        (chain(temperature(0.5), top_p(0.6)), lambda p: nucleus(tempered(p, 0.5), 0.6)),
    ],
    ids=["temperature", "top_k", "temperature_then_top_p"],
)
def test_filters_are_of_the_probabilities_of_a_channel_given_those_before_it(keep, change):
    """If it fails, filters see the weights of components, a channel without regard to those before it, or come in
    another order."""
    assert_follows(drawn(STRONG, keep=keep), in_turn(change, joint(STRONG)))


def test_guidance_mixes_the_log_probabilities_before_they_are_filtered():
    """If it fails, guidance mixes parameters of mixtures, the second model does not see the drawn channels, or filters
    come before it."""

    def change(strong, weak):
        mixed = strong**2 / weak
        return likeliest(tempered(mixed / mixed.sum(), 0.8), 3)

    draws = drawn(STRONG, WEAK, keep=chain(temperature(0.8), top_k(3)), weight=2.0)
    assert_follows(draws, in_turn(change, joint(STRONG), joint(WEAK)))


@pytest.mark.parametrize(("weight", "one"), [(1.0, STRONG), (0.0, WEAK)], ids=["model", "null"])
def test_guidance_at_its_ends_is_one_of_the_models(weight, one):
    """If it fails, guidance counts from another end, or a model is weighed by the channels of the other."""
    same = partial(drawn, keep=top_p(0.9), n=500)
    np.testing.assert_array_equal(same(STRONG, WEAK, weight=weight), same(one))


def test_the_likeliest_level_is_drawn_whatever_the_key():
    """If it fails, top_k=1 is not the mode of each channel given those before it."""
    p, mode = joint(STRONG), ()
    for _ in range(3):
        mode += (int(p[mode].reshape(LEVELS, -1).sum(-1).argmax()),)
    np.testing.assert_array_equal(drawn(STRONG, keep=top_k(1), n=50), np.tile(mode, (50, 1)))
