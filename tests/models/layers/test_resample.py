"""Resamplers against the published StyleGAN2-style operations of the score SDE networks."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.models.layers.resample import (
    bilinear_resize,
    check_divisible,
    downsample_conv,
    fir_downsample,
    fir_upsample,
    mean_downsample,
    nearest_upsample,
    upsample_conv,
)

KERNELS = {"k1331": (1, 3, 3, 1), "k121": (1, 2, 1), "k11": (1, 1), "kNone": (1, 1)}


@pytest.mark.parametrize("name", KERNELS)
def test_fir_resampling_is_the_published_one(name, golden, x64, jit):
    """A filter shifted by half a pixel or of another gain makes published weights useless."""
    data, kernel = golden("layers"), KERNELS[name]
    x, w = jnp.asarray(data["resample/x"]), jnp.asarray(data["resample/w_oihw"].transpose(2, 3, 1, 0))
    operations = {
        "upsample_2d": lambda x, w: fir_upsample(x, kernel),
        "downsample_2d": lambda x, w: fir_downsample(x, kernel),
        "conv_downsample_2d": lambda x, w: downsample_conv(x, w, kernel),
        "upsample_conv_2d": lambda x, w: upsample_conv(x, w, kernel),
    }
    for operation, function in operations.items():
        published = data.get(f"resample/{operation}/{name}")
        if published is not None:
            np.testing.assert_allclose(jit(function)(x, w), published, atol=1e-12, err_msg=operation)


def test_naive_resampling_is_the_published_one(golden, x64):
    """The networks without FIR filters depend on nearest and mean resampling."""
    data = golden("layers")
    x = jnp.asarray(data["resample/x"])
    np.testing.assert_allclose(nearest_upsample(x), data["resample/naive_up"], atol=1e-12)
    np.testing.assert_allclose(mean_downsample(x), data["resample/naive_down"], atol=1e-12)


def test_odd_sizes_are_refused():
    """A skip connection would otherwise meet a feature map of another size."""
    with pytest.raises(ValueError, match="divisible by 4 for 3 levels"):
        check_divisible(jnp.zeros((1, 8, 6, 1)), 3)


@pytest.mark.parametrize("align_corners", [True, False])
def test_bilinear_resize_keeps_straight_lines_straight(align_corners, x64):
    """Of a plane, a x + b y, every sample is known: where the grids are laid wrong, the image is shifted."""
    ramp = jnp.arange(3.0)[:, None] * 10 + jnp.arange(4.0)
    y = bilinear_resize(ramp[None, :, :, None], 7, 10, align_corners)[0, :, :, 0]

    def place(old: int, new: int) -> np.ndarray:
        if align_corners:
            return np.arange(new) * (old - 1) / (new - 1)
        return np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)

    np.testing.assert_allclose(y, place(3, 7)[:, None] * 10 + place(4, 10), atol=1e-12)
    one = jnp.full((1, 1, 1, 2), 3.0)
    np.testing.assert_allclose(bilinear_resize(one, 4, 5, align_corners), np.full((1, 4, 5, 2), 3.0))
