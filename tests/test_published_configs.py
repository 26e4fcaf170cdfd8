"""The configurations of the published runs: their values against those of the release, and each traced at its size."""

import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.configuration import load, plain
from jaxgen.data import Spec
from jaxgen.models.layers import conv
from jaxgen.parallel.batched import example_keys
from jaxgen.recipes import Statistics, build, names
from jaxgen.recipes.invoke import invoke

CONFIGS = Path(__file__).parent.parent / "configs"
PUBLISHED = json.loads((Path(__file__).parent / "golden" / "score_sde_configs.json").read_text())["runs"]

DATASETS = {
    "cifar10": ("CIFAR10", None),
    "celeb_a": ("CELEBA", None),
    "lsun/bedroom": ("LSUN", "bedroom"),
    "lsun/church_outdoor": ("LSUN", "church_outdoor"),
    "data/celebahq": ("CelebAHQ", None),
    "data/ffhq": ("FFHQ", None),
}
SDES = {"ve": "vesde", "ncsn": "vesde", "vp": "vpsde", "ddpm": "vpsde", "subvp": "subvpsde"}
DISCRETE = "ncsn", "ddpm"
NETWORKS = {"ncsnv1": "ncsn"}  # the others have the names of the release
NONLINEARITIES = {"swish": jax.nn.silu, "elu": jax.nn.elu}
CORRECTED = {  # where the release contradicts itself or its papers; the configurations say why
    "ve/ncsnv2/bedroom": {"training": {"continuous": False}},
    "ve/ncsn/celeba": {"training": {"sde": "vesde"}},
}
UNREAD = {  # values of the release that nothing in it reads
    "training": ("loss", "continuouse"),
    "model": ("sigma_begin", "normalization"),
}
# What each network of the release reads of its section "model", by the names of ours.
READ = {"channels": "nf", "scale_by_sigma": "scale_by_sigma", "nonlinearity": "nonlinearity"}
UNET = READ | {
    name: name
    for name in ("ch_mult", "num_res_blocks", "attn_resolutions", "dropout", "resamp_with_conv", "conditional")
}
NCSNPP = UNET | {
    name: name
    for name in (
        *("fir", "fir_kernel", "skip_rescale", "resblock_type", "progressive", "progressive_input"),
        *("progressive_combine", "embedding_type", "init_scale"),
    )
}


def released(name):
    """The values of the release that a run depends on, its mistakes corrected."""
    values = {key: dict(value) if isinstance(value, dict) else value for key, value in PUBLISHED[name].items()}
    for section, corrections in CORRECTED.get(name, {}).items():
        values[section].update(corrections)
    for section, unread in UNREAD.items():
        for key in unread:
            values[section].pop(key, None)
    model = values["model"]
    network = {"ncsnpp": NCSNPP, "ddpm": UNET}.get(model["name"], READ)
    kept = {*network.values(), "name", "num_scales", "ema_rate"}
    kept |= {"sigma_min", "sigma_max"} if values["training"]["sde"] == "vesde" else {"beta_min", "beta_max"}
    kept |= {"fourier_scale"} if "embedding_type" in kept and model["embedding_type"] == "fourier" else set()
    values["model"] = {key: model[key] for key in kept}
    if values["sampling"]["corrector"] == "none":
        values["sampling"].pop("snr")
    if name.startswith("ve/ncsnv2"):  # the papers of NCSNv2 denoise at the end; the release means to and does not
        values["sampling"]["noise_removal"] = "clean"
    return values


def translated(config):
    """The same values, read from a configuration of ours."""
    module = invoke(names.MODELS, config.model, "model")
    network = {"ncsnpp": NCSNPP, "ddpm": UNET}.get(config.model.name, READ)
    told = {key: getattr(module, ours) for ours, key in network.items()}
    told["nonlinearity"] = next(name for name, fn in NONLINEARITIES.items() if fn is told["nonlinearity"])
    if told.get("embedding_type") == "fourier":
        told["fourier_scale"] = module.fourier_scale
    process, solver, optimizer = plain(config.sde), plain(config.sampling.solver), plain(config.optimizer)
    bounds = {key: value for key, value in process.items() if key.startswith(("sigma", "beta"))}
    dataset, category = DATASETS[config.data.dataset]
    sampling = {
        "predictor": solver["predictor"],
        "corrector": solver["corrector"],
        "n_steps_each": solver.get("corrector_steps", 1),
        "noise_removal": {"last_mean": True, "clean": "clean"}[config.sampling.finish.name],
        "probability_flow": solver.get("stochasticity", 1.0) == 0,
    }
    return {
        "training": {
            "sde": SDES[config.sde.name],
            "continuous": config.sde.name not in DISCRETE,
            "reduce_mean": {"mean": True, "half_total": False}[config.loss.reduce.name],
            "likelihood_weighting": {"eps_matching": False, "likelihood": True}[config.loss.weight.name],
            "batch_size": config.train.batch_size,
            "n_iters": config.train.steps + 1,
            "log_freq": config.train.log_every,
            "snapshot_freq": config.train.sample_every,
            "snapshot_freq_for_preemption": config.train.checkpoint_every,
        },
        "sampling": sampling if solver["corrector"] == "none" else {**sampling, "snr": solver["snr"]},
        "data": {
            "dataset": dataset,
            **({} if category is None else {"category": category}),
            "image_size": config.data.image_size or 32,
            "random_flip": config.data.flip,
            "centered": config.data.space.get("low", -1.0) == -1,
            "uniform_dequantization": config.data.dequantize,
        },
        "model": {
            **told,
            **bounds,
            "name": NETWORKS.get(config.model.name, config.model.name),
            "num_scales": process.get("n", config.sampling.steps),
            "ema_rate": config.ema.get("decay", 0.0),
        },
        "optim": {
            "lr": optimizer["learning_rate"],
            "beta1": optimizer.get("b1", 0.9),
            "eps": optimizer.get("eps", 1e-8),
            "weight_decay": optimizer.get("weight_decay", 0),
            "warmup": optimizer.get("warmup", 0),
            "grad_clip": optimizer.get("clip", -1.0),
        },
        "seed": config.seed,
    }


