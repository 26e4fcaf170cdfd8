r"""LeCam regularization: the critic's logits stay near running means of the logits of the other kind.

    max(0, D(x) - a_F)^2 + max(0, a_R - D(G(z)))^2

Source: Tseng et al. 2021, "Regularizing Generative Adversarial Networks under Limited Data" (2104.03310),
with each kind held on its own side only, as in the authors' release.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import relu

from jaxgen.losses.adversarial import Critic, Generate, fake_keys, real_keys
from jaxgen.losses.algebra import Aux, Batch, Loss, Params
from jaxgen.losses.denoising import mean

NETWORK = "lecam"


def unanchored() -> dict[str, Any]:
    """The pseudo-network `lecam` before the first step. The critic's player owns it."""
    return {"params": {}, "state": {"real": jnp.zeros(()), "fake": jnp.zeros(()), "calls": jnp.zeros(())}}


def held(r: Array, f: Array, anchor_real: Array, anchor_fake: Array) -> Array:
    """max(0, r - a_F)^2 + max(0, a_R - f)^2, of the shape of the logits."""
    return jnp.square(relu(r - anchor_fake)) + jnp.square(relu(anchor_real - f))


def lecam(critic: Critic, generate: Generate, decay: float = 0.99) -> Loss:
    """The regularizer of unit weight. The anchors a are exponential means of the logits, plain means over the first
    1 / (1 - decay) calls, which the loss counts itself: it may be due at some steps only."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        cond, state = batch.get("cond"), params[NETWORK]["state"]
        r, _ = critic(params, batch["x"], cond, real_keys(keys))
        f, _ = critic(params, generate(params, batch, keys)[0], cond, fake_keys(keys))
        kept = jnp.minimum(decay, state["calls"] / (state["calls"] + 1))

        def moved(anchor: Array, logits: Array) -> Array:
            return jax.lax.stop_gradient(kept * anchor + (1 - kept) * jnp.mean(logits)).astype(anchor.dtype)

        new = {"real": moved(state["real"], r), "fake": moved(state["fake"], f)}
        updates = {NETWORK: {"state": {**new, "calls": state["calls"] + 1}}}
        return mean(held(r, f, new["real"], new["fake"])), Aux({}, updates)

    return loss
