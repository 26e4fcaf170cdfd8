"""The recipe of a classifier of noisy data, which guides a diffusion model of the same process and model space."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from jaxgen.classifier import Classifier, classifier
from jaxgen.configuration import written
from jaxgen.data import Spec
from jaxgen.losses.algebra import Batch, Params
from jaxgen.losses.classification import classification
from jaxgen.models import bind
from jaxgen.recipe import Recipe
from jaxgen.recipes import names
from jaxgen.recipes.invoke import invoke
from jaxgen.recipes.network import alone, network
from jaxgen.recipes.sampling import agree
from jaxgen.recipes.space import Statistics, enter, in_model_space, model_space

NETWORK = "classifier"  # its name among the parameters, so that it stands beside the "net" that it guides


def build(config: ConfigDict, spec: Spec, statistics: Statistics | None) -> Recipe:
    """`config` on data of `spec`: of its sections data, model, sde, optimizer, ema, train and parallel, and of loss the
    keys times, label and scale_in. Raises ValueError, naming the key."""
    if not config.data.conditional or spec.num_classes is None:
        raise ValueError(
            f"family=classifier learns the classes of {config.data.dataset}, which has "
            f"{spec.num_classes or 'none'}: set data.conditional=True, on data with classes."
        )
    space = model_space(config.data, spec.levels, statistics)
    sde = invoke(names.PROCESSES, config.sde, "sde")
    measured = {} if statistics is None else {"sigma_data": statistics.sigma_data}
    told = {
        "label": invoke(names.LABELS, config.loss.label, "loss.label"),
        "scale_in": invoke(names.SCALES, config.loss.scale_in, "loss.scale_in", **measured),
    }
    module = network(config, "classifier", num_classes=spec.num_classes)
    apply = bind(module, NETWORK)

    def init_params(key: Array, batch: Batch) -> Params:
        x, t = jnp.zeros((1, *spec.shape)), jnp.full((1,), sde.t1)
        return {NETWORK: module.init(key, x, told["label"](sde, t))}

    logits = jax.eval_shape(
        lambda key: classifier(apply, init_params(key, {}), sde, **told).fn(
            jnp.zeros((1, *spec.shape)), jnp.full((1,), sde.t1)
        ),
        jax.random.key(0),
    )
    if logits.shape != (1, spec.num_classes):
        raise ValueError(
            f"family=classifier needs a network that gives {spec.num_classes} logits an image, but {config.model.name} "
            f"gives {logits.shape[1:]}: take model=wideresnet."
        )
    loss = classification(apply, sde, invoke(names.TIMES, config.loss.times, "loss.times"), **told)

    def trained(params: Params) -> Classifier:
        return classifier(apply, params, sde, **told)

    return Recipe(
        alone(config, NETWORK, init_params, in_model_space(loss, space)),
        enter=enter(space),
        classifier=trained,
        about={
            "process": written(config.sde),
            "loss": f"cross-entropy of noisy images, times {written(config.loss.times)}",
            "network": written(config.model),
            "optimizer": written(config.optimizer),
            "sampling": "none, a classifier guides other models",
        },
    )


def check_guides(
    judge: tuple[ConfigDict, Spec, Statistics | None], model: tuple[ConfigDict, Spec, Statistics | None]
) -> None:
    """Raises ValueError unless the classifier `judge` sees what the diffusion model `model` draws: the same process,
    and the same images in the same model space. Each is its configuration, specification and statistics."""
    (config, spec, statistics), (other, drawn, measured) = judge, model
    if config.family != "classifier" or other.family != "diffusion":
        raise ValueError(
            f"a classifier guides a diffusion model, but --classifier has family={config.family} and --workdir "
            f"family={other.family}."
        )
    differing = {
        "images": ((*spec.shape, spec.levels), (*drawn.shape, drawn.levels)),
        "data.space": (config.data.space.to_json(), other.data.space.to_json()),
        "data.dequantize": (config.data.dequantize, other.data.dequantize),
        "data.center": (config.data.center, other.data.center),
    }
    for key, (seen, made) in differing.items():
        if seen != made:
            raise ValueError(
                f"the classifier was trained with {key}={seen}, but the model with {made}: train one for this model."
            )
    if config.data.center and not (statistics and measured and np.allclose(statistics.mean, measured.mean, atol=1e-3)):
        raise ValueError(
            "the classifier was trained on data with another mean than the model, which both remove "
            "(data.center=True): train one on the same data."
        )
    a, b = (invoke(names.PROCESSES, c.sde, "sde") for c in (config, other))
    if (a.t0, a.t1) != (b.t0, b.t1) or not agree(a, b, jnp.linspace(a.t0, a.t1, 9), rtol=1e-4, atol=1e-6):
        raise ValueError(
            f"the classifier was trained on the process {config.sde.name}, but the model on {other.sde.name}, or with "
            "other arguments: train one with the sde of the model."
        )
