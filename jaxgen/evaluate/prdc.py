"""Precision, recall, density and coverage by k nearest neighbours."""

from typing import NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike

from jaxgen.evaluate.neighbours import BLOCK, as_features, leave_one_out, nearest, squared_distances


class PRDC(NamedTuple):
    """Fractions in [0, 1], but for density, which may exceed 1."""

    precision: float
    recall: float
    density: float
    coverage: float


@jax.jit
def balls_containing(queries: jax.Array, centres: jax.Array, squared_radii: jax.Array) -> jax.Array:
    """How many closed balls |x - centre_i|^2 <= r_i^2 hold each query x; int [m]."""

    def row(query: jax.Array) -> jax.Array:
        return (squared_distances(query, centres) <= squared_radii).sum()

    return jax.lax.map(row, queries, batch_size=BLOCK)


def prdc(real: ArrayLike, fake: ArrayLike, k: int = 5) -> PRDC:
    """With B(y) the closed ball around y up to its k-th nearest neighbour among its own kind, y itself excluded:

        precision = mean_fake [x in some B(real)]       recall   = mean_real [y in some B(fake)]
        density   = mean_fake #{B(real) holding x} / k  coverage = mean_real [B(y) holds some fake]

    Kynkaanniemi et al. (2019), eq. 1-2; Naeem et al. (2020), eq. 3-4. real [n, ...] and fake [m, ...] are
    features, flattened, compared by Euclidean distance. Membership counts equality, which matters for
    quantised features, where distances tie. Raises ValueError unless n, m > k.
    """
    real, fake = as_features(real), as_features(fake)
    if real.shape[1] != fake.shape[1]:
        raise ValueError(f"features of one dimension are compared, got {real.shape[1]} and {fake.shape[1]}.")
    real_radii, fake_radii = leave_one_out(real, k), leave_one_out(fake, k)
    around_fake = np.asarray(balls_containing(fake, real, real_radii))
    around_real = np.asarray(balls_containing(real, fake, fake_radii))
    reached = np.asarray(nearest(real, fake)[0][:, 0] <= real_radii)
    return PRDC(
        precision=float(np.mean(around_fake > 0)),
        recall=float(np.mean(around_real > 0)),
        density=float(np.mean(around_fake)) / k,
        coverage=float(np.mean(reached)),
    )
