"""Standing statistics: the batch statistics of a generator, measured anew before it is sampled.

    mean = E_b[mean_b]      var = E_b[var_b] + Var_b[mean_b]

over `batches` batches of fakes of the generator itself, so that an averaged generator is normalized by statistics of
its own. In evaluation a layer then normalizes by the moments of all these fakes together. Power
iterations stay where they are.

Source: Brock et al. 2019 (1809.11096); the variance between batches is added.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.denoiser import Params


def standing(module: Any, name: str, batches: int, batch_size: int) -> Callable[[Params, Array], Params]:
    """(params, key) -> params, in which the network `name`, a generator `module`, has the statistics of `batches`
    batches of N(0, I) latents and uniformly drawn classes. A generator without batch statistics is left alone."""

    def prepare(params: Params, key: Array) -> Params:
        variables = params[name]
        if "batch_stats" not in variables or not batches:
            return params

        def moments(key: Array) -> Any:
            of_z, of_cond = jax.random.split(key)
            z = jax.random.normal(of_z, (batch_size, module.latent))
            cond = jax.random.randint(of_cond, (batch_size,), 0, module.num_classes) if module.num_classes else None
            _, shown = module.apply(variables, z, cond, train=True, mutable=["moments"])
            return shown["moments"]

        measured = jax.lax.map(moments, jax.random.split(key, batches))

        def together(layer: dict[str, Any]) -> dict[str, Any]:
            if set(layer) != {"mean", "var"}:
                return {part: together(inner) for part, inner in layer.items()}
            var = jnp.mean(layer["var"], 0) + jnp.var(layer["mean"], 0)
            return {"mean": jnp.mean(layer["mean"], 0), "var": var}

        return {**params, name: {**variables, "batch_stats": together(measured)}}

    return prepare
