"""Classes, for networks without a null class: whoever has classes must be told one."""

import jax.numpy as jnp
from jax import Array


def labels(cond: Array | None, num_classes: int, batch: int) -> Array | None:
    """int [batch] class labels, or None for a network without classes; anything else is a ValueError."""
    if not num_classes:
        if cond is not None:
            raise ValueError("a condition came to a network without classes; build it with num_classes > 0.")
        return None
    if cond is None:
        raise ValueError(
            f"a network of {num_classes} classes was given no class; pass one integer label an example, [{batch}]."
        )
    if cond.shape != (batch,) or not jnp.issubdtype(cond.dtype, jnp.integer):
        raise ValueError(
            f"expected one integer class label per example, shape ({batch},), got {cond.dtype} {cond.shape}; "
            "pass the label itself, not its one-hot code."
        )
    return cond
