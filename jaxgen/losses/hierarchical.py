r"""The variational bound of a hierarchical VAE, group by group.

-log p(x) <= E_q[-log p(x | z)] + sum_i E_q KL(q(z_i | z_<i, x) || p(z_i | z_<i))
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.losses.algebra import Aux, Batch, Loss, Params, Weight, add, scale
from jaxgen.losses.likelihoods import Likelihood
from jaxgen.losses.vae import distortion


def hierarchical(
    apply: Callable[..., tuple[Any, dict[str, Any]]],
    likelihood: Likelihood,
    resolutions: Sequence[int],
    beta: Weight = 1.0,
    balance: int = 0,
) -> Loss:
    """distortion + beta `rate` in nats of batch["x"] [B, H, W, C] in model space. Warm-up is a schedule of the step as
    `beta`.

    apply: (params, x, cond, keys, train=True) -> ((parameters, KL_i [B] of every group), updates), a `stateful`
    hierarchy with groups of these `resolutions`. The metric "bits_per_dim" is the unweighted bound.
    """
    terms = add(distortion(likelihood), scale(beta, rate(resolutions, balance)))

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        (parameters, kls), updates = apply(params, batch["x"], batch.get("cond"), keys, train=True)
        value, aux = terms(params, {**batch, "parameters": parameters, "kls": kls}, keys)
        bits = (aux.metrics["distortion"] + aux.metrics["rate"]) / (batch["x"][0].size * np.log(2))
        return value, Aux({"bits_per_dim": bits, **aux.metrics}, updates)

    return loss


def rate(resolutions: Sequence[int], balance: int = 0) -> Loss:
    """sum_i KL_i of batch["kls"], [B] nats of every group; at steps before `balance` the KL_i are `balanced`. Metrics:
    "rate", the plain sum, and its parts "kl/8x8", all groups of a resolution, and "kl/group_03"."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        kls = batch["kls"]
        value = plain = sum(kls[1:], kls[0])
        if balance:
            value = jnp.where(batch["step"] < balance, balanced(kls, resolutions), plain)
        metrics = {
            "rate": plain,
            **{
                f"kl/{r}x{r}": sum(kl for kl, own in zip(kls, resolutions, strict=True) if own == r)
                for r in sorted(set(resolutions))
            },
            **{f"kl/group_{i:02d}": kl for i, kl in enumerate(kls)},
        }
        return value, Aux(metrics)

    return loss


def balanced(kls: Sequence[Array], resolutions: Sequence[int]) -> Array:
    """sum_i gamma_i KL_i, [B]: gamma_i is proportional to the mean of |KL_i| + 0.01 over the batch and inversely to the
    share r^2 / (groups at r) of a group in the latent variables of its resolution r; their mean is 1 and no gradient
    goes through them. Groups that already say little cost little, so that none is left unused (2007.03898 appendix A,
    with the numbers of its code)."""
    share = np.asarray([r**2 / list(resolutions).count(r) for r in resolutions])
    stacked = jnp.stack([*kls])
    gamma = (jnp.mean(jnp.abs(stacked), axis=1) + 0.01) * (share.min() / share)
    gamma = jax.lax.stop_gradient(gamma / jnp.mean(gamma))
    return jnp.sum(gamma[:, None] * stacked, axis=0)
