"""What is nearest in two sets of features: tables that figures and pictures share."""

from functools import cached_property
from typing import Any

import numpy as np

from jaxgen.evaluate.distribution.neighbours import nearest, nearest_others
from jaxgen.evaluate.distribution.prdc import Membership, membership, realism_within

K = 5  # neighbours that are searched for, the most that any figure or picture has
BALLS = 3  # neighbours that the balls of realism reach

Table = tuple[np.ndarray, np.ndarray]  # squared distances, ascending, and whose


class Neighbourhood:
    """The neighbours of features of images `real` [n, ...] and samples `fake` [m, ...], arrays or rows that are read in
    blocks. Each table is searched when it is first asked for, once for all that ask."""

    def __init__(self, real: Any, fake: Any):
        self.real, self.fake = real, fake
        self.members: dict[int, Membership] = {}

    @cached_property
    def among_real(self) -> Table:
        """Of each real image the K nearest other ones [n, K], or all of fewer."""
        return nearest_others(self.real, min(K, len(self.real) - 1))

    @cached_property
    def among_fake(self) -> Table:
        """The same of each sample [m, K]."""
        return nearest_others(self.fake, min(K, len(self.fake) - 1))

    @cached_property
    def across(self) -> Table:
        """Of each sample the K nearest real images [m, K], infinitely far beyond those that there are."""
        return nearest(self.fake, self.real, K)

    @cached_property
    def realism(self) -> np.ndarray:
        """That of each sample [m]. Raises ValueError where most real images are there BALLS + 1 times."""
        return realism_within(radii(self.among_real, BALLS), self.real, self.fake)

    def membership(self, k: int) -> Membership:
        """Samples and real images in the balls of each other, up to the k-th neighbour among their own kind."""
        if k not in self.members:
            balls = radii(self.among_fake, k), radii(self.among_real, k)
            self.members[k] = membership(self.fake, self.real, *balls)
        return self.members[k]


def radii(among: Table, k: int) -> np.ndarray:
    """Squared distance [n] to the k-th nearest other one. Raises ValueError where there are not so many."""
    squared = among[0]
    if squared.shape[1] < k:
        raise ValueError(f"a k = {k} neighbourhood needs more than {k} samples, got {len(squared)}.")
    return squared[:, k - 1]
