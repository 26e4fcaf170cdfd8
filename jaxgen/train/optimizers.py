"""The optimizers published recipes use, as one optax chain."""

from typing import Any

import jax
import optax


def adam(
    learning_rate: float,
    warmup: int = 0,
    decay_steps: int | None = None,
    clip: float | None = None,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """Adam (AdamW with weight_decay) with global-norm clipping, linear warm-up from 0 over `warmup` steps and, with
    `decay_steps`, a cosine to 0 at that step. Weight decay acts on `matrices` only."""
    rate = optax.constant_schedule(learning_rate)
    if decay_steps is not None:
        rate = optax.cosine_decay_schedule(learning_rate, max(decay_steps - warmup, 1))
    if warmup:
        rate = optax.join_schedules([optax.linear_schedule(0.0, learning_rate, warmup), rate], [warmup])
    clipping = [] if clip is None else [optax.clip_by_global_norm(clip)]
    decayed = optax.adamw(rate, b1, b2, eps, weight_decay=weight_decay, mask=matrices)
    return optax.chain(*clipping, decayed)


def matrices(params: Any) -> Any:
    """True for the leaves that weight decay acts on: kernels, not biases, scales or frozen frequencies."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