def listed(value):
    """Tuples as lists, as JSON has them."""
    if isinstance(value, dict):
        return {key: listed(one) for key, one in value.items()}
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("name", PUBLISHED)
def test_values_are_the_published_ones(name):
    """A run that trains another model than the published one, or a mistake of the release copied."""
    config = load(CONFIGS / f"{name}.py")
    assert listed(translated(config)) == released(name)
    assert config.sampling.steps == released(name)["model"]["num_scales"]
    assert config.train.keep_every == config.train.sample_every  # every snapshot is kept
    assert (config.likelihood.bins.name, config.sampling.levels.name) == ("score_sde", "truncated")
    assert config.sampling.grid.end == (1e-5 if SDES[config.sde.name] == "vesde" else 1e-3)
    module = invoke(names.MODELS, config.model, "model")
    assert module.centered == released(name)["data"]["centered"]
    if module.sigmas is not None:  # the levels that the network divides by are those of its process
        sigma = np.geomspace(config.sde.sigma_max, config.sde.sigma_min, config.sde.n)
        np.testing.assert_allclose(module.sigmas, sigma, rtol=1e-12)


def test_every_published_run_is_here():
    """A configuration that is lost, or carries the command of another one."""
    assert len(PUBLISHED) == 39
    for path in CONFIGS.rglob("*.py"):
        text = path.read_text()
        name = path.relative_to(CONFIGS).with_suffix("").as_posix()
        assert name == "digits" or f"jaxgen train --config=configs/{name}.py --workdir=" in text
        assert name not in PUBLISHED or "\nPublished: " in text


def network_of(config):
    """What the abstract values of a step depend on: the network, its input and the type of its label. Runs that agree
    here differ in data, in numbers (noise levels, rates, probabilities) or in a formula of a few lines."""
    network = plain(config.model)
    network |= {"sigmas": config.model.sigmas.n} if "sigmas" in network else {}
    indexed = config.loss.label.name in ("grid_index", "reversed_index")
    return json.dumps([network, config.data.image_size, config.train.batch_size, indexed])


@pytest.fixture(scope="module")
def once():
    """once(key, fn): fn(), or what it gave for this key before."""
    seen = {}

    def get(key, fn):
        if key not in seen:
            seen[key] = fn()
        return seen[key]

    return get


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_trains_and_samples_at_its_size(name, once, monkeypatch):
    """A network that does not fit its images, its label or its sampler, or has not the published number of parameters:
    one training step and one sampling run are traced at the published size, without memory for them."""
    monkeypatch.setattr(conv, "parts", lambda shape: 1)  # as on an accelerator
    config = load(CONFIGS / f"{name}.py")
    size = config.data.image_size or 32
    spec = Spec((size, size, 3), 256, None, (), 50_000)
    recipe = build(config, spec, Statistics(np.zeros(spec.shape, np.float32), 0.5))
    network = network_of(config)
    state = once(("init", network), lambda: jax.eval_shape(recipe.training.init, jax.random.key(0), None))
    count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    published = re.search(r"([\d.]+) M\s+parameters", (CONFIGS / f"{name}.py").read_text())
    assert published is None or f"{count / 1e6:.1f}" == published.group(1)

    def step():
        batch = {"x": jax.ShapeDtypeStruct((config.train.batch_size, *spec.shape), np.uint8)}
        return jax.eval_shape(recipe.training.step, state, batch, jax.random.key(0))

    after, metrics = once(("step", network), step)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after.params) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), state.params
    )
    assert {"loss", "grad_norm"} <= set(metrics) and metrics["loss"].dtype == np.float32

    def images():
        return jax.eval_shape(recipe.sample, {"net": state.params["net"]}, example_keys(0, jnp.arange(2)))

    drawn = once(("sample", network, config.sde.name, *plain(config.sampling.solver).items()), images)
    assert (drawn.shape, drawn.dtype) == ((2, size, size, 3), np.float32)
    chosen = released(name)["sampling"]
    each = (chosen["predictor"] != "none") + (chosen["corrector"] != "none") * chosen["n_steps_each"]
    assert recipe.evaluations == config.sampling.steps * each + (chosen["noise_removal"] == "clean")
