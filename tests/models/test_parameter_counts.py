"""The number of parameters of the published networks, counted without making one."""

import math

import jax
import jax.numpy as jnp
import pytest

from jaxgen.models import DDPM, NCSNpp, WideResNet

DDPMPP = dict(fir=False, progressive_input="none", embedding_type="positional", scale_by_sigma=False, centered=True)
HIGH = dict(progressive="output_skip", progressive_input="input_skip", dropout=0.0)
PX256 = HIGH | dict(ch_mult=(1, 1, 2, 2, 2, 2, 2), num_res_blocks=2)
PX1024 = HIGH | dict(channels=16, ch_mult=(1, 2, 4, 8, 16, 32, 32, 32), num_res_blocks=1)
PUBLISHED = {
    "ddpm_cifar10": (DDPM(), 32, 35_218_947),
    "ddpmpp": (NCSNpp(**DDPMPP), 32, 61_804_419),
    "ddpmpp_deep": (NCSNpp(**DDPMPP, num_res_blocks=8), 32, 106_632_579),
    "ncsnpp_discrete": (NCSNpp(embedding_type="positional", sigmas=(1.0,)), 32, 62_693_251),
    "ncsnpp": (NCSNpp(), 32, 62_758_915),
    "ncsnpp_deep": (NCSNpp(num_res_blocks=8), 32, 107_587_075),
    "ncsnpp_256": (NCSNpp(**PX256), 256, 65_574_549),
    "ncsnpp_1024": (NCSNpp(**PX1024), 1024, 105_785_896),
}


def parameters(net, size: int, t: jax.Array) -> int:
    shapes = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, size, size, 3)), t)
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


@pytest.mark.parametrize("name", PUBLISHED)
def test_networks_have_the_published_number_of_parameters(name):
    """A missing or extra layer changes the count, and with it the published model."""
    net, size, published = PUBLISHED[name]
    index = name == "ncsnpp_discrete"
    assert parameters(net, size, jnp.zeros(1, int) if index else jnp.ones(1)) == published


def test_the_classifier_is_wrn_28_10():
    """28 layers, of 16, 160, 320 and 640 channels: counted layer by layer, as the paper lists them."""
    count = 128 + 256 * 512 + 512 + 512 * 512 + 512  # the embedding of the noise level
    count += 9 * 3 * 16
    before = 16
    for width in (160, 320, 640):
        for _ in range(4):
            count += 2 * before + 9 * before * width + 512 * width + width + 2 * width + 9 * width * width
            before = width
    count += 2 * 640 + 640 * 10 + 10
    assert parameters(WideResNet(), 32, jnp.ones(1)) == count
