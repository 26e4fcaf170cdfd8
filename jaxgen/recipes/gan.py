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
from jaxgen.losses.adversarial import (
    Critic,
    Generate,
    Objective,
    centred,
    critic,
    critic_loss,
    generate,
    generator_loss,
)
from jaxgen.losses.algebra import Batch, Loss, Params, add, named, scale
from jaxgen.losses.consistency import consistency, fake_consistency
from jaxgen.losses.feature_matching import Features, mean_feature_matching
from jaxgen.losses.lecam import lecam, unanchored
from jaxgen.losses.orthogonal import orthogonal
from jaxgen.losses.path_length import path_length, unmeasured
from jaxgen.losses.penalties import dragan, gradient_penalty, one_sided, r1, r2, zero_centred
from jaxgen.models.bind import features, stateful
from jaxgen.models.gan.standing import standing
from jaxgen.recipe import Recipe
from jaxgen.recipes import names
from jaxgen.recipes.invoke import invoke
from jaxgen.recipes.latent import drawn, gaussian
from jaxgen.recipes.network import asked, classes, network, optimizer, played, weight
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
    maker = network(config, "generator", "generator.network", **told)
    judge = network(config, "critic", "critic.network", **told)
    augmentation: Augmentation = invoke(names.AUGMENTATIONS, config.augment, "augment", batch=config.train.batch_size)
    objective: Objective = invoke(names.OBJECTIVES, config.loss.objective, "loss.objective")
    check_sign(config, augmentation, objective)
    fakes = generate(stateful(maker, "generator"), maker.latent)
    seen, inside = critic(stateful(judge, "critic")), features(judge, "critic")
    if not compares(config):
        seen, inside = augmented(augmentation.augment, seen), augmented(augmentation.augment, inside)
    states = {key: make() for key, make in STATES.items() if config.loss[key] is not None}
    if augmentation.state is not None:
        states["augment"] = augmentation.state

    def init_params(key: Array, batch: Batch) -> Params:
        first, second = jax.random.split(key)
        x, z = jnp.zeros((2, *spec.shape)), jnp.zeros((2, maker.latent))
        cond = jnp.zeros((2,), jnp.int32) if count else None
        return {"generator": maker.init(first, z, cond), "critic": judge.init(second, x, cond), **states}

    def player(name: str, loss: Loss, costs: Terms, penalties: Terms, *also: str) -> Player:
        section = config[name]
        owns = (name, *(state for state in also if state in states))
        always, rare = [loss, *weighed(config, costs)], weighed(config, penalties)
        if section.lazy > 1 and not rare:
            raise ValueError(
                f"{name}.lazy={section.lazy} is of penalties, and none has a weight: set loss.{next(iter(penalties))}, "
                f"or {name}.lazy=1."
            )
        tx = optimizer(config, f"{name}.optimizer", section.lazy)
        if section.lazy == 1:
            return Player(owns, in_space(*always, *rare), tx, section.every)
        return Player(owns, in_space(*always), tx, section.every, Lazy(in_space(*rare), section.lazy))

    def in_space(*losses: Loss) -> Loss:
        return in_model_space(add(*losses), space)

    judging = augmentation.adapt(critic_loss(objective, fakes, seen))
    making = generator_loss(objective, fakes, seen)
    on_critic = critic_costs(fakes, seen, augmentation), critic_penalties(fakes, seen)
    on_generator = generator_costs(fakes, inside), generator_penalties(maker)
    players = [
        player("critic", judging, *on_critic, "augment", "lecam"),
        player("generator", making, *on_generator, "path_length"),
    ]
    options = truncation(config, maker)
    chosen = [key for key in config.loss if key != "objective"]

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
            "objective": ", ".join([config.loss.objective.name, *asked(config.loss, *chosen)]),
            "optimizers": f"{written(config.generator.optimizer)} and {written(config.critic.optimizer)}",
            "sampling": f"one evaluation of the generator an image, truncation {config.sampling.truncation:g}",
        },
    )


def compares(config: ConfigDict) -> bool:
    """Whether the critic is to judge an image and its augmentation alike, and sees augmented ones only for that. Raises
    ValueError where there is no augmentation to compare with."""
    compared = [key for key in ("consistency", "fake_consistency") if config.loss[key] is not None]
    if compared and config.augment.name == "none":
        raise ValueError(
            f"loss.{compared[0]} compares images with their augmentations: set augment, such as "
            'call("differentiable", operations=("translation",)).'
        )
    return bool(compared)


def check_sign(config: ConfigDict, augmentation: Augmentation, objective: Objective) -> None:
    """Raises ValueError where augmentations follow the sign of logits that have none."""
    if augmentation.signed and not centred(objective):
        raise ValueError(
            f"augment={config.augment.name} follows the sign of the critic's logits, whose zero does not divide data "
            f"from fakes under loss.objective={config.loss.objective.name}: take a schedule, such as "
            "augment.probability=constant with augment.probability.value=0.3, or loss.objective=non_saturating."
        )


def critic_penalties(fakes: Generate, seen: Critic) -> Terms:
    """Penalties on the gradient of the critic, which may be lazy."""
    return {
        "r1": lambda: r1(seen),
        "r2": lambda: r2(seen, fakes),
        "gradient_penalty": lambda: gradient_penalty(seen, fakes),
        "one_sided": lambda: one_sided(seen, fakes),
        "zero_centred": lambda: zero_centred(seen, fakes),
        "dragan": lambda: dragan(seen),
    }


def critic_costs(fakes: Generate, seen: Critic, augmentation: Augmentation) -> Terms:
    """What else may be added to the loss of the critic."""
    return {
        "lecam": lambda: lecam(seen, fakes),
        "consistency": lambda: consistency(seen, augmentation.augment),
        "fake_consistency": lambda: fake_consistency(seen, fakes, augmentation.augment),
    }


def generator_penalties(maker: nn.Module) -> Terms:
    """Penalties on the gradient of the generator, which may be lazy."""
    return {"path_length": lambda: path_length(*styled(maker))}


def generator_costs(fakes: Generate, inside: Features) -> Terms:
    """What else may be added to the loss of the generator."""
    return {
        "feature_matching": lambda: mean_feature_matching(inside, fakes),
        "orthogonal": lambda: orthogonal("generator"),
    }


def weighed(config: ConfigDict, known: Terms) -> list[Loss]:
    """Those that have a weight, each reported under its name."""
    factors = {key: weight(f"loss.{key}", config.loss[key]) for key in known}
    return [scale(w, named(key, known[key]())) for key, w in factors.items() if w is not None]


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
