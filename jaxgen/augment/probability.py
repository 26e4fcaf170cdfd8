"""The probability p of augmentations, a running value: params["augment"]["state"]["p"].

    adaptive:  p <- clip(p + sign(E[sign D(x)] - target) batch interval / images, 0, 1), every `interval` moves
    scheduled: p = p(step)

Source: Karras et al. 2020 (2006.06676), who clip p at 0 only: that it stays a probability is added here.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.losses.algebra import Aux, Batch, Loss, Params


class Probability(NamedTuple):
    """start: p before the first step. follow: (the critic's loss, size of the whole batch) -> the same loss, which also
    moves p, reported as the metric "augment/p". signed: whether it does so by the sign of logits."""

    start: float | Array
    follow: Callable[[Loss, int], Loss]
    signed: bool = False


def initial(p: float | Array) -> dict[str, Any]:
    """The variables of "augment" before the first step. "signs" is the mean of sign D(x), summed over the "calls" of
    the loss since p moved."""
    state = {"p": np.asarray(p, np.float32), "signs": np.zeros((), np.float32), "calls": np.zeros((), np.float32)}
    return {"params": {}, "state": state}


def current(params: Params) -> Array:
    """p, a scalar."""
    if "augment" not in params:
        raise ValueError(f"expected the probability of augmentation in params['augment'], got only {sorted(params)}.")
    p: Array = params["augment"]["state"]["p"]
    return p


def adaptive(
    target: float = 0.6, interval: int = 4, images: float = 500_000, start: float = 0.0, real: str = "logits/real"
) -> Probability:
    """p such that sign D(x) is `target` in the mean over the data; it goes from 0 to 1 in `images` images that the
    critic learns from at the fastest. `real` names the metric that holds D(x); "augment/sign" reports its sign.

    What moves p was summed in the moves before, so that every device and every part of a batch moves it alike. An
    objective that is not `adversarial.centred` leaves D(x) without a zero that tells: take a schedule there.
    """

    def follow(loss: Loss, batch_size: int) -> Loss:
        def followed(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
            p, (signs, calls) = current(params), (params["augment"]["state"][name] for name in ("signs", "calls"))
            due = calls == interval
            moved = p + batch_size * interval / images * jnp.sign(signs / interval - target)
            p = jnp.where(due, jnp.clip(moved, 0, 1), p)
            value, aux = loss(at(p, params), batch, keys)
            if real not in aux.metrics:
                raise ValueError(f"adaptive augmentation follows the metric {real!r}, got {sorted(aux.metrics)}.")
            sign = jnp.sign(aux.metrics[real])
            since = jnp.where(due, 0, signs), jnp.where(due, 0, calls)
            state = {"p": p, "signs": since[0] + jnp.mean(sign), "calls": since[1] + 1}
            return value, reported(aux, state, {"augment/p": jnp.full(keys.shape, p), "augment/sign": sign})

        return followed

    return Probability(start, follow, signed=True)


def scheduled(schedule: Callable[[Array], Array]) -> Probability:
    """p = schedule(step)."""

    def follow(loss: Loss, batch_size: int) -> Loss:
        def followed(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
            p = jnp.asarray(schedule(batch["step"]), jnp.float32)
            value, aux = loss(at(p, params), batch, keys)
            state = {**params["augment"]["state"], "p": p}
            return value, reported(aux, state, {"augment/p": jnp.full(keys.shape, p)})

        return followed

    return Probability(schedule(jnp.zeros((), jnp.int32)), follow)


def at(p: Array, params: Params) -> Params:
    """The same parameters with this probability, that all of one step sees."""
    state = {**params["augment"]["state"], "p": p}
    return {**params, "augment": {**params["augment"], "state": state}}


def reported(aux: Aux, state: dict[str, Array], metrics: dict[str, Array]) -> Aux:
    """`aux` with these metrics and the new state."""
    return Aux({**aux.metrics, **metrics}, {**aux.updates, "augment": {"state": state}})
