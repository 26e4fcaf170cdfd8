"""The recipe of a generative adversarial network: a generator and a critic, whichever networks, objective and
penalties its configuration names."""

import inspect
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from jaxgen.augment.augmented import Augmentation, augmented
from jaxgen.configuration import written
from jaxgen.data import Spec
from jaxgen.losses.adversarial import Critic, Generate, critic, critic_loss, generate, generator_loss
from jaxgen.losses.algebra import Batch, Loss, Params, add, named, scale
from jaxgen.losses.consistency import consistency, fake_consistency
from jaxgen.losses.feature_matching import feature_matching
from jaxgen.losses.lecam import lecam, unanchored
from jaxgen.losses.orthogonal import orthogonal
from jaxgen.losses.path_length import path_length, unmeasured
from jaxgen.losses.penalties import dragan, gradient_penalty, one_sided, r1, r2, zero_centred
from jaxgen.models.bind import features, stateful
from jaxgen.models.gan.standing import standing
from jaxgen.recipe import Recipe
from jaxgen.recipes import names
from jaxgen.recipes.latent import drawn, gaussian
from jaxgen.recipes.names import invoke
from jaxgen.recipes.network import classes, network, optimizer, played, weight
from jaxgen.recipes.space import Statistics, enter, in_model_space, model_space
from jaxgen.train.player import Lazy, Player

Terms = dict[str, Callable[[], Loss]]  # a key of the section "loss" -> the loss of unit weight
STATES = {"lecam": unanchored, "path_length": unmeasured}  # of losses that keep running values


def build(config: ConfigDict, spec: Spec, statistics: Statistics | None) -> Recipe:
    """`config` on data of `spec`. Raises ValueError, naming the key."""
    count = classes(config.data, spec)
    if config.data.dequantize:
        raise ValueError("family=gan compares images with their levels: set data.dequantize=False.")
    space = model_space(config.data, spec.levels, statistics)
    told = {"shape": spec.shape, "num_classes": count}
    maker = network(config, "generator.network", **told)
    judge = network(config, "critic.network", **told)
    augmentation: Augmentation = invoke(names.AUGMENTATIONS, config.augment, "augment", batch=config.train.batch_size)
    objective = invoke(names.OBJECTIVES, config.loss.objective, "objective")
    fakes = generate(stateful(maker, "generator"), maker.latent)
    plain = critic(stateful(judge, "critic"))
    seen = plain if compares(config) else augmented(augmentation.augment, plain)

    on_critic = terms(config, critic_terms(fakes, seen, augmentation))
    on_generator = terms(config, generator_terms(maker, judge, fakes))
    states = {key: make() for key, make in STATES.items() if config.loss[key] is not None}
    if augmentation.state is not None:
        states["augment"] = augmentation.state

    def init_params(key: Array, batch: Batch) -> Params:
        first, second = jax.random.split(key)
        x, z = jnp.zeros((2, *spec.shape)), jnp.zeros((2, maker.latent))
        cond = jnp.zeros((2,), jnp.int32) if count else None
        return {"generator": maker.init(first, z, cond), "critic": judge.init(second, x, cond), **states}

    def player(name: str, loss: Loss, regular: Loss | None, *also: str) -> Player:
        section = config[name]
        owns = (name, *(state for state in also if state in states))
        tx = optimizer(config, f"{name}.optimizer", lazy=section.lazy)
        if regular is None or section.lazy == 1:
            return Player(owns, in_space(loss if regular is None else add(loss, regular)), tx, section.every)
        return Player(owns, in_space(loss), tx, section.every, Lazy(in_space(regular), section.lazy))

    def in_space(loss: Loss) -> Loss:
        return in_model_space(loss, space)

    judging = augmentation.adapt(critic_loss(objective, fakes, seen))
    players = [
        player("critic", judging, on_critic, "augment", "lecam"),
        player("generator", generator_loss(objective, fakes, seen), on_generator, "path_length"),
    ]
    options = truncation(config, maker)

    def decode(params: Params, z: Array, keys: Array | None = None, cond: Any = None) -> Array:
        x: Any = maker.apply(params["generator"], z, cond, **options)
        return space.leave(x)

    latent = gaussian(maker.latent)
    return Recipe(
        played(config, init_params, players),
        sample=drawn(latent, decode),
        enter=enter(space),
        latent=latent,
        decode=decode,
        prepare=standing(maker, "generator", config.sampling.standing, config.train.batch_size),
        about={
            "generator": written(config.generator.network),
            "critic": written(config.critic.network),
            "objective": ", ".join([config.loss.objective.name, *weights(config)]),
            "optimizers": f"{written(config.generator.optimizer)} and {written(config.critic.optimizer)}",
            "sampling": f"one evaluation of the generator an image, truncation {config.sampling.truncation:g}",
        },
    )


