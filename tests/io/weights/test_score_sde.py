"""Published checkpoints of score_sde become the parameters of the networks here, judged by the published outputs."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization
from flax.traverse_util import flatten_dict, unflatten_dict
from published import published

from jaxgen.commands.convert import network
from jaxgen.io.weights import score_sde
from jaxgen.io.weights.score_sde_names import flax_paths
from jaxgen.models import bind
from jaxgen.recipes import build
from jaxgen.recipes.invoke import invoke
from jaxgen.recipes.names import MODELS

GOLDEN = Path(__file__).parents[2] / "golden"
PLACES = {
    case: places
    for names in ("ncsnpp_names.json", "ddpm_names.json")
    for case, places in json.loads((GOLDEN / names).read_text()).items()
}


def content_of(data, step=10):
    """What a PyTorch training leaves: the published weights as the average, 9/8 of them as the model."""
    weights = {name: data[f"param/{name}"].astype(np.float32) for name in data["param_names"].tolist()}
    trained = [array for name, array in weights.items() if name != "all_modules.0.W"]
    model = {f"module.{name}": array * np.float32(1.125) for name, array in weights.items()}
    if "all_modules.0.W" in weights:
        model["module.all_modules.0.W"] = weights["all_modules.0.W"]
    model = {"module.sigmas": np.linspace(50, 0.01, 10), **model}
    return {"model": model, "ema": {"decay": 0.999, "shadow_params": trained}, "step": step, "optimizer": {"state": {}}}


def described(data, **options):
    """(the network of a golden file, its parameters' tree and calls)."""
    config, spec = published(data)
    with config.unlocked():
        config.model.update(options)
    return invoke(MODELS, config.model, "model"), network(build(config, spec, None))


def output(jit, module, params, data):
    """The network's output on the golden input."""
    inputs = jnp.asarray(data["x"], jnp.float32), jnp.asarray(data["labels"])
    with jax.default_matmul_precision("highest"):
        return jit(bind(module))({"net": {"params": params}}, *inputs)


@pytest.mark.parametrize("case", PLACES)
def test_every_parameter_of_a_u_net_finds_its_place(case, golden):
    """Breaks if modules are counted otherwise than the published networks do: weights would land in other layers."""
    data = golden(f"net_{case}")
    calls = described(data)[1]
    owned = [name for name in calls.calls if name in calls.shapes]
    got = flax_paths(data["param_names"].tolist(), owned)
    assert {name: "/".join(got[name]) for name in PLACES[case]} == PLACES[case]
    assert all("Dense_0" in got[name] for name in {*got} - {*PLACES[case]})


@pytest.mark.parametrize("case", ["ncsnpp_uncond", "ncsnv1", "ncsnv2_64", "ncsnv2_128", "ncsnv2_256"])
def test_weights_of_pytorch_give_the_published_output(case, golden, jit):
    """Breaks if a layer of a RefineNet, or of a network that is not told the time, gets the weights of another."""
    data = golden(f"net_{case}")
    module, tree = described(data)
    weights = score_sde.from_torch(content_of(data), tree)
    y = output(jit, module, weights.ema, data)
    np.testing.assert_allclose(y, data["out64"], rtol=0, atol=5e-6 * np.abs(data["out64"]).max())
    raw, average = flatten_dict(weights.params), flatten_dict(weights.ema)
    frozen = ("GaussianFourierProjection_0", "W")
    assert all((raw[path] == average[path] * (1 if path == frozen else 1.125)).all() for path in average)
    assert weights.step == 10 and weights.moments is None


def test_weights_of_jax_give_the_published_output(golden, tmp_path, jit):
    """Breaks if the axes of length one, with which JAX checkpoints store norms, end up in the network."""
    data = golden("jaxnet_ncsnv2_128")
    module, tree = described(data, align_corners=False, unbiased=False)
    stored = unflatten_dict({tuple(n.split("/")): np.float32(data[f"param/{n}"]) for n in data["param_names"].tolist()})
    zeros = {path: {"grad_ema": x, "grad_sq_ema": x * x} for path, x in flatten_dict(stored).items()}
    state = {
        "step": np.int32(5),
        "optimizer": {"target": stored, "state": {"step": 5, "param_states": unflatten_dict(zeros)}},
        "lr": 2e-4,
        "model_state": {},
        "ema_rate": 0.999,
        "params_ema": stored,
        "rng": np.zeros(2, np.uint32),
    }
    assert any(x.shape[:3] == (1, 1, 1) for x in jax.tree.leaves(stored))
    (tmp_path / "checkpoint_5").write_bytes(serialization.msgpack_serialize(state))
    weights = score_sde.read(tmp_path / "checkpoint_5", tree)
    y = output(jit, module, weights.ema, data)
    np.testing.assert_allclose(y, data["out"], rtol=0, atol=5e-6 * np.abs(data["out"]).max())
    assert weights.step == 5 and weights.moments is not None
    jax.tree.map(np.testing.assert_array_equal, weights.moments[0], weights.params)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b * b), weights.moments[1], weights.params)


