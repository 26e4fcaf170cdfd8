"""`jaxgen convert` makes a work directory of a published checkpoint that every command takes, or leaves nothing."""

import json
import os
import pickle
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization
from flax.traverse_util import flatten_dict, unflatten_dict
from PIL import Image
from published import published
from test_cli import refused
from torch_files import program, tensor, zipped

from jaxgen import cli, data
from jaxgen.commands.convert import network
from jaxgen.commands.model import open_model
from jaxgen.configuration import load, plain
from jaxgen.io.checkpoint import checkpoints
from jaxgen.io.weights import score_sde
from jaxgen.models import bind
from jaxgen.recipes import build
from jaxgen.recipes.invoke import invoke
from jaxgen.recipes.names import MODELS

ROOT = Path(__file__).parents[1]
CHECKPOINTS = Path(__file__).parent / "golden" / "checkpoints"
ZIP, LEGACY = CHECKPOINTS / "ncsnpp_skip_cat.pth", CHECKPOINTS / "ddpmpp_vp_cont.pth"


@pytest.fixture
def configured(tmp_path, golden):
    """Writes the configuration file of a published network, on a folder of pictures that need not be there."""

    def write(case, **options):
        config, _ = published(golden(f"net_{case}"))
        config.model.update(options)
        config.data.dataset = str(tmp_path / "pictures")
        config.train.update(steps=1236, batch_size=8, sample_every=0, log_every=1)
        config.ema.name = "warm"
        config.sampling.images = 2
        config.likelihood.update(rtol=1e-1, atol=1e-1)
        path = tmp_path / f"{case}.py"
        path.write_text(
            f"from ml_collections import ConfigDict\n\n\ndef get_config():\n    return ConfigDict({plain(config)!r})\n"
        )
        return path

    return write


