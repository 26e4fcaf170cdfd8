"""Which checkpoints are the best: those with the lowest or highest value of a metric."""

from collections.abc import Mapping
from typing import NamedTuple


class Best(NamedTuple):
    """The `keep` best by `metric`, whose value at a checkpoint is the mean of what was logged since the one before, as
    far as that is finite."""

    metric: str
    keep: int
    sign: int  # 1: the lowest, -1: the highest

    def among(self, values: Mapping[int, float]) -> set[int]:
        """The best of {step: finite value}, the later of equals."""
        return set(sorted(values, key=lambda step: (self.sign * values[step], -step))[: self.keep])


def lowest(metric: str = "loss", keep: int = 1) -> Best:
    """Those with the lowest values."""
    return best(metric, keep, 1)


def highest(metric: str = "loss", keep: int = 1) -> Best:
    """Those with the highest values."""
    return best(metric, keep, -1)


def best(metric: str, keep: int, sign: int) -> Best:
    if keep < 1:
        raise ValueError(f'train.best must keep at least 1 checkpoint, got keep={keep}: set it, or take call("none").')
    return Best(metric, keep, sign)
