"""The blocks of NCSN against the published ones."""

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from jaxgen.models.refinenet.blocks import ConvMeanPool, CRPBlock, MSFBlock, RCUBlock


def apply(jit, module, data, names, x):
    """`module` on the arrays of `data` that `names` calls by their torch names."""
    params = {}
    for torch_name, path in names.items():
        w = data[torch_name]
        params[tuple(path.split("/"))] = w.transpose(2, 3, 1, 0) if w.ndim == 4 else w
    return jit(module.apply)({"params": unflatten_dict(params)}, x)


def test_residual_convolution_unit_is_the_published_one(golden, x64, jit):
    """An activation before or after the sum decides what the skip carries."""
    data = golden("layers")
    names = {f"rcu/param/{b}_{s}_conv.weight": f"Conv_{2 * b + s - 3}/kernel" for b in (1, 2) for s in (1, 2)}
    y = apply(jit, RCUBlock(2), data, names, jnp.asarray(data["rcu/x"]))
    np.testing.assert_allclose(y, data["rcu/out"], rtol=1e-9, atol=1e-9)


def test_chained_residual_pooling_is_the_published_one(golden, x64, jit):
    """Padding with zeros instead of nothing, or a mean, changes it."""
    data = golden("layers")
    names = {f"crp_max/param/convs.{i}.weight": f"Conv_{i}/kernel" for i in (0, 1)}
    y = apply(jit, CRPBlock(), data, names, jnp.asarray(data["crp_max/x"]))
    np.testing.assert_allclose(y, data["crp_max/out"], rtol=1e-9, atol=1e-9)


def test_convolution_and_mean_pool_is_the_published_one(golden, x64, jit):
    """The convolution comes first: the order matters at the border."""
    data = golden("layers")
    names = {"convmeanpool/param/conv.weight": "Conv_0/kernel", "convmeanpool/param/conv.bias": "Conv_0/bias"}
    y = apply(jit, ConvMeanPool(4), data, names, jnp.asarray(data["convmeanpool/x"]))
    np.testing.assert_allclose(y, data["convmeanpool/out"], rtol=1e-9, atol=1e-9)


def test_multi_resolution_fusion_is_the_published_one(golden, x64, jit):
    """The coarse map must be laid corner on corner, as torch's align_corners does."""
    data = golden("layers")
    names = {
        f"msf/param/convs.{i}.{leaf}": f"Conv_{i}/{ours}"
        for i in (0, 1)
        for leaf, ours in (("weight", "kernel"), ("bias", "bias"))
    }
    xs = [jnp.asarray(data["msf/x0"]), jnp.asarray(data["msf/x1"])]
    y = apply(jit, MSFBlock(5), data, names, xs)
    np.testing.assert_allclose(y, data["msf/out_align_corners"], rtol=1e-9, atol=1e-9)
