"""MADE, PixelCNN, Gated PixelCNN and PixelRNN: distributions over images, of which nothing sees what it predicts."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from causality import assert_causal, assert_sees_everything, influence, total_probability
from networks import random_variables

from jaxgen.losses.autoregressive import log_prob
from jaxgen.losses.likelihoods import categorical, discretized_logistic, discretized_logistic_mixture
from jaxgen.models.autoregressive.gated_pixelcnn import GatedPixelCNN
from jaxgen.models.autoregressive.made import MADE
from jaxgen.models.autoregressive.pixelcnn import PixelCNN
from jaxgen.models.autoregressive.pixelrnn import PixelRNN
from jaxgen.sampling.autoregressive import categorical as levels_of
from jaxgen.sampling.autoregressive import generate, naive, pixels

NETWORKS = {
    "made": partial(MADE, hidden=(40, 40)),
    "pixelcnn": partial(PixelCNN, width=12, blocks=2, first=3, head=24, one_hot=True, located=True),
    "gated_pixelcnn": partial(GatedPixelCNN, width=12, layers=2, size=3, first=5, head=24, located=True),
    "row_lstm": partial(PixelRNN, kind="row", width=12, blocks=1, first=3, head=24),
    "diagonal_bilstm": partial(PixelRNN, kind="diagonal", width=12, blocks=2, first=7, head=24, one_hot=True),
}
COLOUR = (3, 4, 3)
LIKELIHOODS = {
    "categorical": (categorical, levels_of(4)),
    "mixture": (lambda levels: discretized_logistic_mixture(levels, 2), None),
}


def made(name, shape, levels, likelihood=categorical, num_classes=0):
    """A network, random variables of it and what it is told of classes."""
    told = {"out_channels": likelihood(levels).outputs(shape[-1]), "separate": likelihood(levels).separate}
    net = NETWORKS[name](shape=shape, levels=levels, num_classes=num_classes, **told)
    cond = jnp.zeros((1,), jnp.int32) if num_classes else None
    return net, random_variables(net, jnp.zeros((1, *shape), jnp.int32), cond)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("name", NETWORKS)
def test_no_output_sees_its_own_position_or_a_later_one(name, likelihood, jit):
    """A leak is a likelihood that no sample follows. The Gated PixelCNN and the Diagonal BiLSTM have no blind spot: one
    of theirs is that of PixelCNN again."""
    net, variables = made(name, COLOUR, 4, LIKELIHOODS[likelihood][0], num_classes=2)
    assert net.positions == (36 if likelihood == "categorical" else 12)
    told = jit(lambda x: net.apply(variables, x, jnp.ones(len(x), jnp.int32)))
    sees = influence(told, COLOUR, net.positions, 4)
    assert_causal(sees)
    if name in ("gated_pixelcnn", "diagonal_bilstm"):
        assert_sees_everything(sees)


@pytest.mark.parametrize("name", NETWORKS)
def test_probabilities_of_all_images_sum_to_one(name, x64, jit):
    """A product that is no distribution has bits of no code, although every factor is one."""
    shape = (2, 1, 3)
    net, variables = made(name, shape, 2)
    variables = jax.tree.map(lambda w: jnp.asarray(w, jnp.float64), variables)
    nats = jit(lambda x: log_prob(categorical(2), 2, net.apply(variables, x), x))
    assert abs(total_probability(nats, shape, 2) - 1) < 1e-9


def test_channels_have_positions_where_the_likelihood_separates_them(x64, jit):
    """Means and scales of three channels of two levels are as many numbers as the logits of these: taken for logits,
    the scale of a channel would see what it predicts, and probabilities would not sum to one."""
    shape, likelihood = (1, 2, 3), discretized_logistic(2)
    net, variables = made("pixelcnn", shape, 2, discretized_logistic)
    assert likelihood.outputs(3) == categorical(2).outputs(3) and net.positions == 2
    variables = jax.tree.map(lambda w: jnp.asarray(w, jnp.float64), variables)
    nats = jit(lambda x: log_prob(likelihood, 2, net.apply(variables, x), x))
    assert abs(total_probability(nats, shape, 2) - 1) < 1e-9


def test_diagonal_bilstm_is_blind_to_the_end_of_the_row_above_and_to_nothing_else(jit):
    """The exception that its documentation names, no more and no less, in images wider than the kernel of mask A."""
    shape = (3, 6, 1)
    net = NETWORKS["diagonal_bilstm"](shape=shape, levels=4, out_channels=4, separate=True, first=3)
    variables = random_variables(net, jnp.zeros((1, *shape), jnp.int32))
    sees = influence(jit(lambda x: net.apply(variables, x)), shape, net.positions, 4)
    assert_causal(sees)
    blind = {tuple(pair) for pair in np.argwhere(np.triu(~sees, 1)).tolist()}
    assert blind == {(6 * row + 5, 6 * row + 6 + column) for row in range(2) for column in range(4)}


@pytest.mark.parametrize("name", ["pixelcnn", "gated_pixelcnn"])
def test_kernels_have_a_centre(name):
    """An even kernel would cover other pixels than its mask says, or fail with shapes that do not fit."""
    net = NETWORKS[name](shape=COLOUR, levels=4, out_channels=12, separate=True, size=4)
    with pytest.raises(ValueError, match="expected a kernel of odd size, got 4"):
        jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, *COLOUR), jnp.int32))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "made"])
def test_incremental_sampling_draws_what_the_whole_network_draws(name, likelihood, jit):
    """A cache that is not what the layers saw, a row that is late by one, or a state that goes on twice where a pixel
    is asked for channel by channel: other integers from the same keys."""
    family, draw = LIKELIHOODS[likelihood]
    draw = draw or pixels(family(4).sample, 4)
    net, variables = made(name, COLOUR, 4, family, num_classes=2)
    keys, cond = jax.random.split(jax.random.key(0), 5), jnp.arange(5) % 3

    def drawn(variables, start, step):
        return generate(start, step, draw, COLOUR, net.positions, keys, cond)

    cached = jit(lambda v: drawn(v, partial(net.apply, v, method="start"), partial(net.apply, v, method="step")))
    plain = jit(lambda v: drawn(v, *naive(partial(net.apply, v), net.positions)))
    x = cached(variables)
    np.testing.assert_array_equal(x, plain(variables))
    assert len(np.unique(x)) == 4


@pytest.mark.parametrize("name", NETWORKS)
def test_classes_are_heard_and_none_is_the_null_class(name, jit):
    """A class that does not reach the first position, a null class that is one of the others, or one given in vain."""
    net, variables = made(name, COLOUR, 4, num_classes=2)
    x = jnp.zeros((3, *COLOUR), jnp.int32)
    y = jit(net.apply)(variables, x, jnp.arange(3)).reshape(3, net.positions, -1)
    np.testing.assert_array_equal(jit(net.apply)(variables, x).reshape(y.shape)[0], y[2])
    heard = np.ptp(y, axis=0).max(-1) > 0
    assert heard[0] and heard.mean() > 0.9
    with pytest.raises(ValueError, match="network without classes"):
        jax.eval_shape(net.clone(num_classes=0).init, jax.random.key(0), x, jnp.zeros(3, jnp.int32))


def test_a_network_of_levels_takes_integers():
    """Noise added to the levels would be trained on as if it were another image."""
    net = made("pixelcnn", COLOUR, 4)[0]
    with pytest.raises(ValueError, match="takes integer levels, got float32"):
        jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, *COLOUR)))
