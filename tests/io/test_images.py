"""If these fail, a picture shows other pixels than the arrays have."""

import os

import numpy as np
import pytest
from PIL import Image

from jaxgen.io import images


def test_to_uint8_maps_the_display_range():
    """Rounded, not truncated; clipped, not wrapped."""
    np.testing.assert_array_equal(images.to_uint8([-1.5, -1, 0, 0.999, 1, 9]), [0, 0, 128, 255, 255, 255])
    np.testing.assert_array_equal(images.to_uint8(np.arange(17), 0, 16)[[0, 1, 8, 16]], [0, 16, 128, 255])
    with pytest.raises(ValueError, match="finite"):
        images.to_uint8([np.nan])


@pytest.mark.parametrize("channels", [1, 3])
def test_grid_puts_every_pixel_in_its_place(channels):
    """Five tiles of 2 x 3 on three columns, each pixel twice each way, grey between, around and in the empty cell."""
    tiles = np.random.default_rng(0).integers(0, 100, (5, 2, 3, channels), np.uint8)
    picture = images.grid(tiles, columns=3, scale=2, gap=1)
    assert picture.shape == (1 + 2 * 5, 1 + 3 * 7, channels)
    expected = np.full_like(picture, 128)
    for n, tile in enumerate(tiles):
        top, left = 1 + 5 * (n // 3), 1 + 7 * (n % 3)
        for y in range(4):
            for x in range(6):
                expected[top + y, left + x] = tile[y // 2, x // 2]
    np.testing.assert_array_equal(picture, expected)


def test_grid_defaults_make_small_digits_visible():
    """64 digits of 8 x 8 become 8 x 8 tiles of 48 pixels; large images are not enlarged."""
    assert images.grid(np.zeros((64, 8, 8), np.uint8)).shape == (8 * 50 + 2, 8 * 50 + 2, 1)
    assert images.grid(np.zeros((2, 64, 64, 3), np.uint8)).shape == (66 + 2, 2 * 66 + 2, 3)


def test_strip_runs_from_noise_to_image():
    """Row b, column t is frame t of sample b; first and last frame are shown, the last one unchanged."""
    rng = np.random.default_rng(0)
    final = rng.choice([-1.0, 1.0], (3, 4, 4, 1))
    noise = rng.normal(size=final.shape)
    trajectory = np.stack([final + sigma * noise for sigma in (80.0, 9.0, 1.0, 0.1, 0.0)])
    picture = images.strip(trajectory, frames=3, scale=1, gap=0)
    cells = picture.reshape(3, 4, 3, 4, 1).transpose(0, 2, 1, 3, 4)
    np.testing.assert_array_equal(cells[:, 2], images.to_uint8(final))
    np.testing.assert_array_equal(cells[:, 1], images.to_uint8(trajectory[2] / images.frame_scales(trajectory)[2]))
    first = cells[:, 0].astype(float) / 127.5 - 1
    assert np.corrcoef(first.ravel(), noise.ravel())[0, 1] > 0.9
    assert ((cells[:, 0] > 0) & (cells[:, 0] < 255)).mean() > 0.5


def test_frames_are_dimmed_by_one_factor_and_never_amplified():
    """Amplifying faint frames, or scaling pixel by pixel, would show structure that is not there."""
    final = np.random.default_rng(0).normal(size=(2, 3, 3, 1))
    scales = images.frame_scales(np.stack([40 * final, 0.1 * final, 2 * final, final]))
    np.testing.assert_allclose(scales, [40, 1, 2, 1])


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
def test_saved_pixels_read_back(tmp_path, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path = images.save(tmp_path / "new" / "x.png", image)
    np.testing.assert_array_equal(np.asarray(Image.open(path)).reshape(shape), image)


def test_a_failure_in_the_middle_leaves_the_old_file(tmp_path, monkeypatch):
    """A disk that fills up or a killed process must not cost the picture that was there, nor leave rubbish."""
    path = images.save(tmp_path / "x.png", np.zeros((4, 4), np.uint8))
    before = path.read_bytes()

    def full(descriptor):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        images.save(path, np.ones((9, 9), np.uint8))
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["x.png"]


def test_arrays_that_are_no_images_are_refused(tmp_path):
    for bad in (np.zeros((2, 8, 8, 1)), np.zeros((2, 8, 8, 2), np.uint8), np.zeros((0, 8, 8), np.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            images.grid(bad)
    with pytest.raises(ValueError, match="T, B, H, W, C"):
        images.strip(np.zeros((3, 8, 8, 1)))
    with pytest.raises(ValueError, match="uint8"):
        images.save(tmp_path / "x.png", np.zeros((4, 4)))
    assert not list(tmp_path.iterdir())
