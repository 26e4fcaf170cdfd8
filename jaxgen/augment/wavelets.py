"""Orthogonal wavelets: the filters by which images are resampled and divided into frequency bands.

    sum_n h[n] h[n + 2k] = delta_k        sum_n (-1)^n n^m h[n] = 0 for m < N        sum_n h[n] = sqrt 2

h is the low-pass filter of the symlet with N vanishing moments, 2N taps. By the first equation a signal that h has
enlarged to twice its rate comes back unchanged through the mirrored h.

Source: Daubechies 1992, "Ten Lectures on Wavelets"; bands as in Karras et al. 2020 (2006.06676).
"""

import numpy as np

SYM2 = np.array([-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025])
SYM6 = np.array(
    [
        *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
        *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
        *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
    ]
)
BANDS = 4


def filter_bank(bands: int = BANDS) -> np.ndarray:
    """[bands, taps]: symmetric filters that sum to the unit impulse. Band 0 holds the frequencies [0, pi/2^(bands-1)],
    band i > 0 the i-th octave above.

        E_0 = 1,    E_j(z) <- E_j(z^2) L(z) for j < i,    E_i(z) = U(z),    i = 1 .. bands - 1

    with L(z) = H(z) H(1/z) / 2 and U(z) = H(-z) H(-1/z) / 2 of H = sym2.
    """
    low = np.convolve(SYM2, SYM2[::-1]) / 2
    high = low * (-1.0) ** (np.arange(low.size) - low.size // 2)
    bank = np.eye(bands, 1)
    for i in range(1, bands):
        spread = np.zeros((bands, 2 * bank.shape[1] - 1))
        spread[:, ::2] = bank
        bank = np.stack([np.convolve(row, low) for row in spread])
        middle = (bank.shape[1] - high.size) // 2
        bank[i, middle : middle + high.size] += high
    return bank


def filter_matrices(size: int) -> np.ndarray:
    """[BANDS, size, size]: what each band keeps of a signal of `size` samples, reflected at its ends."""
    bank = filter_bank()
    reflected = np.pad(np.eye(size), ((bank.shape[1] // 2,) * 2, (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(reflected, bank.shape[1], axis=0)
    return np.einsum("kt,ijt->kij", bank, windows)
