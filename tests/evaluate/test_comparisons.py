"""If these fail, the report's figures of pairs are not those of the pairs."""

import hashed
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxgen.evaluate.paired import comparisons
from jaxgen.evaluate.paired.comparisons import PIXELS, open_lpips, open_stlpips, paired
from jaxgen.evaluate.paired.similarity import mse, psnr, ssim
from jaxgen.io.weights import Weights


@pytest.fixture(scope="module")
def sides():
    """Images, and the same with noise, the more the later: their values spread by more than float32 rounds them."""
    real = np.stack([hashed.image(f"real{i}", 32, 32) for i in range(21)])
    strength = np.linspace(4, 24, len(real))[:, None, None, None]
    noise = (strength * hashed.uniform("noise", real.size).reshape(real.shape)).astype(np.uint8)
    return real, np.maximum(real, 24) - noise


def test_figures_are_means_over_all_pairs_with_their_errors(sides):
    """Breaks if a copy that fills the last batch counts, pairs are shifted, values are not of [0, 1], or the error is
    that of one pair."""
    real, fake = sides
    seen: list[int] = []
    figures = {
        each.name: each for each in paired(real, fake, [PIXELS[name] for name in ("mse", "psnr", "ssim")], seen.append)
    }
    x, y = (jnp.asarray(side, jnp.float32) for side in sides)
    for name, values in (("MSE", mse(x, y) / 255**2), ("PSNR", psnr(x, y, 255)), ("SSIM", ssim(x, y, 255))):
        found = figures[name]
        assert (found.value, found.n) == (pytest.approx(float(values.mean()), rel=1e-6), 21)
        assert found.error == pytest.approx(float(np.std(values, ddof=1)) / 21**0.5, rel=1e-4)
    assert figures["PSNR_batch"].value == pytest.approx(-10 * np.log10(figures["MSE"].value), rel=1e-6)
    assert figures["PSNR_batch"].value < figures["PSNR"].value and seen[-1] == 21


def test_equal_pairs_make_an_infinite_mean_that_says_why(sides):
    """Breaks if the PSNR of a folder beside its copy is NaN, or has an error."""
    real, _ = sides
    (figure,) = paired(real[:3], real[:3], [PIXELS["psnr"]])
    assert figure.value == np.inf and figure.error is None and "3 of the pairs are equal" in figure.definition


def test_perceptual_figures_tell_their_weights(golden, tmp_path):
    """Breaks if a figure of shift-tolerant weights is called LPIPS, one of other weights as that of the package, if its
    checksum is missing, or if images are not brought to [-1, 1]."""
    path = tmp_path / "alex_shift_tolerant.safetensors"
    save_file(hashed.shift_tolerant_alexnet(), path)
    x, y = (np.stack([hashed.image(f"{side}{i}", 40, 40) for i in range(2)]) for side in "xy")
    comparison = open_stlpips("alex", path)
    (figure,) = paired(x, y, [comparison])
    expected = golden("metrics/perceptual")["st_lpips"].mean()
    assert figure.name == "ST-LPIPS-alex (unknown weights)" and len(figure.weights) == 64
    assert figure.value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("backbone", "heads", "name"),
    [
        ("7be5be79", "df73285e", "LPIPS-alex"),
        ("7be5be79", "a78928a0", "LPIPS-alex (unknown weights)"),
        ("397923af", "df73285e", "LPIPS-alex (unknown weights)"),
    ],
)
def test_lpips_is_of_both_published_files(golden, monkeypatch, backbone, heads, name):
    """Breaks if any network of the right shapes, or linear layers of one's own, give an LPIPS."""
    data = golden("metrics/lpips_lin_v0.1")
    linear = {f"lin{i}.model.1.weight": data[f"alex/lin{i}"] for i in range(5)}
    files = {"net": Weights(hashed.alexnet(), f"{backbone}00"), "lin": Weights(linear, f"{heads}00")}
    monkeypatch.setattr(comparisons, "open_weights", files.get)
    found = open_lpips("alex", "net", "lin")
    assert (found.name, found.weights) == (name, f"{backbone}00, {heads}00")


def test_files_are_paired_by_their_names(sides):
    """Breaks if folders of as many files are compared by their order, where one file more and one less shift all pairs:
    the figure is wrong and looks right."""
    real, fake = sides
    real_files, fake_files = ([f"cats/{i}.{kind}" for i in range(21)] for kind in ("png", "jpg"))
    (figure,) = paired(real, fake, [PIXELS["ssim"]], files=(real_files, fake_files))
    assert figure.protocol == "Pairs of uint8 images by their file names"
    (alone,) = paired(real, fake, [PIXELS["ssim"]], files=(real_files, ()))
    assert alone.protocol == "Pairs of uint8 images by their places" and alone.value == figure.value
    shifted = [*fake_files[:3], *(f"cats/{i + 1}.jpg" for i in range(3, 21))]
    with pytest.raises(ValueError, match="by their file names, got cats/3.png beside cats/4.jpg"):
        paired(real, fake, [PIXELS["ssim"]], files=(real_files, shifted))
    with pytest.raises(ValueError, match="got cats/20.png beside nothing"):
        paired(real, fake[:20], [PIXELS["ssim"]], files=(real_files, fake_files[:20]))


def test_what_is_not_one_to_one_is_refused(sides):
    """Breaks if folders of different lengths are compared as far as they go."""
    real, fake = sides
    with pytest.raises(ValueError, match="one to one, got shapes"):
        paired(real, fake[:20], [PIXELS["mse"]])
    with pytest.raises(ValueError, match="at least 2 pairs"):
        paired(real[:1], fake[:1], [PIXELS["mse"]])
    with pytest.raises(ValueError, match="expected the network alex or vgg or squeeze, got 'vgg16'"):
        open_lpips("vgg16", "a", "b")
