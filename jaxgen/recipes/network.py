"""The network that a configuration names, in the compute type it asks for, and the training of one such network."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from jaxgen.configuration import unknown
from jaxgen.losses.algebra import Batch, Loss, Params
from jaxgen.parallel.pmap import AXIS
from jaxgen.recipes import names
from jaxgen.recipes.names import invoke
from jaxgen.train.player import Player, Training, training

DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}  # None: that of the input


def network(config: ConfigDict, **context: Any) -> nn.Module:
    """The network of the section "model", which computes in parallel.dtype and rematerializes where parallel.remat says
    so. `context` holds arguments that follow from the data. Raises ValueError for what the network does not know."""
    wanted = {"dtype": config.parallel.dtype, "remat": config.parallel.remat}
    for key in wanted:
        if key in config.model:
            raise ValueError(f"model.{key} is set for every network at once: set parallel.{key} instead.")
    if wanted["dtype"] not in DTYPES:
        raise unknown("parallel.dtype", wanted["dtype"], DTYPES)
    asked = {"dtype": DTYPES[wanted["dtype"]], "remat": wanted["remat"]}
    asked = {key: value for key, value in asked.items() if value}
    module: nn.Module = invoke(names.MODELS, config.model, "model", **context, **asked)
    for key in asked:
        if not hasattr(module, key):
            raise ValueError(f"the network {config.model.name} knows no {key}: leave out parallel.{key}={wanted[key]}.")
    return module


def alone(config: ConfigDict, name: str, init_params: Callable[[Array, Batch], Params], loss: Loss) -> Training:
    """The training of the one network `name` by `loss`, as the sections optimizer, ema, train and parallel say."""
    return training(
        init_params,
        [Player((name,), loss, invoke(names.OPTIMIZERS, config.optimizer, "optimizer"))],
        ema=invoke(names.AVERAGES, config.ema, "ema"),
        accumulate=config.parallel.accumulate,
        axis_name=AXIS if config.parallel.mapping == "pmap" else None,
        max_skipped=config.train.max_skipped,
    )
