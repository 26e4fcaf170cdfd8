"""What makes an autoencoder a VQGAN: a critic of its reconstructions, and a network whose features they must share."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from jaxgen.data import Spec
from jaxgen.evaluate.paired.lpips import frozen_lpips, lpips, shapes
from jaxgen.io.weights.torch_file import read_torch
from jaxgen.losses.adaptive import adaptive
from jaxgen.losses.adversarial import Updates, critic, critic_loss, generator_loss
from jaxgen.losses.algebra import Aux, Batch, Loss, Params, named, scale
from jaxgen.losses.autoencoding import Distance, decoded
from jaxgen.losses.perceptual import Distance as PerceptualDistance
from jaxgen.models.bind import stateful
from jaxgen.recipes import names
from jaxgen.recipes.invoke import invoke
from jaxgen.recipes.network import network, weight

NETWORK = "critic"


class Features(NamedTuple):
    """distance: (params, x, y in [-1, 1]) -> [B]. frozen: the variables of the network "perceptual" it looks with, out
    of files; shapes: the same as shapes, without these."""

    distance: PerceptualDistance
    frozen: Callable[[], dict[str, Any]]
    shapes: Callable[[], dict[str, Any]]


def of_lpips(vgg: str, linear: str) -> Features:
    """LPIPS with the weights in the files `vgg`, torchvision's vgg16-397923af.pth, and `linear`, LPIPS's vgg.pth."""
    return Features(lpips, lambda: frozen_lpips(state_dict(Path(vgg)), state_dict(Path(linear))), shapes)


def state_dict(path: Path) -> dict[str, Any]:
    """The state dict in a file of PyTorch's. Raises ValueError where there is none."""
    if not path.is_file():
        raise ValueError(f"expected the weights of loss.features in {path}, found no such file: correct the path.")
    state = read_torch(path)
    if not isinstance(state, dict):
        raise ValueError(f"expected a state dict in {path}, got a {type(state).__name__}.")
    return state


SMALLEST = 16  # pixels a side that VGG16 can halve four times
FEATURES = {"lpips": of_lpips}


def perceptual(config: ConfigDict, spec: Spec, distance: Distance) -> tuple[Loss | None, dict[str, Features]]:
    """The distance between features of the image and of the reconstruction, with its weight, as a loss of a batch that
    holds both; and what it looks with, by the name of the network."""
    factor, section = weight("loss.perceptual", config.loss.perceptual), config.loss.features
    if (factor is None) != (section.name == "none"):
        raise ValueError(
            f"loss.perceptual={config.loss.perceptual} and loss.features={section.name} go together: give a weight and "
            'call("lpips", vgg=FILE, linear=FILE), or neither.'
        )
    if factor is None:
        return None, {}
    features: Features = invoke(FEATURES, section, "loss.features")
    if min(spec.shape[:2]) < SMALLEST:
        raise ValueError(
            f"loss.features={section.name} looks at images of {SMALLEST} pixels a side at least, got {spec.shape[:2]}."
        )
    if spec.shape[-1] not in (1, 3):
        raise ValueError(f"loss.features={section.name} looks at grey and RGB images, got {spec.shape[-1]} channels.")

    def apart(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        return features.distance(params, batch["x"], distance.image(batch["reconstruction"])), Aux()

    return scale(factor, named("perceptual", apart)), {"perceptual": features}


class Adversary(NamedTuple):
    """verdict: what the autoencoder pays, a loss of a batch that holds a reconstruction. loss: what the critic
    minimises. init: (key, x) -> its variables."""

    verdict: Loss
    loss: Loss
    init: Callable[[Array, Array], Any]


def adversary(
    config: ConfigDict,
    spec: Spec,
    distance: Distance,
    costs: Loss,
    layer: Sequence[str],
    reconstruct: Callable[..., Any],
    decode: Callable[..., Any],
) -> Adversary | None:
    """The critic that the configuration names; None where it names none. `costs` are the terms about the image that its
    gradients at `layer` are balanced with, `reconstruct` and `decode` the autoencoder and its decoder, bound."""
    factor, section = weight("loss.adversarial", config.loss.adversarial), config.critic
    if (factor is None) != (section.network.name == "none"):
        raise ValueError(
            f"loss.adversarial={config.loss.adversarial} and critic.network={section.network.name} go together: give a "
            'weight and call("patchgan"), or neither.'
        )
    if factor is None:
        return None
    if not layer:
        raise ValueError(
            f"model={config.model.name} has no one last layer at which a critic could be balanced: take model=vqgan or "
            "vqvae."
        )
    judge = network(config, "critic", "critic.network", num_classes=0)
    judged = critic(stateful(judge, NETWORK))
    objective = invoke(names.OBJECTIVES, config.loss.objective, "loss.objective")

    def started(step: Array) -> Array:
        return jnp.where(step >= section.start, 1.0, 0.0)

    def at_hand(params: Params, batch: Batch, keys: Array) -> tuple[Array, Updates]:
        return distance.image(batch["reconstruction"]), {}

    def anew(params: Params, batch: Batch, keys: Array) -> tuple[Array, Updates]:
        (y, _), _ = reconstruct(params, batch["x"], keys, train=True)
        return distance.image(y), {}

    verdict = named("verdict", generator_loss(objective, at_hand, judged))
    balanced = adaptive(layer, decoded(decode, costs), decoded(decode, verdict))
    return Adversary(
        scale(started, scale(factor, balanced)),
        scale(started, critic_loss(objective, anew, judged)),
        lambda key, x: judge.init(key, x),
    )
