"""If these fail, a figure of images beside their originals is not that of the literature, or no loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.evaluate.paired.similarity import batch_psnr, ms_ssim, mse, psnr, ssim


@pytest.mark.parametrize("group, data_range", [("u8", 255.0), ("f01", 1.0), ("gray", 255.0)])
def test_figures_are_those_of_the_references(golden, x64, jit, group, data_range):
    """Breaks if a mean, the window, its border, the variance, a constant or the range differs: SSIM with borders is off
    by 0.01, PSNR of the mean MSE by 15 dB."""
    data = golden("metrics/pixel")
    x, y = (jnp.asarray(data[f"{group}/{name}"], jnp.float64) for name in ("pred", "target"))
    near = dict(rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(mse(x, y), data[f"{group}/mse"], **near)
    np.testing.assert_allclose(psnr(x, y, data_range), data[f"{group}/psnr_skimage"], **near)
    np.testing.assert_allclose(jit(ssim)(x, y, data_range), data[f"{group}/ssim_gauss_valid_skimage"], **near)
    np.testing.assert_allclose(batch_psnr(x, y, data_range), data[f"{group}/psnr_tm_batch"], rtol=1e-6)
    if group == "u8":
        np.testing.assert_allclose(jit(ms_ssim)(x, y, data_range), data["u8/msssim_valid_f64"], **near)


def test_single_precision_is_enough(golden, jit):
    """Breaks if variances are differences of large numbers: bright and even images then lose their structure."""
    data = golden("metrics/pixel")
    x, y = (jnp.asarray(data[f"u8/{name}"], jnp.float32) for name in ("pred", "target"))
    np.testing.assert_allclose(jit(ssim)(x, y, 255.0), data["u8/ssim_valid_f64"], atol=1e-6)
    lifted = 0.01 * x + 9e4, 0.01 * y + 9e4  # of a range of 1e5, where 1e-3 of it is seen
    same = jit(ssim)(*(image.astype(jnp.float32) for image in lifted), 1e5)
    np.testing.assert_allclose(same, 1, atol=1e-6)


def test_scales_of_odd_images(x64, jit):
    """Breaks if the last row of an odd image is dropped or mixed with zeros: a constant offset has the same structure
    on every scale, and its MS-SSIM is the luminance of the last, to the power of its weight."""
    x = jnp.full((1, 163, 171, 1), 0.5)
    expected = ((2 * 0.5 * 0.6 + 1e-4) / (0.5**2 + 0.6**2 + 1e-4)) ** 0.1333
    np.testing.assert_allclose(jit(ms_ssim)(x, x + 0.1, 1.0), [expected], rtol=1e-9)


def test_identical_images_have_gradient_zero(jit):
    """Breaks if a loss makes NaN where an image is reproduced exactly, or where a scale is opposed to the original."""
    x = jax.random.uniform(jax.random.key(0), (2, 161, 161, 1)).at[0].set(0.25)

    @jit
    def slopes(x, y):
        losses = (lambda x: mse(x, y), lambda x: psnr(x, y, 1), lambda x: ssim(x, y, 1), lambda x: ms_ssim(x, y, 1))
        return [jax.grad(lambda x, loss=loss: loss(x).sum())(x) for loss in losses]

    assert all(jnp.abs(slope).max() < 1e-6 for slope in slopes(x, x))
    assert all(jnp.isfinite(slope).all() for slope in slopes(x, 1 - x))


def test_equal_images_are_infinitely_far_from_noise():
    """Breaks if the PSNR of a perfect reconstruction is NaN, or its cap is not kept."""
    x = jnp.zeros((1, 2, 2, 1))
    assert psnr(x, x, 255) == jnp.inf and psnr(x, x, 255, cap=100) == 100


def test_a_broken_image_has_no_score(jit):
    """Breaks if NaN passes for a perfect reconstruction, or for one that is merely opposed."""
    x = jnp.full((2, 161, 161, 1), 0.5)
    broken = x.at[0, 3, 3, 0].set(jnp.nan)
    for figure in (mse, lambda x, y: psnr(x, y, 1, 100), lambda x, y: ssim(x, y, 1), lambda x, y: ms_ssim(x, y, 1)):
        assert np.isnan(jit(figure)(x, broken)).tolist() == [True, False]
    assert np.isnan(batch_psnr(x, broken, 1))
    with pytest.raises(ValueError, match="an image at least"):
        batch_psnr(x[:0], x[:0], 1)


@pytest.mark.parametrize("figure", [psnr, batch_psnr, ssim, ms_ssim])
def test_images_outside_of_their_range_are_refused(figure):
    """Breaks if images of 0 ... 255 with the range of [0, 1] get -46 dB, or a range below zero that of its square."""
    x = jnp.zeros((1, 161, 161, 1)).at[0, :, 80:].set(1)
    with pytest.raises(ValueError, match="in a range of 1, got values from 0 to 200"):
        figure(x, 200 * x, 1.0)
    with pytest.raises(ValueError, match="in a range of 1, got values from -1 to 1"):
        figure(x, -x, 1.0)
    for wrong in (-1.0, 0.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="data_range must be a positive number"):
            figure(x, x, wrong)
    figure(2 * x - 1, 1 - 2 * x, 2.0)


def test_images_that_cannot_be_compared_are_refused():
    """Breaks if bytes wrap around, shapes broadcast, or a window does not fit the image."""
    x = jnp.zeros((2, 64, 64, 3))
    with pytest.raises(ValueError, match="floating-point .* got uint8"):
        mse(x.astype(jnp.uint8), x)
    with pytest.raises(ValueError, match=r"one to one, got shapes \(2, 64, 64, 3\) and \(1, 64, 64, 3\)"):
        psnr(x, x[:1], 1)
    with pytest.raises(ValueError, match=r"11 pixels a side at least, got \(8, 64\)"):
        ssim(x[:, :8], x[:, :8], 1)
    with pytest.raises(ValueError, match="161 pixels a side at least"):
        ms_ssim(x, x, 1)
