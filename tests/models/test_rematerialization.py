"""Rematerialized blocks change how much memory a gradient takes, and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.models import DDPM, MLP, NCSNpp, NCSNv1, NCSNv2, UNet, WideResNet

SIGMAS = (10.0, 3.0, 1.0)
IMAGE = (8, 8, 3)
NETWORKS = {
    "mlp": (MLP(width=16, blocks=2, dropout=0.5), IMAGE),
    "unet": (UNet(channels=8, blocks=1, heads=2, dropout=0.5), IMAGE),
    "ncsnpp": (NCSNpp(channels=8, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(4,), dropout=0.5), IMAGE),
    "ddpm": (DDPM(channels=32, ch_mult=(1, 1), num_res_blocks=1, attn_resolutions=(4,), dropout=0.5), IMAGE),
    "ncsnv1": (NCSNv1(SIGMAS, channels=4, ch_mult=(1, 1), dilations=(1, 2)), IMAGE),
    "ncsnv2": (NCSNv2(sigmas=SIGMAS, channels=4, ch_mult=(1, 1), dilations=(1, 2)), IMAGE),
    "wideresnet": (WideResNet(num_classes=3, depth=10, widen=1, dropout=0.5), IMAGE),
}
DEEP = {
    "mlp": (MLP(width=64, blocks=12), (16,)),
    "unet": (UNet(channels=16, mult=(1,), blocks=3, attention=()), (8, 8, 1)),
    "ncsnv2": (NCSNv2(sigmas=SIGMAS, channels=8, ch_mult=(1, 1), dilations=(1, 2)), (8, 8, 1)),
}


def inputs(net, shape, batch):
    """x, label and one dropout key per example."""
    indexed = isinstance(net, NCSNv1 | NCSNv2)
    t = jnp.arange(batch) % 3 if indexed else jnp.linspace(0.1, 1.0, batch)
    return jax.random.normal(jax.random.key(0), (batch, *shape)), t, None, jax.random.split(jax.random.key(1), batch)


def gradient(net, arguments):
    """variables -> (value, gradient by the variables) of a scalar of the output."""
    return jax.value_and_grad(lambda variables: jnp.sum(jnp.sin(net.apply(variables, *arguments))))


@pytest.mark.parametrize("name", NETWORKS)
def test_values_gradients_and_names_are_those_of_the_plain_network(name, jit, x64):
    """Breaks if a checkpoint does not fit the same network rematerialized, or if its blocks draw another dropout mask
    the second time than the first: either trains another model."""
    net, shape = NETWORKS[name]
    arguments = inputs(net, shape, 4)
    rng = np.random.default_rng(0)
    abstract = jax.eval_shape(net.init, jax.random.key(0), *arguments[:2])
    variables = jax.tree.map(lambda leaf: 0.2 * rng.standard_normal(leaf.shape), abstract)
    again = net.clone(remat=True)
    renamed = jax.eval_shape(again.init, jax.random.key(0), *arguments[:2])
    assert jax.tree.structure(renamed) == jax.tree.structure(abstract)

    made = jax.make_jaxpr(gradient(again, arguments))(variables)
    assert "remat" in str(made) and "remat" not in str(jax.make_jaxpr(gradient(net, arguments))(variables))
    (plain, want), (value, got) = (jit(gradient(n, arguments))(variables) for n in (net, again))
    np.testing.assert_allclose(value, plain, rtol=1e-12)
    scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(want))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12 * scale)


@pytest.mark.parametrize("name", DEEP)
def test_the_gradient_of_a_deep_network_takes_less_memory(name):
    """Breaks if the compiler may merge the second computation with the first, which keeps every activation after all.
    XLA's CPU backend drops the barriers that stand between the two before it schedules; here it keeps them, as those of
    accelerators do."""
    net, shape = DEEP[name]
    arguments = inputs(net, shape, 64)
    variables = jax.eval_shape(net.init, jax.random.key(0), *arguments[:2])
    options = {"xla_disable_hlo_passes": "cse_barrier_expander", "xla_llvm_disable_expensive_passes": True}

    def scratch(net):
        lowered = jax.jit(gradient(net, arguments), compiler_options=options).lower(variables)
        return lowered.compile().memory_analysis().temp_size_in_bytes

    assert scratch(net.clone(remat=True)) < 0.75 * scratch(net)