def compares(config: ConfigDict) -> bool:
    """Whether the critic is to judge an image and its augmentation alike, and sees augmented ones only for that. Raises
    ValueError where there is no augmentation to compare with."""
    asked = [key for key in ("consistency", "fake_consistency") if config.loss[key] is not None]
    if asked and config.augment.name == "none":
        raise ValueError(
            f"loss.{asked[0]} compares images with their augmentations: set augment, such as "
            'call("differentiable", operations="translation").'
        )
    return bool(asked)


def critic_terms(fakes: Generate, seen: Critic, augmentation: Augmentation) -> Terms:
    """What may be added to the loss of the critic."""
    return {
        "r1": lambda: r1(seen),
        "r2": lambda: r2(seen, fakes),
        "gradient_penalty": lambda: gradient_penalty(seen, fakes),
        "one_sided": lambda: one_sided(seen, fakes),
        "zero_centred": lambda: zero_centred(seen, fakes),
        "dragan": lambda: dragan(seen),
        "lecam": lambda: lecam(seen, fakes),
        "consistency": lambda: consistency(seen, augmentation.augment),
        "fake_consistency": lambda: fake_consistency(seen, fakes, augmentation.augment),
    }


def generator_terms(maker: nn.Module, judge: nn.Module, fakes: Generate) -> Terms:
    """What may be added to the loss of the generator."""
    return {
        "feature_matching": lambda: feature_matching(features(judge, "critic"), fakes),
        "orthogonal": lambda: orthogonal("generator"),
        "path_length": lambda: path_length(*styled(maker)),
    }


def terms(config: ConfigDict, known: Terms) -> Loss | None:
    """The sum of those that have a weight, each reported under its name; None where none has."""
    weighed = {key: weight(f"loss.{key}", config.loss[key]) for key in known}
    chosen = [scale(w, named(key, known[key]())) for key, w in weighed.items() if w is not None]
    return add(*chosen) if chosen else None


def weights(config: ConfigDict) -> list[str]:
    """The terms of the loss that have a weight, as text."""
    given = {key: value for key, value in config.loss.items() if key != "objective" and value is not None}
    return [f"{key} {written(value) if isinstance(value, ConfigDict) else value}" for key, value in given.items()]


def styled(maker: nn.Module) -> tuple[Any, Any]:
    """(styles, synthesize) of `path_length`. Raises ValueError where the generator has no styles."""
    if not (hasattr(maker, "styles") and hasattr(maker, "synthesize")):
        raise ValueError("loss.path_length needs a generator with styles: take generator.network=stylegan2_generator.")
    mapping, synthesis = (stateful(maker, "generator", method) for method in ("styles", "synthesize"))
    drawn_styles = generate(mapping, maker.latent)

    def styles(params: Params, batch: Batch, keys: Array) -> Array:
        return drawn_styles(params, batch, keys)[0]

    def synthesize(params: Params, w: Array, keys: Array) -> Array:
        x: Array = synthesis(params, w, keys)[0]
        return x

    return styles, synthesize


def truncation(config: ConfigDict, maker: nn.Module) -> dict[str, Any]:
    """The argument "truncation" of the generator, where it is asked for. Raises ValueError where it has none."""
    psi = config.sampling.truncation
    if psi == 1:
        return {}
    if "truncation" not in inspect.signature(type(maker).__call__).parameters:
        raise ValueError(
            f"sampling.truncation={psi} needs a generator that knows truncation, which {config.generator.network.name} "
            "does not: leave it at 1."
        )
    return {"truncation": psi}