def test_adams_averages_stand_beside_their_parameters(golden):
    """Breaks if training goes on with the gradients of other layers: Adam counts the frozen frequencies, too."""
    data = golden("net_ncsnpp_skip_cat")
    weights = score_sde.read(GOLDEN / "checkpoints" / "ncsnpp_skip_cat.pth", described(data)[1])
    mean, square = weights.moments
    average = flatten_dict(weights.ema)
    frozen = average.pop(("GaussianFourierProjection_0", "W"))
    assert frozen.any() and not flatten_dict(mean)["GaussianFourierProjection_0", "W"].any()
    for path, w in average.items():
        np.testing.assert_allclose(flatten_dict(mean)[path], 0.1 * w, rtol=1e-5, atol=1e-12)
        np.testing.assert_allclose(flatten_dict(square)[path], 0.001 * w * w, rtol=1e-5, atol=1e-12)


def changed(content, name, array):
    """`content` with another array under a name; None: without it."""
    model = {key: value for key, value in content["model"].items() if key != name}
    return {**content, "model": model if array is None else {**model, name: array}}


def test_other_networks_are_refused(golden):
    """Breaks if weights of another network are taken, or it is not said which parameter is in the way."""
    data = golden("net_ncsnpp_skip_sum")
    tree, content = described(data)[1], content_of(data)
    average = content["ema"]["shadow_params"]
    last = data["param_names"].tolist()[-1]
    for broken, sentence in (
        (content_of(golden("net_ncsnpp_ve_cont")), "has .* of shape"),
        (content_of(golden("net_ddpm_vp")), "has .* of shape"),
        (content_of(golden("net_ncsnv1")), "has .* of shape .*lacks"),
        (
            changed(content, "module.extra.weight", np.zeros(3)),
            "has module.extra.weight of shape \\(3,\\)|has extra.weight",
        ),
        ({**content, "ema": {"shadow_params": average[1:]}}, "averages 159"),
        ({**content, "ema": {"shadow_params": average[::-1]}}, "of the configuration of"),
        (changed(content, f"module.{last}", np.zeros(content["model"][f"module.{last}"].shape, int)), "of dtype int64"),
    ):
        with pytest.raises(score_sde.Misfit, match=sentence):
            score_sde.from_torch(broken, tree)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"step": 1},
        {"step": 1, "optimizer": 3, "params_ema": {}},
        {"step": 1, "optimizer": {"target": 3}, "params_ema": {}},
        {"step": 1, "optimizer": {"target": {"a": "text"}}, "params_ema": {}},
        [1, 2],
        5,
    ],
)
def test_files_of_something_else_are_refused(content, golden, tmp_path):
    """Breaks if what is no training checkpoint ends in anything but one sentence."""
    path = tmp_path / "x"
    path.write_bytes(serialization.msgpack_serialize(content))
    with pytest.raises(ValueError, match="^(expected a .* at|the checkpoint) .*: .*\\.$"):
        score_sde.read(path, described(golden("net_ddpmpp_vp_cont"))[1])
