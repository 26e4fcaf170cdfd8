"""The image transformer: published numbers and sizes, no position sees a later one, its probabilities sum to one, and
drawing with a memory gives the images that drawing without one gives."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from causality import assert_causal, assert_sees_everything, influence, total_probability
from flax.traverse_util import unflatten_dict
from networks import random_variables

from jaxgen.losses.likelihoods import categorical, discretized_logistic_mixture
from jaxgen.models.autoregressive.transformer import Transformer, igpt
from jaxgen.sampling import autoregressive as sampling
from jaxgen.sampling.filters import chain, temperature, top_k, top_p

TINY = {"width": 8, "depth": 2, "heads": 2}
MIXTURE = discretized_logistic_mixture(4, 2)


def network(kind, shape, likelihood, **fields):
    told = {"out_channels": likelihood.outputs(shape[-1]), "separate": likelihood.separate}
    net = kind(shape=shape, levels=4, **told, **TINY, **fields)
    cond = (jnp.zeros(1, int),) if net.num_classes else ()
    return net, random_variables(net, jnp.zeros((1, *shape), int), *cond)


def published(g):
    """The release's parameters under our names; its first token is any, so it is the class here."""
    names = {"ln1": "norm1", "ln2": "norm2", "attn": "attention", "mlp.0": "expand", "mlp.2": "contract"}
    names |= {"attention.proj": "attention.out", "blocks.": "blocks_", "ln_f": "last_norm"}
    tokens = g["param/tok_emb.weight"]
    params = {
        ("first", "Embed_0", "embedding"): np.concatenate([tokens, np.zeros((1, 8))]),
        ("tokens", "embedding"): tokens,
        ("places",): g["param/pos_emb"][0],
    }
    for key, value in g.items():
        if not key.startswith("param/") or key.endswith("_emb") or "tok_emb" in key:
            continue
        name = key.removeprefix("param/")
        for old, new in names.items():
            name = name.replace(old, new)
        *path, leaf = name.split(".")
        leaf = leaf if leaf == "bias" else "scale" if "norm" in path[-1] else "kernel"
        params[*path, leaf] = value.T
    return {"params": unflatten_dict(params)}


def test_published_logits(golden, jit, x64):
    """If it fails, the network is not the GPT of the common layout: its weights could not be read."""
    g = golden("families/ar_gpt_tiny")
    net = Transformer((4, 4, 1), 17, 17, **TINY, num_classes=17)
    x = jnp.roll(jnp.asarray(g["idx"]), -1, axis=1).reshape(2, 4, 4, 1)
    variables, cond = published(g), jnp.asarray(g["idx"][:, 0])
    shapes = jax.eval_shape(net.init, jax.random.key(0), x, cond)
    assert jax.tree.map(lambda a: a.shape, shapes) == jax.tree.map(lambda a: a.shape, variables)
    logits = jit(net.apply)(variables, x, cond).reshape(2, 16, 17)
    np.testing.assert_allclose(logits, g["logits"], rtol=1e-8, atol=1e-9)
    target = jnp.asarray(g["target"])[..., None]
    ce = -jnp.take_along_axis(jax.nn.log_softmax(logits), target, -1).mean()
    np.testing.assert_allclose(ce, g["ce_mean"], rtol=1e-9)


@pytest.mark.parametrize(
    "width, depth, heads, millions", [(512, 24, 8, 76), (1024, 36, 8, 455), (1536, 48, 16, 1362)], ids=["S", "M", "L"]
)
def test_published_sizes(width, depth, heads, millions):
    """If it fails, iGPT-S, M and L of 32x32 images in a palette of 512 colours are other networks than published."""
    net = igpt((32, 32, 1), 512, 512, width=width, depth=depth, heads=heads)
    tree = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 32, 32, 1), int))
    assert sum(leaf.size for leaf in jax.tree.leaves(tree)) // 10**6 == millions


