"""The recipe of an autoregressive model, whichever network and likelihood its configuration names, of pixels or of the
codes of a trained autoencoder."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from jaxgen.configuration import written
from jaxgen.data import Spec
from jaxgen.losses.algebra import Aux, Batch, Loss, Params, drop_condition
from jaxgen.losses.autoregressive import cross_entropy, log_prob
from jaxgen.losses.likelihoods import Likelihood
from jaxgen.models.bind import bind
from jaxgen.recipe import Recipe
from jaxgen.recipes import names
from jaxgen.recipes.invoke import invoke
from jaxgen.recipes.network import classes, network, optimizer, played
from jaxgen.recipes.space import Statistics
from jaxgen.recipes.tokenizer import Tokenizer, likelihoods, tokenizer
from jaxgen.sampling import filters
from jaxgen.sampling.autoregressive import Draw, Incremental, both, channels, generate, naive, pixels
from jaxgen.sampling.filters import Filter
from jaxgen.train.player import Player

NETWORK = "net"


def build(config: ConfigDict, spec: Spec, statistics: Statistics | None) -> Recipe:
    """`config` on data of `spec`. Raises ValueError, naming the key."""
    count, tokens = classes(config.data, spec), tokenizer(config, spec)
    likelihood: Likelihood = invoke(names.LIKELIHOODS, config.loss.likelihood, "loss.likelihood", levels=tokens.levels)
    if likelihood.density:
        raise ValueError(
            f"family=autoregressive is of integers, but loss.likelihood={config.loss.likelihood.name} is a density: "
            "take categorical or discretized_logistic_mixture."
        )
    if tokens.scales and config.loss.likelihood.name != "categorical":
        raise ValueError(
            f"codes have no order, which loss.likelihood={config.loss.likelihood.name} presumes: take categorical."
        )
    told: dict[str, Any] = {"shape": tokens.shape, "levels": tokens.levels, "separate": likelihood.separate}
    told["out_channels"] = likelihood.outputs(tokens.shape[-1])
    unordered: dict[str, Any] = {"one_hot": True} if tokens.scales else {}
    module: Any = network(config, "autoregressive", num_classes=count, **unordered, **told)
    check_fits(config, module, told)
    apply, null = bind(module, NETWORK), null_class(config, count)
    loss = cross_entropy(apply, likelihood, tokens.levels)
    loss = loss if null is None else drop_condition(config.loss.drop_condition, null, loss)
    loss = of_levels(loss, tokens, math.prod(tokens.shape), math.prod(spec.shape))
    draw = draw_of(config.sampling, likelihood, math.prod(tokens.shape) // module.positions, tokens.levels)
    drawing = module.clone(remat=False) if getattr(module, "remat", False) else module  # has no gradients

    def made(key: Array, x: Array, cond: Array | None) -> Params:
        return {NETWORK: module.init(key, x, cond)}

    def empty() -> tuple[Array, Array | None]:
        return jnp.zeros((1, *tokens.shape), jnp.int32), jnp.zeros((1,), jnp.int32) if count else None

    def init_params(key: Array, batch: Batch | None) -> Params:
        """The network measures the first batch, if it measures anything; without one, only shapes count."""
        frozen = tokens.frozen()
        if batch is None:
            return {**made(key, *empty()), **frozen}
        x = tokens.encode(frozen, jax.random.split(key, len(batch["x"])), batch["x"])
        return {**made(key, x, batch.get("label")), **frozen}

    def nats(params: Params, keys: Array, integers: Array, cond: Any = None) -> Array:
        return log_prob(likelihood, tokens.levels, apply(params, integers, cond), integers)

    def incremental(params: Params) -> Incremental:
        if not hasattr(module, "step"):
            plain = naive(partial(apply, params), module.positions)
        else:
            run = partial(drawing.apply, params[NETWORK])
            plain = Incremental(partial(run, method="start"), partial(run, method="step"))
        return plain if config.sampling.guidance == 1 else both(*plain, null)

    def sample(params: Params, keys: Array, cond: Any = None) -> Array:
        x = generate(*incremental(params), draw, tokens.shape, module.positions, keys, cond)
        return tokens.decode(params, x)

    return Recipe(
        played(config, init_params, [Player((NETWORK, *tokens.shapes()), loss, optimizer(config))]),
        sample=sample,
        likelihoods=likelihoods(tokens, nats),
        evaluations=module.positions * (1 if config.sampling.guidance == 1 else 2),
        variables=lambda: {**jax.eval_shape(made, jax.random.key(0), *empty()), **tokens.shapes()},
        about={
            "network": written(config.model),
            "tokenizer": tokens.about,
            "likelihood": written(config.loss.likelihood),
            "positions": f"{module.positions}, of {math.prod(tokens.shape)} integers of {tokens.levels} levels",
            "optimizer": written(config.optimizer),
            "sampling": f"{'every position anew' if not hasattr(module, 'step') else 'incremental'}, "
            + filtered(config.sampling),
        },
    )


def check_fits(config: ConfigDict, module: Any, told: dict[str, Any]) -> None:
    """Raises ValueError where the section "model" says otherwise what follows from the data and the likelihood."""
    for key, value in told.items():
        if getattr(module, key) != value:
            raise ValueError(
                f"model.{key}={getattr(module, key)} does not fit the data and loss.likelihood="
                f"{config.loss.likelihood.name}, which make it {value}: leave it out."
            )


def of_levels(loss: Loss, tokens: Tokenizer, integers: int, size: int) -> Loss:
    """The loss of integers, in nats -> that of batches as the pipeline serves them, in nats an integer; its metric is
    in bits for each of the `size` dimensions of the image."""
    metric = "bits_per_dim_codes" if tokens.scales else "bits_per_dim"

    def reported(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        cond = {"cond": batch["label"]} if "label" in batch else {}
        nats, aux = loss(params, {"x": tokens.encode(params, keys, batch["x"]), **cond}, keys)
        return nats / integers, aux._replace(metrics={**aux.metrics, metric: nats / (size * math.log(2))})

    return reported


def null_class(config: ConfigDict, count: int) -> int | None:
    """The class that stands for none, where the model is trained with it. Raises ValueError for guidance without."""
    if not config.loss.drop_condition:
        if config.sampling.guidance != 1:
            raise ValueError(
                f"sampling.guidance={config.sampling.guidance} needs a model that was also trained without the class: "
                "set data.conditional=True and loss.drop_condition=0.1."
            )
        return None
    if not count:
        raise ValueError("loss.drop_condition needs a condition to drop: set data.conditional=True.")
    return count


def draw_of(section: ConfigDict, likelihood: Likelihood, values: int, levels: int) -> Draw:
    """How the section "sampling" draws the `values` integers of a position: from a table of the probabilities of their
    levels where it asks for any change of them, or the parameters are that table; otherwise without it."""
    changed = section.temperature != 1 or section.top_k is not None or section.top_p is not None
    if not (changed or section.guidance != 1 or likelihood.separate):
        return pixels(likelihood.sample, levels)
    assert likelihood.logits is not None
    return channels(
        likelihood.logits, values, levels, kept(section), None if section.guidance == 1 else section.guidance
    )


def kept(section: ConfigDict) -> Filter:
    """What is drawn of the levels, as the section "sampling" says."""
    chosen = [filters.temperature(section.temperature)]
    chosen += [] if section.top_k is None else [filters.top_k(section.top_k)]
    chosen += [] if section.top_p is None else [filters.top_p(section.top_p)]
    return filters.chain(*chosen)


def filtered(section: ConfigDict) -> str:
    """What is drawn, as the section "sampling" says, in words."""
    asked = {key: section[key] for key in ("temperature", "top_k", "top_p", "guidance")}
    return ", ".join(f"{key} {value:g}" for key, value in asked.items() if value is not None)
