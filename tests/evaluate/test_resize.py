"""If these fail, Inception sees other pixels than in the published figures, which moves an FID by percents."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.evaluate.resize import tf1_bilinear


@pytest.mark.parametrize("images", ["s32", "s75x100"])
def test_reference_pixels(golden, images):
    """Half-pixel centres miss these by up to 86 grey levels."""
    data = golden("inception_v3")
    found = tf1_bilinear(jnp.asarray(data[f"{images}/images"][:1], jnp.float32), 299, 299)
    np.testing.assert_allclose(found[0, ::5, ::5], data[f"{images}/resize_tf1_stride5"], atol=5e-5)


def test_shrinking_takes_every_second_pixel_and_the_border_is_repeated():
    """Antialiasing would mix neighbours; a position beyond the last pixel must not read outside."""
    x = jnp.arange(24.0).reshape(1, 4, 6, 1)
    np.testing.assert_array_equal(tf1_bilinear(x, 2, 3), x[:, ::2, ::2])
    np.testing.assert_array_equal(tf1_bilinear(x, 4, 12)[0, 0, :, 0], [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5])
