"""Every kind of process the library makes, for tests that hold on all of them."""

import numpy as np

from jaxgen.sde import (
    SDE,
    cosine,
    ddpm,
    discretize,
    edm,
    geometric_sigmas,
    linear_betas,
    ncsn,
    rectified_flow,
    subvp,
    vdm,
    ve,
    vp,
)

SDES = {
    "vp": vp(),
    "subvp": subvp(),
    "ve": ve(),
    "edm": edm(),
    "cosine": cosine(),
    "rectified_flow": rectified_flow(),
    "vdm": vdm(),
    "ddpm": ddpm(linear_betas()),
    "ncsn": ncsn(geometric_sigmas()),
    "discretized_vp": discretize(vp(), 100),
}


def times(sde: SDE, n: int = 9) -> np.ndarray:
    """n times from t0 to t1 that float32 holds exactly, as float64: the same ones in both precisions."""
    return np.linspace(sde.t0, sde.t1, n).astype(np.float32).astype(np.float64)
