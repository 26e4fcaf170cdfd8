"""The network that a configuration names, in the compute type it asks for, and the training of one such network."""

import inspect
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import optax
from jax import Array
from ml_collections import ConfigDict

from jaxgen.configuration import is_call, unknown, written
from jaxgen.data import Spec
from jaxgen.losses.algebra import Batch, Loss, Params, scale
from jaxgen.parallel.pmap import AXIS
from jaxgen.recipes import names
from jaxgen.recipes.invoke import invoke
from jaxgen.train.player import Player, Training, training
from jaxgen.train.schedules import Schedule

DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}  # None: that of the input


def network(config: ConfigDict, kind: str, path: str = "model", **context: Any) -> nn.Module:
    """The network that the section `path` names, one of names.NETWORKS[kind], which computes in parallel.dtype and
    rematerializes where parallel.remat says so. `context` holds arguments that follow from the data. Raises ValueError
    for a network of another kind, and for what the network does not know."""
    section = reduce(ConfigDict.get, path.split("."), config)
    table = names.NETWORKS[kind]
    if section.name in names.MODELS and section.name not in table:
        raise ValueError(f"{path}={section.name} is no {kind}: take {path}={' or '.join(table)}.")
    wanted = {"dtype": config.parallel.dtype, "remat": config.parallel.remat}
    for key in wanted:
        if key in section:
            raise ValueError(f"{path}.{key} is set for every network at once: set parallel.{key} instead.")
    if wanted["dtype"] not in DTYPES:
        raise unknown("parallel.dtype", wanted["dtype"], DTYPES)
    fields = {"dtype": DTYPES[wanted["dtype"]], "remat": wanted["remat"]}
    fields = {key: value for key, value in fields.items() if value}
    module: nn.Module = invoke(table, section, path, **context, **fields)
    for key in fields:
        if not hasattr(module, key):
            raise ValueError(f"the network {section.name} knows no {key}: leave out parallel.{key}={wanted[key]}.")
    return module


def classes(data: ConfigDict, spec: Spec) -> int:
    """How many classes the networks are told of; 0 where they are told of none. Raises ValueError where there are
    none."""
    if data.conditional and spec.num_classes is None:
        raise ValueError(
            f"data.conditional=True needs labels, but {data.dataset} has none: sort its images into one folder "
            "per class, or set data.conditional=False."
        )
    return (spec.num_classes or 0) if data.conditional else 0


def alone(config: ConfigDict, name: str, init_params: Callable[[Array, Batch], Params], loss: Loss) -> Training:
    """The training of the one network `name` by `loss`, as the sections optimizer, ema, train and parallel say."""
    return played(config, init_params, [Player((name,), loss, optimizer(config))])


def optimizer(config: ConfigDict, path: str = "optimizer", lazy: int = 1) -> optax.GradientTransformation:
    """The optimizer that the section `path` names, of a player whose lazy loss is due at every `lazy`-th step. Raises
    ValueError for one that is not made for that."""
    section = reduce(ConfigDict.get, path.split("."), config)
    tx: optax.GradientTransformation = invoke(names.OPTIMIZERS, section, path, **({} if lazy == 1 else {"lazy": lazy}))
    if lazy > 1 and "lazy" not in inspect.signature(names.OPTIMIZERS[section.name]).parameters:
        raise ValueError(f"{path}={section.name} cannot be rescaled for lazy={lazy}: take {path}=adam, or lazy=1.")
    return tx


def played(config: ConfigDict, init_params: Callable[[Array, Batch], Params], players: Sequence[Player]) -> Training:
    """The training of `players`, as the sections ema, train and parallel say."""
    return training(
        init_params,
        players,
        ema=invoke(names.AVERAGES, config.ema, "ema"),
        accumulate=config.parallel.accumulate,
        axis_name=AXIS if config.parallel.mapping == "pmap" else None,
        max_skipped=config.train.max_skipped,
    )


def asked(loss: ConfigDict, *keys: str) -> list[str]:
    """Those of the `keys` of the section "loss" that are set, with their values, as text."""
    given = {key: loss[key] for key in keys if loss[key] is not None}
    return [f"{key} {written(value) if isinstance(value, ConfigDict) else value}" for key, value in given.items()]


def weighted(where: str, value: Any, loss: Loss) -> Loss:
    """The loss with the weight that the key `where` has; None leaves it as it is."""
    factor = weight(where, value)
    return loss if factor is None else scale(factor, loss)


def weight(where: str, value: Any) -> float | Schedule | None:
    """A weight as a configuration has it: a number, a schedule of the step, or None: not there."""
    if value is None or isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if not is_call(value):
        raise ValueError(
            f'{where} must be a number, a schedule such as call("linear", start=0.0, end=1.0, steps=1000), or None, '
            f"got {value!r}."
        )
    schedule: Schedule = invoke(names.SCHEDULES, value, where)
    return schedule
