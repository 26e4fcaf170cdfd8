"""Upsample, filter, downsample, against the published operation."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.models.layers.resample import fir_downsample, fir_upsample
from jaxgen.upfirdn import upfirdn2d


def test_every_published_case(golden, x64, jit):
    """Breaks if a factor, a crop, the flip or the gain means something else here than where weights come from."""
    data = golden("families/gan_upfirdn2d")
    x = jnp.asarray(data["x"].transpose(0, 2, 3, 1))
    for i, case in enumerate(json.loads(str(data["cfg"]))["cases"]):
        left, right, top, bottom = case["padding_x0x1y0y1"]
        up, down = (tuple(reversed(f)) if isinstance(f, list) else f for f in (case["up"], case["down"]))
        options = dict(flip=case["flip"], gain=case["gain"], padding=((top, bottom), (left, right)))
        y = jit(lambda x, i=i, up=up, down=down, options=options: upfirdn2d(x, data[f"{i}/f"], up, down, **options))(x)
        np.testing.assert_allclose(y, data[f"{i}/y"].transpose(0, 2, 3, 1), rtol=1e-9, atol=1e-12, err_msg=str(case))


def test_the_resamplers_of_stylegan2_are_special_cases(golden, x64):
    """Breaks if the image pyramids of StyleGAN2 are shifted against its features. Its unit filter is (1, 3, 3, 1)."""
    data = golden("families/gan_upfirdn2d")
    x, taps = jnp.asarray(data["x"].transpose(0, 2, 3, 1)), np.array([1, 3, 3, 1]) / 8
    results = {
        "filter2d": upfirdn2d(x, taps, padding=(2, 1)),
        "upsample2d": fir_upsample(x),
        "downsample2d": fir_downsample(x),
    }
    for name, y in results.items():
        np.testing.assert_allclose(y, data[name].transpose(0, 2, 3, 1), rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(("up", "down", "length"), [(1, 1, 1), (3, 2, 2), (2, 3, 12), (4, 6, 5), (5, 1, 3)])
def test_phases_are_the_definition(up, down, length, x64):
    """Breaks if a phase of the polyphase form is dropped or out of place: against zeros, numpy's convolution and every
    `down`-th sample."""
    rng = np.random.default_rng(0)
    x, taps, pad = rng.standard_normal(11), rng.standard_normal(length), (length, 2)
    stuffed = np.zeros(11 * up)
    stuffed[::up] = x
    want = np.convolve(np.pad(stuffed, pad), taps, "valid")[::down]
    y = upfirdn2d(jnp.asarray(x)[None, :, None, None], taps[:, None], (up, 1), (down, 1), (pad, (0, 0)))
    np.testing.assert_allclose(y[0, :, 0, 0], want, rtol=1e-12, atol=1e-12)


def test_a_kernel_longer_than_the_image_is_refused():
    """Breaks if an empty image comes out instead of a sentence."""
    with pytest.raises(ValueError, match="at most as many taps as the 3 padded samples of axis 1, got 4"):
        upfirdn2d(jnp.zeros((1, 3, 3, 1)), (1, 3, 3, 1))
