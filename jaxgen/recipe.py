"""What the command line needs of a model of any family: pure functions of parameters and arrays."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jax import Array

from jaxgen.classifier import Classifier
from jaxgen.denoiser import Denoiser
from jaxgen.train.player import Training

Params = Any  # {network name: variables}


class Recipe(NamedTuple):
    """Functions of (params, arrays with a leading axis B, one key per example [B]); None is what a family cannot do.

    training:   init and step of `jaxgen.train.player.training`; batches hold "x", integer levels [B, H, W, C], and
                "label" [B] int32 for a conditional model.
    sample:     (params, keys [B], cond [B] or None, control=Control()) -> images [B, H, W, C], levels as whole numbers
                in float32, NaN where sampling failed; what `control` steers lies in model space.
    trajectory: the same -> [T, B, H, W, C] from noise to image, in units of levels, not rounded; or None.
    log_prob:   (params, keys [B], x [B, H, W, C] levels, cond) -> [B] nats, an unbiased estimate of a lower bound on
                log P(x) through a density; or None.
    bound:      the same through the variational bound on the integers themselves; or None.
    evaluations: how often sampling calls the network for an image, or None where the solver chooses.
    enter:      (keys [B], x [B, H, W, C] levels) -> model space [B, H, W, C], as training sees it.
    denoiser:   params -> `Denoiser` in model space, what samplers, guidance and inverse problems take.
    classifier: params -> `Classifier` of noisy images in model space.
    """

    training: Training
    sample: Callable[..., Array] | None = None
    trajectory: Callable[..., Array] | None = None
    log_prob: Callable[[Params, Array, Array, Any], Array] | None = None
    bound: Callable[[Params, Array, Array, Any], Array] | None = None
    evaluations: int | None = None
    enter: Callable[[Array, Array], Array] | None = None
    denoiser: Callable[[Params], Denoiser] | None = None
    classifier: Callable[[Params], Classifier] | None = None