@pytest.fixture(autouse=True)
def quickly_compiled():
    """Without the optimizations that take most of the compile time of a tiny network."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def pictures(tmp_path):
    """16x16 colour images, for training and test."""
    rng = np.random.default_rng(0)
    for i in range(10):
        path = tmp_path / "pictures" / ("test" if i < 2 else "train") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(path)


def convert(checkpoint, config, root, source="score_sde"):
    return ["convert", f"--from={source}", f"--checkpoint={checkpoint}", f"--config={config}", f"--workdir={root}"]


def assert_golden(jit, root, golden):
    """The network of a work directory, with the average that sampling takes, gives the published output."""
    model = open_model(root)
    module = invoke(MODELS, model.run.config.model, "model")
    inputs = jnp.asarray(golden["x"], jnp.float32), jnp.asarray(golden["labels"])
    with jax.default_matmul_precision("highest"):
        y = jit(bind(module))(model.params, *inputs)
    np.testing.assert_allclose(y, golden["out64"], rtol=0, atol=5e-6 * np.abs(golden["out64"]).max())
    assert model.step == 1234


def saved_state(root):
    """The whole state in the latest checkpoint of a work directory."""
    state = jax.eval_shape(open_model(root).recipe.training.init, jax.random.key(0), None)
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    with checkpoints(root / "checkpoints") as saved:
        target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here), state)
        return saved.restore(saved.steps()[-1], target)


def tree_of(config):
    """The network of a configuration file, on 16x16 colour images."""
    return network(build(load(config), data.describe("./nowhere", image_size=16), None))


def as_jax(weights, path):
    """A training as the JAX implementation stores it: norms with three axes of length one in front."""

    def stored(params):
        wide = {p: a.reshape(1, 1, 1, -1) if "GroupNorm" in p[-2] else a for p, a in flatten_dict(params).items()}
        return unflatten_dict(wide)

    state = {
        "step": weights.step,
        "optimizer": {"target": stored(weights.params), "state": {"step": weights.step, "param_states": {}}},
        "lr": 2e-4,
        "model_state": {},
        "ema_rate": 0.9999,
        "params_ema": stored(weights.ema),
        "rng": np.array([0, 1], np.uint32),
    }
    path.write_bytes(serialization.msgpack_serialize(state))
    return path


@pytest.mark.parametrize(
    "case, checkpoint, flax",
    [("ncsnpp_skip_cat", ZIP, False), ("ddpmpp_vp_cont", LEGACY, False), ("ncsnpp_skip_cat", ZIP, True)],
)
def test_the_published_output_comes_out_of_the_work_directory(
    case, checkpoint, flax, configured, golden, tmp_path, jit
):
    """Breaks if a weight is lost, transposed or misplaced between the published file and the model that samples."""
    config, root = configured(case), tmp_path / "run"
    if flax:
        checkpoint = as_jax(score_sde.read(checkpoint, tree_of(config)), tmp_path / "checkpoint_1")
    assert cli.main(convert(checkpoint, config, root)) == 0
    assert_golden(jit, root, golden(f"net_{case}"))
    assert {path.name for path in root.iterdir()} == {"config.json", "checkpoints"}
    state = saved_state(root)
    frozen = "GaussianFourierProjection_0"
    for path, average in flatten_dict(state.ema).items():
        raw = flatten_dict(state.params)[path]
        np.testing.assert_array_equal(raw, average * (1.0 if frozen in path else 1.125))
    seen = [leaf for leaf in jax.tree.leaves(state.opt) if leaf.ndim and np.any(leaf)]
    assert len(seen) == (2 * (len(jax.tree.leaves(state.ema)) - 1) if checkpoint == ZIP else 0)


def test_every_command_takes_a_converted_model(configured, pictures, tmp_path, capsys):
    """Breaks if a command needs what only training leaves behind."""
    config, root = (
        configured("ncsnpp_skip_cat", ch_mult=(1,), progressive="none", progressive_input="none"),
        tmp_path / "run",
    )
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: 0.1 * rng.standard_normal(leaf.shape), tree_of(config).shapes)
    checkpoint = as_jax(score_sde.Weights(1234, params, params, None), tmp_path / "checkpoint_1")
    assert cli.main(convert(checkpoint, config, root)) == 0
    assert "converted step 1234" in capsys.readouterr().out
    assert cli.main(["sample", f"--workdir={root}", "--num=2", f"--out={tmp_path}/x.npz"]) == 0
    with np.load(tmp_path / "x.npz") as drawn:
        assert drawn["images"].shape == (2, 16, 16, 3) and drawn["images"].std() > 10
    assert cli.main(["likelihood", f"--workdir={root}", "--num=2"]) == 0
    assert "bits_per_dim  " in capsys.readouterr().out
    assert cli.main(["evaluate", f"--workdir={root}", "--metrics=bpd"]) == 0
    assert (root / "eval" / "1234" / "metrics.json").exists()
    assert cli.main(["info", f"--workdir={root}"]) == 0
    assert "train: 8 images 16x16x3, 256 levels" in capsys.readouterr().out
    assert json.loads((root / "config.json").read_text())["statistics"] is None
    assert cli.main(["train", f"--config={config}", f"--workdir={root}"]) == 0
    assert [json.loads(line)["step"] for line in (root / "metrics.jsonl").read_text().splitlines()] == [1235, 1236]
    document = json.loads((root / "config.json").read_text())
    assert document["statistics"]["sigma_data"] > 0.1 and document["spec"]["size"] == 8


class Runs:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_what_is_no_checkpoint_of_the_network_leaves_nothing(configured, tmp_path, capsys):
    """Breaks if a bad file runs something, writes something, or ends in anything but one sentence."""
    marker, bad = tmp_path / "marker", tmp_path / "bad"
    bad.mkdir()
    (bad / "text").write_text("hello\n")
    (bad / "empty").write_bytes(b"")
    (bad / "zip").write_bytes(ZIP.read_bytes()[:500_000])
    (bad / "legacy").write_bytes(LEGACY.read_bytes()[:500_000])
    (bad / "pickle").write_bytes(pickle.dumps(Runs(f"touch {marker}"), 2))
    zipped(bad / "runs", pickle.dumps({"model": Runs(f"touch {marker}")}, 2), {})
    zipped(bad / "tensor", program(tensor(b"N")), {})
    zipped(bad / "number", b"\x80\x02K\x01.", {})
    state = {"step": 1, "optimizer": {"target": {"Dense_0": {"kernel": np.zeros((2, 2))}}}, "params_ema": {}}
    (bad / "flax").write_bytes(serialization.msgpack_serialize(state))
    config, other, root = configured("ncsnpp_skip_cat"), configured("ncsnpp_ve_cont"), tmp_path / "run"
    before = sorted(tmp_path.rglob("*"))
    for name, said in (
        *(("text", "begins as neither"), ("empty", "begins as neither"), ("zip", "fetch it again")),
        *(("legacy", "fetch it again"), ("pickle", "begins as neither"), ("runs", "nothing in it was run")),
        *(("tensor", "no view of a storage"), ("number", "training checkpoint of score_sde")),
        *(("flax", "has Dense_0/kernel of shape (2, 2)"), (".", "found none"), ("absent", "found none")),
    ):
        assert said in refused(capsys, *convert(bad / name, config, root))
    sentence = refused(capsys, *convert(ZIP, other, root))
    assert "of shape" in sentence and "choose the --config it was trained with" in sentence
    as_jax(score_sde.read(ZIP, tree_of(config)), bad / "flax")
    assert "choose the --config" in refused(capsys, *convert(bad / "flax", other, root))
    assert "score_sde" in refused(capsys, *convert(ZIP, config, root, source="scoresde"))
    assert "take another --workdir" in refused(capsys, *convert(ZIP, config, bad))
    assert "--config.ema=warm" in refused(capsys, *convert(ZIP, config, root), "--config.ema=none")
    unscaled = refused(capsys, *convert(ZIP, config, root), "--config.loss.scale_in=unit_variance")
    assert "needs the argument 'sigma_data'" in unscaled
    assert "mean of the training data" in refused(capsys, *convert(ZIP, config, root), "--config.data.center=True")
    assert sorted(tmp_path.rglob("*")) == before and not marker.exists()


@pytest.mark.parametrize(
    "run, parameters",
    [
        ("ve/cifar10_ncsnpp_continuous", 62_758_915),
        ("vp/ddpm/cifar10", 35_218_947),
        ("ve/ffhq_256_ncsnpp_continuous", 65_574_549),
        ("ve/ncsnv2/bedroom", None),
    ],
)
def test_published_runs_are_described_without_their_data(run, parameters, tmp_path, monkeypatch):
    """Breaks if a model can only be converted where the data it was trained on are."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    config = load(ROOT / "configs" / f"{run}.py", [f"data.data_dir={tmp_path}"])
    section = config.data
    spec = data.describe(section.dataset, section.split, section.data_dir, section.image_size, section.center_crop)
    tree = network(build(config, spec, None))
    assert spec.size == 0 and not [*tmp_path.iterdir()]
    assert parameters in (None, sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(tree.shapes)))
    assert {*tree.shapes} <= {*tree.calls}
