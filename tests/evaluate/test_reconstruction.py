"""What an autoencoder keeps of images and how it uses its codes."""

import numpy as np
import pytest

from jaxgen.evaluate.paired.reconstruction import errors, figures, uses


def test_figures_of_a_split_are_those_of_its_pieces():
    """The error is on the scale [0, 1] whatever the levels, PSNR that of the mean, its error by the delta method; use
    and perplexity are of the counts of all batches, not means of those of batches."""
    x = np.zeros((4, 2, 2, 1))
    made = np.full((4, 2, 2, 1), 8.0)
    made[2:] = 0
    squared = errors(x, made, 17)
    np.testing.assert_allclose(squared, [0.25, 0.25, 0, 0])
    parts = [(np.array([[0, 0]]), np.array([[1]])), (np.array([[3, 3]]), np.array([[1]]))]
    counts = [sum(pair) for pair in zip(*(uses(part, (4, 2)) for part in parts), strict=True)]
    found = {result.name: result for result in figures(squared, counts)}
    assert found["MSE"].value == 0.125
    assert found["PSNR"].value == pytest.approx(9.0309, abs=1e-4)
    assert found["PSNR"].error == pytest.approx(10 / np.log(10) * found["MSE"].error / 0.125)
    assert (found["codes_used/0"].value, found["codes_used/1"].value) == (0.5, 0.5)
    assert found["perplexity/0"].value == pytest.approx(2)
    assert found["perplexity/1"].value == pytest.approx(1)


def test_a_perfect_reconstruction_is_infinitely_good():
    """log 0 would be a warning and a nan of the error."""
    images = np.arange(16.0).reshape(2, 2, 4)
    found = {result.name: result for result in figures(errors(images, images, 17))}
    assert found["MSE"].value == 0 and found["PSNR"].value == np.inf and found["PSNR"].error is None


def test_images_of_another_shape_are_refused():
    """Broadcasting one image against many would give a figure of nothing."""
    with pytest.raises(ValueError, match="must have the shape"):
        errors(np.zeros((3, 2, 2, 1)), np.zeros((1, 2, 2, 1)), 17)
