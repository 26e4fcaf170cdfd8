"""The filters have the properties that define them."""

import numpy as np
import pytest

from jaxgen.augment.wavelets import BANDS, SYM2, SYM6, filter_bank, filter_matrices


@pytest.mark.parametrize("taps, moments", [(SYM2, 2), (SYM6, 6)])
def test_the_wavelets_are_orthogonal_with_their_vanishing_moments(taps, moments):
    """One wrong digit, and an image that nothing happens to comes back blurred."""
    h, n = np.array(taps), np.arange(len(taps))
    for shift in range(0, len(taps), 2):
        assert abs(h[shift:] @ h[: len(h) - shift] - (shift == 0)) < 1e-12
    assert abs(h.sum() - np.sqrt(2)) < 1e-12
    for m in range(moments):
        assert abs(((-1.0) ** n * (n - n.mean()) ** m) @ h) < 1e-8


def test_the_bands_are_octaves_and_sum_to_everything():
    """Gains of 1 leave an image alone, and a gain reaches the frequencies that it is meant for."""
    bank = filter_bank()
    impulse = np.zeros(bank.shape[1])
    impulse[impulse.size // 2] = 1
    np.testing.assert_allclose(bank.sum(0), impulse, atol=1e-12)
    np.testing.assert_allclose(bank, bank[:, ::-1], atol=1e-12)
    spectrum = np.abs(np.fft.rfft(bank, 4096))
    edges = np.array([0, *(2.0 ** -np.arange(BANDS - 1, -1, -1))]) * 2048
    for band, low, high in zip(range(BANDS), edges, edges[1:], strict=False):
        assert spectrum[:, int((low + high) / 2)].argmax() == band


@pytest.mark.parametrize("size", [2, 7, 40])
def test_images_smaller_than_the_filters_are_reflected(size):
    """The matrices must hold the same convolution of a reflected signal, however often the filter wraps around."""
    bank, x = filter_bank(), np.random.default_rng(0).standard_normal(size)
    reach = bank.shape[1] // 2
    places = np.abs(np.arange(-reach, size + reach)) % (2 * size - 2)
    reflected = x[np.minimum(places, 2 * size - 2 - places)]
    want = [np.convolve(reflected, band, "valid") for band in bank]
    np.testing.assert_allclose(filter_matrices(size) @ x, want, atol=1e-12)
