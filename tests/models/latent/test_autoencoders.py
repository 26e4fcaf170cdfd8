"""Autoencoders on published weights, and around every quantizer."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from jaxgen.models.latent.dvae import dvae
from jaxgen.models.latent.gaussian import GaussianBottleneck
from jaxgen.models.latent.gumbel import GumbelQuantizer
from jaxgen.models.latent.mlp import mlp_autoencoder
from jaxgen.models.latent.moving_average import MovingAverageQuantizer
from jaxgen.models.latent.residual import ResidualQuantizer
from jaxgen.models.latent.scalar import FiniteScalarQuantizer, LookupFreeQuantizer
from jaxgen.models.latent.vector import VectorQuantizer
from jaxgen.models.latent.vqvae import vqvae
from jaxgen.models.latent.vqvae2 import VQVAE2

BLOCK = {"conv.1": "Conv_0", "conv.3": "Conv_1"}
ENCODERS = {"enc_b": ("encoder_bottom", 2), "enc_t": ("encoder_top", 1)}
DECODERS = {"dec_t": ("decoder_top", 1), "dec": ("decoder", 2)}
LINEAR = {"quantize_conv_t": "projection_top", "quantize_conv_b": "projection_bottom", "upsample_t": "double"}
BOOKS = {"quantize_t": "quantizer_top", "quantize_b": "quantizer_bottom"}
TRANSPOSED = {"dec_t.blocks.3", "dec.blocks.3", "dec.blocks.5", "upsample_t"}


def kernels():
    """{torch name of a layer of the two-level VQ-VAE: its path here}."""
    paths = dict(LINEAR)
    for name, (path, halvings) in ENCODERS.items():
        paths |= {f"{name}.blocks.{2 * i}": f"{path}/halve_{i}" for i in range(halvings)}
        paths |= {f"{name}.blocks.{2 * halvings}": f"{path}/conv"}
        paths |= {f"{name}.blocks.{2 * halvings + 1}.{k}": f"{path}/Block_0/{v}" for k, v in BLOCK.items()}
    for name, (path, halvings) in DECODERS.items():
        paths |= {f"{name}.blocks.0": f"{path}/conv"}
        paths |= {f"{name}.blocks.1.{k}": f"{path}/Block_0/{v}" for k, v in BLOCK.items()}
        paths |= {f"{name}.blocks.{3 + 2 * i}": f"{path}/double_{i}" for i in range(halvings)}
    return paths


def from_torch(name, w, shape):
    """A torch kernel in the layout of flax; that of a transposed convolution is turned round."""
    if name in TRANSPOSED:
        w = w.transpose(2, 3, 0, 1)[::-1, ::-1]
    else:
        w = w.transpose(2, 3, 1, 0)
    return w.reshape(shape)


def test_two_levels_are_those_of_the_published_port(golden, jit, x64):
    """Reconstruction, codes of both levels and loss, on every weight of the golden file."""
    data = golden("families/vae_vqvae2_tiny")
    net = VQVAE2(MovingAverageQuantizer(8, 4, beta=1.0), 1, channels=8, blocks=1, width=4)
    x = jnp.asarray(data["x"].transpose(0, 2, 3, 1))
    shapes = jax.eval_shape(net.init, jax.random.key(0), x)["params"]
    params, used = {}, set()
    for name, path in kernels().items():
        place = tuple(path.split("/"))
        leaf = shapes
        for part in place:
            leaf = leaf[part]
        params[*place, "kernel"] = from_torch(name, data[f"param/{name}.weight"], leaf["kernel"].shape)
        params[*place, "bias"] = data[f"param/{name}.bias"]
        used |= {f"param/{name}.weight", f"param/{name}.bias"}
    assert jax.tree.map(jnp.shape, unflatten_dict(params)) == jax.tree.map(lambda leaf: leaf.shape, shapes)
    books = {}
    for name, path in BOOKS.items():  # sums over counts of one vector each: the codebook as it was saved
        books[path] = {"sums": data[f"param/{name}.embed"].T, "counts": np.zeros(8), "steps": np.zeros(())}
        used |= {f"param/{name}.{leaf}" for leaf in ("embed", "embed_avg", "cluster_size")}
    assert used == {name for name in data if name.startswith("param/")}

    y, code = jit(net.apply)({"params": unflatten_dict(params), "codebook": books}, x)
    np.testing.assert_allclose(np.transpose(y, (0, 3, 1, 2)), data["dec"], rtol=1e-8, atol=1e-9)
    np.testing.assert_array_equal(code.indices[0], data["id_top"])
    np.testing.assert_array_equal(code.indices[1], data["id_bottom"])
    np.testing.assert_allclose(np.mean(code.loss), data["diff"][0], rtol=1e-8)


def test_the_discrete_vae_is_that_of_dalle(golden, jit):
    """Logits of the encoder and parameters of the decoder, which is fed their softmax, on every published weight."""
    data = golden("families/vae_dalle_dvae_tiny")
    net = dvae(GumbelQuantizer(16), 6, channels=8, blocks=1, start=4)
    params, used = {}, set()

    def put(torch, *path):
        kernel = data[f"{torch}.w"].transpose(2, 3, 1, 0)
        params[*path, "kernel"] = kernel[0, 0] if path == ("projection",) else kernel
        params[*path, "bias"] = data[f"{torch}.b"]
        used.update((f"{torch}.w", f"{torch}.b"))

    for torch, here in (("enc", "encoder"), ("dec", "decoder")):
        put(f"{torch}/blocks.input", here, "in")
        for group in range(4):
            block = f"{torch}/blocks.group_{group + 1}.block_1", f"group_{group}_block_0"
            for i in range(4):
                put(f"{block[0]}.res_path.conv_{i + 1}", here, block[1], f"conv_{i}")
            if f"{block[0]}.id_path.w" in data:
                put(f"{block[0]}.id_path", here, block[1], "id")
    put("enc/blocks.output.conv", "projection")
    put("dec/blocks.output.conv", "decoder", "out")
    assert used == {name for name in data if name.startswith(("enc/", "dec/"))}
    variables = {"params": unflatten_dict(params)}
    x = jnp.asarray(data["x"].transpose(0, 2, 3, 1))
    shapes = jax.eval_shape(net.init, jax.random.key(0), x)["params"]
    assert jax.tree.map(jnp.shape, variables["params"]) == jax.tree.map(lambda leaf: leaf.shape, shapes)

    logits = jit(partial(net.apply, method=lambda net, x: net.projection(net.encoder(x))))(variables, x)
    np.testing.assert_allclose(logits.transpose(0, 3, 1, 2), data["z_logits"], rtol=1e-4, atol=1e-4)
    y = jit(partial(net.apply, method="decode"))(variables, jax.nn.softmax(logits))
    np.testing.assert_allclose(y.transpose(0, 3, 1, 2), data["y"], rtol=1e-4, atol=1e-4)


QUANTIZERS = {
    "vector": VectorQuantizer(16, 8),
    "moving_average": MovingAverageQuantizer(16, 8, restart=0.1),
    "residual": ResidualQuantizer(MovingAverageQuantizer(16, 8), 2),
    "finite_scalar": FiniteScalarQuantizer((4, 3)),
    "lookup_free": LookupFreeQuantizer(4),
    "gumbel": GumbelQuantizer(16),
    "gaussian": GaussianBottleneck(2),
}
NETWORKS = {
    "mlp": partial(mlp_autoencoder, shape=(8, 8, 1), vectors=2, width=8, blocks=1),
    "vqvae": partial(vqvae, channels=8, blocks=1, width=4, halvings=1),
    "vqvae2": partial(VQVAE2, channels=8, blocks=1, width=4, halvings=1),
    "dvae": partial(dvae, channels=8, blocks=1, groups=2, start=4),
}


@pytest.mark.parametrize(
    ("network", "quantizer"), [("vqvae", name) for name in QUANTIZERS] + [(name, "moving_average") for name in NETWORKS]
)
def test_decoding_what_was_encoded_is_the_reconstruction(network, quantizer, jit):
    """Any network goes with any quantizer: an example does not depend on its batch, a gradient reaches every parameter
    but those of codes out of use, and `decode` of `encode` is the network itself."""
    net = NETWORKS[network](QUANTIZERS[quantizer], out_channels=1)
    x = jax.random.uniform(jax.random.key(0), (6, 8, 8, 1), minval=-1, maxval=1)
    keys = jax.random.split(jax.random.key(1), 6)
    variables = jit(net.init)(jax.random.key(2), x)
    y, code = jit(net.apply)(variables, x)
    assert len(code.indices) == len(net.sizes)
    z = jit(partial(net.apply, method="encode"))(variables, x)
    np.testing.assert_allclose(jit(partial(net.apply, method="decode"))(variables, z), y, atol=1e-5)
    part, _ = jit(net.apply)(variables, x[2:4])
    np.testing.assert_allclose(part, y[2:4], atol=1e-5)

    def loss(params):
        collections = [name for name in variables if name != "params"]
        (y, code), _ = net.apply({**variables, "params": params}, x, keys, True, mutable=collections)
        return jnp.mean(jnp.square(y - x)) + jnp.mean(code.loss)

    grads = jax.tree_util.tree_leaves_with_path(jit(jax.grad(loss))(variables["params"]))
    assert not [path for path, leaf in grads if not (jnp.isfinite(leaf).all() and leaf.any())]


def test_the_published_sizes():
    """Parameters of sonnet's example (hidden 128, 2 blocks of 32) and of DALL-E's networks, counted by hand."""

    def count(net, size):
        tree = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, size, size, 3)))["params"]
        return {name: sum(leaf.size for leaf in jax.tree.leaves(part)) for name, part in tree.items()}

    sonnet = count(vqvae(MovingAverageQuantizer(512, 64), 3), 32)
    blocks = 2 * (9 * 128 * 32 + 32 + 32 * 128 + 128)
    assert sonnet == {
        "encoder": (16 * 3 * 64 + 64) + (16 * 64 * 128 + 128) + (9 * 128 * 128 + 128) + blocks,
        "projection": 128 * 64 + 64,
        "decoder": (9 * 64 * 128 + 128) + blocks + (16 * 128 * 64 + 64) + (16 * 64 * 3 + 3),
    }
    dalle = count(dvae(GumbelQuantizer(8192), 6), 256)
    assert dalle["projection"] == 2048 * 8192 + 8192
