"""Configurations of the published networks in tests/golden."""

import inspect
import json

from ml_collections import ConfigDict

from jaxgen.configuration import call, complete, default
from jaxgen.data import Spec
from jaxgen.recipes.names import MODELS

NAMES = {"ncsn": "ncsnv1", "swish": "silu"}


def published(data: dict) -> tuple[ConfigDict, Spec]:
    """(configuration, spec) of the network in a golden file: that of the published run, as far as it is told there."""
    told = json.loads(str(data["config"]))
    model = told["model"]
    name = NAMES.get(model["name"], model["name"])
    known = {*inspect.signature(MODELS[name]).parameters} - {"num_classes", "name"}
    known -= {"ch_mult"} if name.startswith("ncsnv") else set()  # RefineNets have one of their own
    config = default()
    options = {key: value for key, value in model.items() if key in known}
    options |= {"channels": model["nf"], "centered": told["data"]["centered"]}
    options["nonlinearity"] = NAMES.get(model["nonlinearity"], model["nonlinearity"])
    config.data.space = call("linear", low=-1.0 if told["data"]["centered"] else 0.0, high=1.0)
    config.data.image_size = told["data"]["image_size"]
    config.loss.scale_in = call("one")
    config.sampling.steps = 3
    sigmas = {"sigma_min": model["sigma_min"], "sigma_max": model["sigma_max"]}
    if data["labels"].dtype.kind == "i":
        sigmas["n"] = model["num_scales"]
        options["sigmas"] = call("geometric", **sigmas)
        config.sde, config.loss.label = call("ncsn", **sigmas), call("reversed_index")
    elif name == "ncsnpp" and model["embedding_type"] == "fourier":
        config.sde, config.loss.label = call("ve", **sigmas), call("noise_level")
    else:
        config.sde, config.loss.label = call("vp"), call("times_999")
    config.model = call(name, **options)
    config.loss.prediction = call("eps" if config.sde.name == "vp" else "score")
    return complete(config), Spec(data["x"].shape[1:], 256, None, (), 0)
