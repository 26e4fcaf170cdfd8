"""If these fail, networks see other pixels than in the published figures, which moves an FID by percents."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.evaluate.extractors import resize

SQUASHED = {  # name in the reference -> rule, side, every how many pixels are kept there
    "pil_u8_bicubic_224x224_squash": (resize.pil_bicubic, 224, 3),
    "pil_u8_bilinear_224x224": (resize.pil_bilinear, 224, 3),
    "pil_f32_bicubic_299": (resize.torch_bicubic_antialiased, 299, 5),
    "torch_bicubic_a-0.75_224": (resize.torch_bicubic, 224, 3),
    "torch_bicubic_antialias_224": (resize.torch_bicubic_antialiased, 224, 3),
    "torch_area_64": (resize.torch_area, 64, 2),
}


@pytest.mark.parametrize("images", ["s32", "s75x100"])
def test_reference_pixels(golden, images):
    """Half-pixel centres miss these by up to 86 grey levels."""
    data = golden("metrics/inception_v3")
    found = resize.tf1_bilinear(jnp.asarray(data[f"{images}/images"][:1], jnp.float32), 299, 299)
    np.testing.assert_allclose(found[0, ::5, ::5], data[f"{images}/resize_tf1_stride5"], atol=5e-5)


@pytest.mark.parametrize(("image", "name"), [(image, name) for image in "01" for name in SQUASHED])
def test_rules_of_pillow_and_pytorch(golden, image, name):
    """Shrinking one side and, in image 1, growing the other: another kernel, border, order or rounding shows here; of
    eight-bit images every pixel is the same."""
    data = golden("metrics/resize")
    rule, side, every = SQUASHED[name]
    x = data[f"{image}/image"][None]
    exact = data[f"{image}/{name}"].dtype == np.uint8
    found = jax.jit(partial(rule, height=side, width=side))(x if exact else x.astype(np.float32))
    np.testing.assert_allclose(found[0, ::every, ::every], data[f"{image}/{name}"], rtol=0, atol=0 if exact else 1e-4)


@pytest.mark.parametrize(
    ("rule", "name"),
    [("torch_bilinear", "torch_bilinear"), ("torch_bilinear_antialiased", "torch_bilinear_antialias")],
)
def test_bilinear_rules_of_pytorch(golden, rule, name):
    """One widens its filter where the image shrinks, the other does not. PyTorch's positions are of float32, which is
    worth a few thousandths of a grey level."""
    data = golden("metrics/inception_v3")
    found = getattr(resize, rule)(jnp.asarray(data["s400x320/images"][:1], jnp.float32), 299, 299)
    np.testing.assert_allclose(found[0, ::5, ::5], data[f"s400x320/resize_{name}_stride5"], atol=4e-3)


def test_clean_pixels_are_clipped(golden):
    """A bicubic filter overshoots: clean-fid clips, without rounding."""
    data = golden("metrics/inception_v3")
    x = jnp.asarray(data["s32/images"][:1], jnp.float32)
    found = resize.pil_bicubic_float(x, 299, 299)
    np.testing.assert_allclose(found[0, ::5, ::5], data["s32/resize_clean_pil_bicubic_stride5"], atol=1e-4)
    checks = jnp.indices((8, 8)).sum(0)[None, :, :, None] % 2 * 255.0
    assert resize.torch_bicubic_antialiased(checks, 21, 21).max() > 255
    assert resize.pil_bicubic_float(checks, 21, 21).max() == 255


def test_shrinking_takes_every_second_pixel_and_the_border_is_repeated():
    """Antialiasing would mix neighbours; a position beyond the last pixel must not read outside."""
    x = jnp.arange(24.0).reshape(1, 4, 6, 1)
    np.testing.assert_array_equal(resize.tf1_bilinear(x, 2, 3), x[:, ::2, ::2])
    found = resize.tf1_bilinear(x, 4, 12)[0, 0, :, 0]
    np.testing.assert_array_equal(found, [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5])
