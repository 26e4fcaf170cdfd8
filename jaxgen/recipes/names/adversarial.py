"""The names in the loss of a critic, and in what it sees."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from jaxgen.augment import probability
from jaxgen.augment.ada import ada
from jaxgen.augment.augmented import unaugmented
from jaxgen.augment.differentiable import differentiable
from jaxgen.losses import adversarial
from jaxgen.recipes.names.common import SCHEDULES
from jaxgen.recipes.names.table import Table, constant
from jaxgen.train import schedules

OBJECTIVES: Table = {  # of critic and generator
    "minimax": constant(adversarial.minimax),
    "non_saturating": constant(adversarial.non_saturating),
    "smoothed": adversarial.smoothed,
    "hinge": constant(adversarial.hinge),
    "wasserstein": constant(adversarial.wasserstein),
    "least_squares": adversarial.squared,
    "relativistic": constant(adversarial.relativistic),
    "relativistic_average": constant(adversarial.relativistic_average),
}


def scheduled_probability(schedule: Callable[..., schedules.Schedule]) -> Callable[..., probability.Probability]:
    """The probability of augmentation that goes by `schedule`, with its arguments."""

    @wraps(schedule)
    def made(**arguments: Any) -> probability.Probability:
        return probability.scheduled(schedule(**arguments))

    return made


PROBABILITIES: Table = {  # of augmentations
    "adaptive": probability.adaptive,
    **{name: scheduled_probability(schedule) for name, schedule in SCHEDULES.items()},
}
AUGMENTATIONS: Table = {  # of all that a critic sees
    "none": unaugmented,
    "ada": ada,
    "differentiable": differentiable,
}