@pytest.mark.parametrize(
    "kind, shape, likelihood, positions",
    [(Transformer, (3, 3, 1), categorical(4), 9), (igpt, (2, 2, 3), categorical(4), 12), (igpt, (3, 2, 3), MIXTURE, 6)],
    ids=["gray", "channels", "pixels"],
)
def test_causal_and_complete(jit, kind, shape, likelihood, positions):
    """If it fails, a position sees itself or a later one, and every likelihood is wrong, or does not see an earlier
    one."""
    net, variables = network(kind, shape, likelihood)
    assert net.positions == positions
    sees = influence(jit(partial(net.apply, variables)), shape, positions, 4)
    assert_causal(sees)
    assert_sees_everything(sees)


@pytest.mark.parametrize(
    "shape, likelihood", [((2, 2, 1), categorical(4)), ((1, 1, 3), MIXTURE)], ids=["gray", "mixture"]
)
def test_probabilities_sum_to_one(jit, shape, likelihood):
    """If it fails, the likelihood is none: over all images of a tiny shape it does not sum to one."""
    net, variables = network(Transformer, shape, likelihood, num_classes=2)

    @jit
    def log_prob(x):
        parameters = net.apply(variables, x, jnp.ones(x.shape[0], int))
        return likelihood.log_prob(parameters, 2 * x / 3 - 1)

    assert abs(total_probability(log_prob, shape, 4) - 1) < 1e-4


@pytest.mark.parametrize("case", ["gray", "channels", "pixels"])
def test_memory_draws_what_no_memory_draws(jit, case):
    """If it fails, sampling with keys and values kept is not exact: it draws other images than the whole network, run
    anew at every position; here with filters, and guided by a class."""
    likelihood = MIXTURE if case == "pixels" else categorical(4)
    shape = (3, 3, 1) if case == "gray" else (2, 2, 3)
    net, variables = network(igpt, shape, likelihood, num_classes=3, dropout=0.1)
    keep = chain(temperature(0.8), top_k(3), top_p(0.95))
    draw = sampling.channels(MIXTURE.logits, 3, 4, keep, 1.5) if case == "pixels" else sampling.categorical(4, keep)
    cached = sampling.Incremental(
        partial(net.apply, variables, method="start"), partial(net.apply, variables, method="step")
    )
    plain = sampling.naive(partial(net.apply, variables), net.positions)
    keys, cond = jax.random.split(jax.random.key(1), 16), jnp.arange(16) % 3

    def drawn(incremental):
        mixed = sampling.both(*incremental, 3) if case == "pixels" else sampling.guided(*incremental, 1.5, 3)
        return sampling.generate(*mixed, draw, shape, net.positions, keys, cond)

    images = jit(lambda: drawn(cached))()
    assert images.dtype == jnp.int32 and len(np.unique(images)) == 4
    np.testing.assert_array_equal(images, jit(lambda: drawn(plain))())


def test_what_does_not_fit():
    """If it fails, images of another size, a class that is not known of, or heads that do not divide the width end in
    an error of arrays."""
    net, x = Transformer((2, 2, 1), 4, 4, **TINY), jnp.zeros((1, 2, 2, 1), int)
    init = partial(jax.eval_shape, net.init, jax.random.key(0))
    with pytest.raises(ValueError, match="a place for each value"):
        init(jnp.zeros((1, 2, 3, 1), int))
    with pytest.raises(ValueError, match="without classes"):
        init(x, jnp.zeros(1, int))
    with pytest.raises(ValueError, match="heads that divides"):
        jax.eval_shape(net.clone(heads=3).init, jax.random.key(0), x)


def test_rematerialized(jit):
    """If it fails, saving memory changes the network or its parameters."""
    net, variables = network(Transformer, (2, 2, 1), categorical(4), dropout=0.5)
    x, keys = jnp.ones((2, 2, 2, 1), int), jax.random.split(jax.random.key(0), 2)
    again = net.clone(remat=True)
    shapes = jax.eval_shape(again.init, jax.random.key(0), x)
    assert jax.tree.map(lambda a: a.shape, shapes) == jax.tree.map(lambda a: a.shape, variables)
    y, same = (jit(n.apply)(variables, x, None, keys) for n in (net, again))
    np.testing.assert_allclose(y, same, rtol=1e-6)
