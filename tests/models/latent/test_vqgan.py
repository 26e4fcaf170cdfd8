"""VQGAN's autoencoder and PatchGAN against the published implementations."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from jaxgen.models.gan.patchgan import PatchGAN
from jaxgen.models.latent.code import Code
from jaxgen.models.latent.gaussian import GaussianBottleneck
from jaxgen.models.latent.vqgan import vqgan

TINY = {"out_channels": 3, "multipliers": (1, 2), "blocks": 1, "attention": ()}


def nhwc(x):
    return jnp.asarray(np.asarray(x, np.float64).transpose(0, 2, 3, 1))


def of_torch(data):
    """The variables of VQGAN in a published state dict."""
    flat = {}
    for key in (key for key in data if key.startswith("param/")):
        path = re.sub(r"\.(\d+)", r"_\1", key.removeprefix("param/"))
        path = path.replace("post_quant_conv", "decoder.post_quant_conv") if path[0] == "p" else path
        path = path.replace("quant_conv", "projection") if path[0] == "q" else path
        *module, leaf = path.split(".")
        value = np.asarray(data[key], np.float64)
        if leaf == "weight":
            leaf = {1: "scale", 2: "kernel", 4: "kernel"}[value.ndim]
            value = value.transpose({1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}[value.ndim])
        value = value[0, 0] if module == ["projection"] and value.ndim == 4 else value
        if module[0] != "quantize":
            flat[*module, leaf] = jnp.asarray(value)
    return {"params": unflatten_dict(flat)}


def test_the_kl_autoencoder_is_that_of_latent_diffusion(golden, x64):
    """Breaks if a block, a padding, the clipped variance or the names of the parameters differ: published autoencoders
    could not be loaded."""
    data = golden("families/autoencoder_kl")
    net, variables = vqgan(GaussianBottleneck(4), width=16, groups=8, **TINY), of_torch(data)
    x = nhwc(data["encode/in/x"])
    made = jax.eval_shape(net.init, jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, made) == jax.tree.map(jnp.shape, variables)
    code = net.apply(variables, x, method="code")
    close(code.z, nhwc(data["encode/out/mode_f64"]))
    close(code.loss * 64, data["encode/out/kl_f64"])  # ours is a mean over the 8x8 vectors
    close(net.apply(variables, nhwc(data["decode/in/z"]), method="decode"), nhwc(data["decode/out_f64"]))
    drawn = net.apply(variables, x, jax.random.split(jax.random.key(1), 2), train=True, method="code").z
    std = jnp.exp(jnp.split(nhwc(data["encode/out/moments_f64"]), 2, -1)[1] / 2)
    assert jnp.std((drawn - code.z) / std) == pytest.approx(1, abs=0.1)


class Through(nn.Module):
    """No quantizer at all."""

    inputs: int = 3

    def __call__(self, z, keys=None, train=False):
        return Code(z, (), z[:, 0, 0, 0], {})


def test_encoder_and_decoder_are_those_of_vqgan(golden, x64):
    """Breaks as above, with the odd number of channels that a VQ model has."""
    data = golden("families/vqmodel")
    net, variables = vqgan(Through(), width=8, groups=4, **TINY), of_torch(data)
    close(net.apply(variables, nhwc(data["roundtrip/in/x"]), method="encode"), nhwc(data["roundtrip/out/z_f64"]))
    close(
        net.apply(variables, nhwc(data["roundtrip/out/zq_f64"]), method="decode"), nhwc(data["roundtrip/out/dec_f64"])
    )


def test_full_size_counts():
    """Breaks if the f8 KL autoencoder of Stable Diffusion has not its 83,653,863 parameters."""
    net = vqgan(GaussianBottleneck(4), out_channels=3, multipliers=(1, 2, 4, 4), attention=())
    made = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    assert sum(leaf.size for leaf in jax.tree.leaves(made)) == 83_653_863


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_patches_are_judged_as_in_pix2pix(norm, golden, x64):
    """Breaks if a stride, a padding, the running variance or the slope differ from the published critic."""
    data = golden(f"families/i2i_patchgan_{norm[0]}n")
    params, stats, convs, norms = {}, {}, 0, 0
    for i in (0, 2, 3, 5, 6, 8, 9, 11):
        at = f"param/model.{i}."
        if f"{at}weight" not in data:
            continue
        weight = np.asarray(data[f"{at}weight"])
        bias = {"bias": jnp.asarray(data[f"{at}bias"])} if f"{at}bias" in data else {}
        if weight.ndim == 4:
            params[f"Conv_{convs}"] = {"kernel": jnp.asarray(weight.transpose(2, 3, 1, 0)), **bias}
            convs += 1
        else:
            params[f"BatchNorm_{norms}"] = {"scale": jnp.asarray(weight), **bias}
            stats[f"BatchNorm_{norms}"] = i
            norms += 1
    net = PatchGAN(width=3, norm=norm)
    x = nhwc(data["x"])
    made = net.init(jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, made["params"]) == jax.tree.map(jnp.shape, params)
    y, moved = net.apply({**made, "params": params}, x, train=True, mutable=["batch_stats", "features"])
    close(y, data["y"][:, 0])
    assert len(moved["features"]["blocks"]) == 4
    for name, i in stats.items():
        for ours, theirs in (("mean", "running_mean"), ("var", "running_var")):
            close(moved["batch_stats"][name]["Moments_0"][ours], data[f"bn_after/model.{i}.{theirs}"])


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6 * np.abs(theirs).max())
