"""The recipe of a normalizing flow, whichever network, base and dequantization its configuration names."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from jaxgen import gaussian
from jaxgen.bijectors.bijector import Bijector
from jaxgen.configuration import written
from jaxgen.data import Spec
from jaxgen.losses import flow
from jaxgen.losses.algebra import Aux, Batch, Loss, Params, drop_condition
from jaxgen.losses.importance import serial
from jaxgen.models.bind import stateful
from jaxgen.models.layers.labels import labels
from jaxgen.recipe import Likelihood, Recipe
from jaxgen.recipes import names
from jaxgen.recipes.invoke import invoke
from jaxgen.recipes.latent import drawn
from jaxgen.recipes.network import classes, network, optimizer, played
from jaxgen.recipes.space import Statistics, enter, model_space
from jaxgen.sampling.tweedie import tweedie
from jaxgen.train.player import Player

FLOW, DEQUANTIZER = "flow", "dequantizer"  # the names of the networks among the parameters


def build(config: ConfigDict, spec: Spec, statistics: Statistics | None) -> Recipe:
    """`config` on data of `spec`. Raises ValueError, naming the key."""
    check_noise(config)
    count, size, std = classes(config.data, spec), math.prod(spec.shape), config.loss.noise
    space = model_space(config.data, spec.levels, statistics)
    module: Any = network(config, "flow", shape=spec.shape, num_classes=count)
    denoise = bool(std and config.sampling.denoise)
    null = null_class(config, module, count)
    guide = guidance(config, module, null)
    noise = dequantizer_of(config, spec, count)
    base: flow.Base = invoke(names.BASES, config.base, "base")
    owns = (FLOW,) if noise is None else (FLOW, DEQUANTIZER)

    def init_params(key: Array, batch: Batch) -> Params:
        first, second, noise_key, eps_key = jax.random.split(key, 4)
        if batch is None:  # where only shapes count
            batch = {"x": jnp.zeros((2, *spec.shape)), **({"label": jnp.zeros((2,), jnp.int32)} if count else {})}
        x, cond = batch["x"], batch.get("label")
        v = entered(jax.random.split(noise_key, x.shape[0]), x)
        variables = {FLOW: module.init(first, v, cond)}
        if noise is None:
            return variables
        return {**variables, DEQUANTIZER: noise.init(second, v, jax.random.normal(eps_key, v.shape), cond)}

    def entered(keys: Array, x: Array) -> Array:
        v = enter(space)(keys, x)
        return gaussian.sample(keys, flow.NOISE, v, jnp.log(std)) if std else v

    def density(train: bool, keyed: bool) -> Loss:
        """-log p(v) in nats of v in model space."""
        return flow.density(applied(module, FLOW, train), base, keyed)

    def bound(train: bool) -> Loss:
        """-log P(x) in nats of batches in levels, a draw of it."""
        dequantizer = (
            flow.uniform
            if noise is None
            else flow.variational(applied(noise, DEQUANTIZER, train), space.bins, keyed=train)
        )
        return flow.dequantized(dequantizer, space.bins, density(train, train or module.estimated))

    settled = bound(False)
    trained = flow.noised(std, space.bijection, density(True, True)) if std else bound(True)
    trained = trained if null is None else drop_condition(config.loss.drop_condition, null, trained)

    def draw(params: Params, keys: Array, x: Array, cond: Any = None) -> Array:
        return -settled(params, {"x": x} if cond is None else {"x": x, "cond": cond}, keys)[0]

    def importance(params: Params, keys: Array, x: Array, cond: Any = None) -> Array:
        return serial(lambda own: draw(params, own, x, cond), keys, config.likelihood.importance)

    def latent(params: Params, keys: Array, cond: Any = None) -> Array:
        return config.sampling.temperature * base.sample(keys, size)

    def mapped(params: Params, x: Array, cond: Any, run: Callable[[Bijector], Array]) -> Array:
        """What `run` makes of the flow that images are drawn by."""
        told = labels(cond, count, len(x))
        mapped: Array = module.apply(params[FLOW], method=lambda flow: run(guide(flow, told)))
        return mapped

    def encode(params: Params, keys: Array, x: Array, cond: Any = None) -> Array:
        v = entered(keys, x)
        return mapped(params, v, cond, lambda bijector: bijector.forward(v))

    def decode(params: Params, z: Array, keys: Array | None = None, cond: Any = None) -> Array:
        v = mapped(params, z, cond, lambda bijector: bijector.inverse(z))
        if denoise:
            nats = density(False, module.estimated)
            own = jax.random.split(jax.random.key(0), len(z)) if keys is None else keys
            v = tweedie(lambda v: -nats(params, {"x": v, "cond": cond}, own)[0], v, std)
        return space.leave(v)

    of_noised = f" by a density of images with noise of standard deviation {std:g}" if std else ""
    noised = f"{config.dequantizer.name} dequantization of the integers{of_noised}"
    if module.estimated:  # a mean of exp(estimates) would be no bound
        likelihoods = {
            "bits_per_dim": Likelihood(draw, f"{noised}, bins of 1, log-determinants estimated without bias")
        }
    else:
        samples = config.likelihood.importance
        likelihoods = {
            "bits_per_dim": Likelihood(draw, f"{noised}, bins of 1"),
            "bits_per_dim_importance": Likelihood(
                importance, f"importance-weighted dequantization of the integers{of_noised}, K = {samples}"
            ),
        }

    return Recipe(
        played(
            config,
            init_params,
            [Player(owns, in_bits(trained, size, "bits_per_dim_noised" if std else "bits_per_dim"), optimizer(config))],
        ),
        sample=drawn(latent, decode),
        likelihoods=likelihoods,
        enter=entered,
        latent=latent,
        encode=encode,
        decode=decode,
        about={
            "network": written(config.model),
            "dequantizer": written(config.dequantizer) + ", of likelihoods alone" * bool(std),
            "base": written(config.base),
            "objective": "likelihood in nats a dimension" + f" of images with noise of {std:g}" * bool(std),
            "optimizer": written(config.optimizer),
            "sampling": f"the image of a draw of the base at temperature {config.sampling.temperature:g}, guidance "
            f"{config.sampling.guidance:g}" + ", denoised" * denoise,
        },
    )


def check_noise(config: ConfigDict) -> None:
    """Raises ValueError unless the integers are given a density in one way."""
    if config.loss.noise and (config.data.dequantize or config.dequantizer.name != "uniform"):
        raise ValueError(
            f"loss.noise={config.loss.noise:g} takes the place of dequantization in training: set "
            "data.dequantize=False and leave out dequantizer."
        )
    if not (config.loss.noise or config.data.dequantize):
        raise ValueError("family=flow is a density, which integers have none of: set data.dequantize=True.")


def null_class(config: ConfigDict, module: Any, count: int) -> int | None:
    """The class that stands for none, where the flow is trained with it."""
    if not config.loss.drop_condition:
        return None
    if not count:
        raise ValueError("loss.drop_condition needs a condition to drop: set data.conditional=True.")
    if not hasattr(module, "guided"):
        raise ValueError(
            f"model={config.model.name} knows no class that stands for none: leave out loss.drop_condition."
        )
    return count


def guidance(config: ConfigDict, module: Any, null: int | None) -> Callable[[Any, Array | None], Bijector]:
    """(flow, cond [B] or None) -> the bijector that images are drawn by, as the section "sampling" says."""
    weight, temperature = config.sampling.guidance, config.sampling.attention_temperature
    if temperature <= 0:
        raise ValueError(f"sampling.attention_temperature must be greater than 0, got {temperature:g}.")
    if weight == 1:
        return lambda flow, cond: flow.bijector(cond)
    if not hasattr(module, "guided"):
        raise ValueError(f"model={config.model.name} knows no guidance: leave out sampling.guidance, or take tarflow.")
    if null is None and temperature == 1:
        raise ValueError(
            f"sampling.guidance={weight:g} needs something to lead away from: a model also trained without the class "
            "(data.conditional=True, loss.drop_condition=0.1), or sampling.attention_temperature=1.5."
        )

    def guided(flow: Any, cond: Array | None) -> Bijector:
        weak = cond if cond is None or null is None else jnp.full_like(cond, null)
        return flow.guided(cond, weak, weight, temperature)

    return guided


def dequantizer_of(config: ConfigDict, spec: Spec, count: int) -> nn.Module | None:
    """The network that draws the noise; None where it is U[0, 1)."""
    if config.dequantizer.name == "uniform":
        return None
    return network(config, "dequantizer", "dequantizer", shape=spec.shape, num_classes=count)


def applied(module: nn.Module, name: str, train: bool) -> flow.Apply:
    """(params, *arrays, cond, keys) -> (output, updates) of `module`, as losses call it; collections move if `train`,
    of a module that has any."""
    apply = stateful(module, name)
    return lambda params, *arrays: apply(params, *arrays, train=train)


def in_bits(loss: Loss, size: int, metric: str) -> Loss:
    """-log P(x) of {"x", "cond"} in nats -> of batches as the pipeline serves them, in nats a dimension, with the
    `metric` in bits of it."""

    def reported(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        cond = {"cond": batch["label"]} if "label" in batch else {}
        nats, aux = loss(params, {"x": batch["x"], **cond}, keys)
        return nats / size, aux._replace(metrics={**aux.metrics, metric: nats / (size * math.log(2))})

    return reported
