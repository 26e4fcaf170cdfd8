"""The command line does what it says, and bad input ends in one sentence and exit code 2."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import TINY, refused, train
from PIL import Image

from jaxgen import cli
from jaxgen.commands.flags import parser
from jaxgen.data import load
from jaxgen.evaluate.stream.sides import open_side
from jaxgen.io.location import location


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished unconditional run."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    assert cli.main(train(folder, "--config.train.sample_every=6")) == 0
    return folder


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """A finished class-conditional run that can be guided."""
    folder = tmp_path_factory.mktemp("runs") / "classes"
    overrides = ["--config.data.conditional=True", "--config.loss.drop_condition=0.1", "--config.ema=none"]
    assert cli.main(train(folder, *overrides, "--config.optimizer.learning_rate=0.1")) == 0
    return folder


@pytest.fixture
def pictures(tmp_path):
    """A folder of 8x8 grey images in two classes."""
    rng = np.random.default_rng(0)
    for i in range(20):
        path = tmp_path / "pictures" / ("cat" if i % 2 else "dog") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(path)
    return tmp_path / "pictures"


def test_a_run_leaves_what_the_other_commands_need(run):
    """Breaks if a work directory is not complete by itself."""
    names = {path.name for path in run.iterdir()}
    assert names == {"config.json", "checkpoints", "metrics.jsonl", "tensorboard", "samples"}
    document = json.loads((run / "config.json").read_text())
    assert document["config"]["train"]["steps"] == 6 and document["spec"]["levels"] == 17
    assert 0.3 < document["statistics"]["sigma_data"] < 1
    assert (run / "samples" / "00000006.png").stat().st_size > 0


def test_samples_come_as_grid_arrays_or_files_and_are_the_same(run, tmp_path, capsys):
    """Breaks if the three outputs disagree, or an image depends on how many are drawn."""
    command = ["sample", f"--workdir={run}", "--seed=3"]
    strip = tmp_path / "strip.png"
    assert cli.main([*command, "--num=5", f"--out={tmp_path}/grid.png", f"--strip={strip}"]) == 0
    assert "wrote 5 samples of step 6" in capsys.readouterr().out
    assert cli.main([*command, "--num=9", f"--out={tmp_path}/all.npz"]) == 0
    assert cli.main([*command, "--num=5", f"--out={tmp_path}/files/"]) == 0
    x = np.load(tmp_path / "all.npz")["images"]
    assert x.shape == (9, 8, 8, 1) and x.dtype == np.uint8 and x.max() == 16
    assert open_side(f"{tmp_path}/all.npz").levels == 17
    files = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "files").iterdir())]
    np.testing.assert_array_equal(np.stack(files), np.rint(x[:5, ..., 0] * (255 / 16)))
    assert Image.open(tmp_path / "grid.png").size == (3 * 50 + 2, 2 * 50 + 2)
    assert Image.open(strip).size[1] == 5 * 50 + 2


def test_the_sampler_can_be_chosen_afterwards(run, tmp_path, capsys):
    """Breaks if --sampler or --steps is ignored."""
    for sampler, steps, calls in (("dpmpp_2m", 5, "5"), ("ddim", 3, "3"), ("probability_flow", 4, None)):
        argv = ["sample", f"--workdir={run}", "--num=2", f"--sampler={sampler}", f"--steps={steps}"]
        assert cli.main([*argv, f"--out={tmp_path}/x.npz"]) == 0
        printed = capsys.readouterr().out
        assert re.findall(r"(\d+) evaluations", printed) == ([] if calls is None else [calls])


def test_an_earlier_checkpoint_is_kept_and_opened(tmp_path, capsys):
    """Breaks if the best of several checkpoints is not there any more, or --step opens another one."""
    folder, out = tmp_path / "run", f"--out={tmp_path}/x.npz"
    fast = "--config.optimizer.learning_rate=0.1", "--config.ema=none"
    assert cli.main(train(folder, *fast, "--config.train.keep_every=3", "--config.train.keep=1")) == 0
    capsys.readouterr()

    def draw(*argv):
        assert cli.main(["sample", f"--workdir={folder}", "--num=4", out, *argv]) == 0
        return np.load(tmp_path / "x.npz")["images"], capsys.readouterr().out

    early, said = draw("--step=3")
    assert "samples of step 3" in said
    last, said = draw("--step=6")
    assert "samples of step 6" in said
    np.testing.assert_array_equal(draw()[0], last)
    assert np.any(early != last)
    for command in (["sample"], ["restore", "--task=inpaint"], ["evaluate"], ["likelihood"]):
        sentence = refused(capsys, *command, f"--workdir={folder}", "--step=4")
        assert "checkpoint of step 4" in sentence and "keeps 3, 6:" in sentence
    assert cli.main(["evaluate", f"--workdir={folder}", "--step=3", "--metrics=nn", "--num=40"]) == 0
    assert (folder / "eval" / "3" / "report.html").exists()
    assert cli.main(train(folder, *fast, "--config.train.keep_every=0")) == 0  # a run may go on with another value


def test_classes_by_number_name_or_in_turn(conditional, tmp_path):
    """Breaks if a conditional model draws other classes than it was asked for, or guidance has no effect."""

    def draw(*argv):
        command = ["sample", f"--workdir={conditional}", "--num=12", f"--out={tmp_path}/x.npz", *argv]
        assert cli.main(command) == 0
        with np.load(tmp_path / "x.npz") as data:
            return data["images"], data["labels"].tolist()

    assert draw()[1] == [*range(10), 0, 1]
    images, labels = draw("--label=3,5")
    assert labels == [3, 5] * 6
    guided, _ = draw("--label=3,5", "--guidance=50")
    assert (guided != images).any()
    threes, fives = draw("--label=3")[0], draw("--label=5")[0]
    assert (threes != fives).any()
    np.testing.assert_array_equal(images[::2], threes[::2])
    np.testing.assert_array_equal(images[1::2], fives[1::2])
    outside, _ = draw("--label=3,5", "--guidance=50", "--config.sampling.guidance_interval=(1e5,1e6)")
    np.testing.assert_array_equal(outside, images)


def test_evaluate_writes_and_prints_the_figures(run, capsys):
    """Breaks if the report lacks a figure that was asked for."""
    assert cli.main(["evaluate", f"--workdir={run}", "--metrics=fd,prdc,nn", "--num=40"]) == 0
    printed = capsys.readouterr().out
    document = json.loads((run / "eval" / "6" / "metrics.json").read_text())
    assert set(document["figures"]) == {
        *("FDpix", "precision", "recall", "density", "coverage"),
        *("nearest_train_median", "nearest_train_p05", "copies"),
    }
    assert all(name in printed for name in document["figures"])
    assert "report.html" in printed and (run / "eval" / "6" / "report.html").exists()


def test_likelihood_by_flow_and_by_bound(tmp_path, capsys):
    """Breaks if a term, a Jacobian or the dimension is lost on the way to bits. The network stays at zero: eps_hat = 0.

    Bound: (gamma_1 - gamma_0)/2 E[eps^2] nats a dimension. Flow: x(t_1) = a x with a^2 = sigmoid(-gamma_1) (alpha is 1
    at t_0), so -log N(a x; 0, 1) - log a - log 2/16, with E[x^2] = 0.7 or so.
    """
    vdm = TINY.parent.parent / "configs" / "vdm" / "digits.py"
    plain = ["--config.loss.head=direct", "--config.loss.prediction=eps", "--config.sde=vdm"]
    smaller = ["--config.model=mlp", "--config.model.width=8", "--config.train.batch_size=16", "--config.train.steps=1"]
    still = ["--config.optimizer.learning_rate=0.0", "--config.train.sample_every=0"]
    coarse = ["--config.likelihood.rtol=1e-3", "--config.likelihood.atol=1e-3"]

    def likelihood(objective, *argv):
        chosen = f"--config.loss.objective={objective}"
        folder = tmp_path / objective
        if not folder.exists():
            assert cli.main(train(folder, *plain, *smaller, *still, *coarse, chosen, config=vdm)) == 0
        capsys.readouterr()
        assert cli.main(["likelihood", f"--workdir={folder}", "--num=64", "--draws=2", *argv]) == 0
        convention, _, model, line = capsys.readouterr().out.splitlines()
        assert "one level wide" in convention and "test, 64 images" in model and "D = 64, 17 levels" in model
        return line

    flow, bound = likelihood("denoising"), likelihood("bound")
    assert flow.startswith("bits_per_dim ") and "2 draws" in flow
    assert bound.startswith("bits_per_dim_bound ")
    a = (1 + np.exp(5.0)) ** -0.5
    expected = (0.5 * np.log(2 * np.pi) + 0.5 * a**2 * 0.7 - np.log(a) - np.log(2 / 16)) / np.log(2)
    assert float(flow.split()[1]) == pytest.approx(expected, abs=0.01)
    assert float(bound.split()[1]) == pytest.approx(18.3 / 2 / np.log(2), rel=0.05)
    # Were draw k that of seed + k, draws 0, 1 of seed 0 and draw 0 of seed 1 would be two noises, not three.
    single = [float(likelihood("bound", "--draws=1", f"--seed={seed}").split()[1]) for seed in (0, 1)]
    assert float(bound.split()[1]) != pytest.approx(np.mean(single), abs=2e-4)


def test_likelihoods_of_several_models_and_splits_are_one_table(run, capsys):
    """Breaks if a model, a split or a column is lost between the measurement and the table."""
    where = f"--workdir={run}"
    coarse = ["--config.likelihood.rtol=1e-2", "--config.likelihood.atol=1e-2", "--num=8"]
    assert cli.main(["likelihood", where, where, "--split=train,test", *coarse]) == 0
    _, _, first, both, _, second, again = capsys.readouterr().out.splitlines()
    assert first == second and "train, 8 images" in first and "test, 8 images" in first and both == again
    name, train, _, _, test, *_ = both.split()
    assert cli.main(["likelihood", where, "--split=test", *coarse]) == 0
    alone = capsys.readouterr().out.splitlines()[-1].split()
    assert alone[:2] == [name, test] and test != train


def test_info_of_a_config_and_of_a_run(run, capsys):
    """Breaks if what a configuration means or costs cannot be seen before training."""
    assert cli.main(["info", f"--config={TINY}"]) == 0
    first = capsys.readouterr().out
    assert cli.main(["info", f"--workdir={run}"]) == 0
    second = capsys.readouterr().out
    assert "parameters" in first and "FLOPs" in first and "edm()" in first
    assert second.startswith(first.rstrip()) and "step 6" in second
    flops = re.search("[0-9.e+]+ FLOPs", first).group()
    assert cli.main(["info", f"--workdir={run}", "--config.parallel.mapping=pmap", "--config.sampling.steps=7"]) == 0
    third = capsys.readouterr().out
    assert flops in third and "by pmap" in third and "13 evaluations" in third
    assert "was trained with sde.name=edm" in refused(capsys, "info", f"--workdir={run}", "--config.sde=vp")


BAD_CONFIGURATION = {
    "unknown key": ("--config.train.step=3", "did you mean 'train.steps'"),
    "unknown section": ("--config.trian.steps=3", "did you mean 'train.steps'"),
    "a whole section": ("--config.train=3", "unknown key 'train'"),
    "no value": ("--config.train.steps", "without a value"),
    "int": ("--config.train.steps=abc", "config.train.steps must be int, got 'abc'"),
    "int not float": ("--config.train.steps=2.5", "config.train.steps must be int, got 2.5"),
    "bool": ("--config.data.center=1", "config.data.center must be bool, got 1"),
    "sde": ("--config.sde=subpv", "unknown sde 'subpv': did you mean 'subvp'"),
    "sde argument": ("--config.sde.sigma_mix=3", "did you mean 'sigma_min'"),
    "sde argument type": ("--config.sde.sigma_min=abc", "sigma_min of sde edm must be float, got 'abc'"),
    "solver": ("--config.sampling.solver=dpm_2m", "did you mean 'dpmpp_2m'"),
    "grid": ("--config.sampling.grid=karas", "did you mean 'karras'"),
    "model": ("--config.model=unett", "did you mean 'unet'"),
    "prediction": ("--config.loss.prediction=epss", "did you mean 'eps'"),
    "objective": ("--config.loss.objective=bond", "did you mean 'bound'"),
    "mapping": ("--config.parallel.mapping=xmap", "must be 'jit' or 'pmap', got 'xmap'"),
    "mesh": ("--config.parallel.fsdp=3", "does not cover 8 devices"),
    "batch": ("--config.train.batch_size=12", "cannot be spread over 8 devices"),
    "data set": ("--config.data.dataset=digitss", "digits"),
    "split": ("--config.data.split=trian", "'trian'"),
    "guidance": ("--config.sampling.guidance=2.0", "needs a class-conditional model"),
    "grid index": ("--config.loss.label=grid_index", "sde=edm runs in continuous time: take sde=ddpm"),
    "ode between grid times": (
        "--config.sde=ddpm --config.loss.label=grid_index --config.sampling.solver=probability_flow",
        "sample along the grid instead (sampling.solver=ddim",
    ),
    "published sampler of another process": (
        "--config.sampling.solver=score_sde",
        "take predictor_corrector, ddim or heun",
    ),
    "published sampler of few steps": (
        "--config.sde=vp --config.sampling.solver=score_sde --config.sampling.steps=12",
        "more than 20 scales, got n=12: take more steps",
    ),
    "central crop": ("--config.data.center_crop=9", "images of at least 9x9 pixels to crop, got 8x8"),
    "grid of a discretized process": ("--config.sampling.grid=indices", "a discretized process"),
    "too many times": ("--config.sde=ddpm --config.sde.n=21 --config.sampling.steps=22", "take fewer steps"),
    "accumulate 0": ("--config.parallel.accumulate=0", "config.parallel.accumulate must be at least 1, got 0"),
    "accumulate": ("--config.parallel.accumulate=3", "cannot be accumulated in 3 equal parts"),
    "accumulate by pmap": ("--config.parallel.accumulate=4 --config.parallel.mapping=pmap", "in 4 equal parts"),
    "no batch": ("--config.train.batch_size=0", "config.train.batch_size must be at least 1, got 0"),
    "no sampling batch": ("--config.sampling.batch_size=0", "config.sampling.batch_size must be at least 1, got 0"),
    "seed": ("--config.seed=5000000000", "config.seed must be in 0 .. 4294967295, got 5000000000"),
    "finish": ("--config.sampling.finish=last_mean", "needs a solver that adds noise to a mean"),
    "logits": ("--config.loss.head=level_posterior --config.loss.prediction=x0", "which mlp cannot have"),
    "bound of continuous levels": ("--config.loss.objective=bound --config.data.center=True", "data.center=False"),
    "bound at other times": ("--config.loss.objective=bound", "loss.times=uniform"),
    "bound on a discretized process": (
        "--config.loss.objective=bound --config.loss.times=uniform --config.sde=ddpm",
        "got uniform on a discretized process",
    ),
    "bound of another weight": (
        "--config.loss.objective=bound --config.loss.times=uniform --config.loss.weight=likelihood",
        "leave loss.weight out",
    ),
    "bound of other steps": (
        "--config.loss.objective=bound --config.loss.times=steps --config.loss.times.n=7 --config.loss.weight=vlb",
        "'steps': 7",
    ),
    "guidance of a model without the null class": (
        "--config.data.conditional=True --config.sampling.guidance=2.0",
        "loss.drop_condition=0.1",
    ),
    "guidance interval": ("--config.sampling.guidance_interval=(2,1)", "two numbers (low, high)"),
    "argument that is no function": (
        "--config.sampling.solver=predictor_corrector --config.sampling.solver.predictor=reverse_difusion",
        "unknown sampling.solver.predictor 'reverse_difusion': did you mean 'reverse_diffusion'",
    ),
    "argument that is missing": (
        "--config.sampling.solver=predictor_corrector",
        "such as --config.sampling.solver.predictor=reverse_diffusion",
    ),
    "argument that must be a function": (
        "--config.model=ncsnpp --config.model.nonlinearity=3",
        "nonlinearity of model ncsnpp must name a function, such as 'silu', got 3",
    ),
    "crop": ("--config.data.crop=-1", "config.data.crop must be at least 0, got -1"),
}


@pytest.mark.parametrize("case", BAD_CONFIGURATION)
def test_a_bad_configuration_is_one_sentence_and_leaves_nothing(case, tmp_path, capsys):
    """Breaks if what does not fit is found out in a traceback, or after a work directory was made."""
    overrides, expected = BAD_CONFIGURATION[case]
    assert expected in refused(capsys, *train(tmp_path / "run", *overrides.split()))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def get_config(:", "line 1"),
        ("x = 1", "must define get_config()"),
        ("def get_config():\n    return {}", "must return a ConfigDict, got dict"),
        ("from jaxgen.configuration import *\ndef get_config():\n    c = default()\n    c.train.step = 1\n    return c",
         "line 4 is not a valid configuration: Did you mean"),
        ("from ml_collections import *\ndef get_config():\n    return ConfigDict({'train': {'step': 1}})",
         "did you mean 'train.steps'"),
    ],
)  # fmt: skip
def test_a_broken_configuration_file_is_one_sentence(text, expected, tmp_path, capsys):
    """Breaks if a typing error in a configuration ends in a traceback through the library."""
    (tmp_path / "config.py").write_text(text)
    assert expected in refused(capsys, *train(tmp_path / "run", config=tmp_path / "config.py"))


def test_no_configuration_file(tmp_path, capsys):
    assert "found none" in refused(capsys, *train(tmp_path / "run", config=tmp_path / "config.py"))


def test_a_folder_of_images_trains(pictures, tmp_path):
    """Breaks if a user's own images, with their classes, cannot be trained on."""
    overrides = [f"--config.data.dataset={pictures}", "--config.data.conditional=True", "--config.train.steps=2"]
    assert cli.main(train(tmp_path / "run", *overrides)) == 0
    assert cli.main(["sample", f"--workdir={tmp_path}/run", "--num=3", "--label=dog", f"--out={tmp_path}/x.png"]) == 0


def test_bad_image_folders_are_one_sentence(pictures, tmp_path, capsys):
    """Breaks if empty, unlabelled, unequal, undecodable or ill-sized images reach the network or end in a traceback."""

    def attempt(*overrides):
        sentence = refused(capsys, *train(tmp_path / "run", f"--config.data.dataset={pictures}", *overrides))
        assert not (tmp_path / "run").exists()
        return sentence

    assert "divisible by 16" in attempt("--config.model=unet", "--config.model.mult=(1,1,1,1,1)")
    (pictures / "cat" / "1.png").write_bytes((pictures / "cat" / "1.png").read_bytes()[:60])
    assert "1.png" in attempt()
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(pictures / "cat" / "1.png")
    assert "image_size" in attempt()
    (pictures / "cat" / "1.png").unlink()
    for path in list(pictures.rglob("*.png")):
        shutil.move(path, pictures / path.name)
    for path in (pictures / "cat", pictures / "dog"):
        path.rmdir()
    assert "needs labels" in attempt("--config.data.conditional=True")
    for path in pictures.glob("*.png"):
        path.unlink()
    assert "found none" in attempt()


def test_a_work_directory_of_another_run_is_left_alone(run, tmp_path, capsys):
    """Breaks if a changed configuration goes on with weights that it did not train."""
    before = (run / "config.json").read_bytes()
    sentence = refused(capsys, *train(run, "--config.model.width=32"))
    assert "model.width=16" in sentence and "32" in sentence
    assert (run / "config.json").read_bytes() == before
    (tmp_path / "notes.txt").write_text("mine")
    assert "holds something else" in refused(capsys, *train(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_harmless_keys_may_change_on_resume(run, tmp_path, capsys):
    """Breaks if a run cannot be trained for longer, or its recorded configuration is not the current one. The tiny
    configuration stands for itself; the shipped ones let the learning rate fall to zero at train.steps."""
    shipped = TINY.parent.parent / "configs" / "edm" / "digits_mlp.py"
    smaller = [f"--config.model.{key}" for key in ("width=8", "blocks=1")]
    smaller += ["--config.train.sample_every=0", "--config.sampling.steps=2"]
    for steps in (2, 4):
        assert cli.main(train(tmp_path / "mlp", f"--config.train.steps={steps}", *smaller, config=shipped)) == 0
        assert f"trained {steps} steps" in capsys.readouterr().out
    assert json.loads((tmp_path / "mlp" / "config.json").read_text())["config"]["optimizer"]["decay_steps"] == 4
    copy = shutil.copytree(run, tmp_path / "run")
    overrides = ["--config.train.steps=7", "--config.sampling.solver=ddim", "--config.train.log_every=2"]
    assert cli.main(train(copy, *overrides)) == 0
    assert json.loads((copy / "config.json").read_text())["config"]["sampling"]["solver"] == {"name": "ddim"}


def test_a_run_only_goes_on_with_its_data(pictures, tmp_path, capsys):
    """Breaks if images that came or went since shift the order of the batches without a word."""
    command = train(tmp_path / "run", f"--config.data.dataset={pictures}", "--config.train.steps=1")
    assert cli.main(command) == 0
    (pictures / "cat" / "1.png").unlink()
    sentence = refused(capsys, *command, "--config.train.steps=2")
    assert "was trained on data with size=20" in sentence and "size=19 now" in sentence


def test_damaged_prepared_data_are_one_sentence(tmp_path, capsys):
    """Breaks if a full disk or a cut copy ends in a traceback, or in the advice to correct the name."""
    prepared = tmp_path / "prepared"
    load("digits", "train", prepared)

    def attempt(name, damage):
        home = shutil.copytree(prepared, tmp_path / name)
        damage(next((home / "digits" / "1.0.0").glob(name)))
        sentence = refused(capsys, *train(tmp_path / "run", f"--config.data.data_dir={home}"))
        assert "is damaged: remove" in sentence and str(home / "digits") in sentence
        shutil.rmtree(home)

    def middle(path):
        content = path.read_bytes()
        third = len(content) // 3
        path.write_bytes(content[:third] + bytes(third) + content[2 * third :])

    attempt("digits-train*", lambda path: path.write_bytes(path.read_bytes()[:100_000]))
    attempt("digits-train*", lambda path: path.write_bytes(bytes(path.stat().st_size)))
    attempt("digits-train*", middle)
    attempt("digits-train*", lambda path: path.unlink())
    attempt("dataset_info.json", lambda path: path.write_text("{"))
    attempt("dataset_info.json", lambda path: path.unlink())
    assert not (tmp_path / "run").exists()


def test_a_model_is_only_used_as_it_was_trained(run, conditional, tmp_path, capsys):
    """Breaks if sampling accepts what the trained network cannot do."""
    out = f"--out={tmp_path}/x.png"
    sample = ["sample", f"--workdir={run}", out]
    assert "was trained with sde.name=edm" in refused(capsys, *sample, "--config.sde=vp")
    assert "did you mean 'dpmpp_2m'" in refused(capsys, *sample, "--sampler=dpmpp2m")
    assert "at least 2" in refused(capsys, *sample, "--steps=1")
    assert "at least 1" in refused(capsys, *sample, "--num=0")
    for command in ("evaluate", "likelihood"):
        assert "--num: must be at least 2, got 0" in refused(capsys, command, f"--workdir={run}", "--num=0")
        assert "--seed: must be in 0 .." in refused(capsys, command, f"--workdir={run}", "--seed=5000000000")
    assert "--draws: must be at least 1" in refused(capsys, "likelihood", f"--workdir={run}", "--draws=0")
    assert "without classes" in refused(capsys, *sample, "--label=3")
    assert "class-conditional" in refused(capsys, *sample, "--guidance=2")
    assert "--strip" in refused(capsys, *sample, "--sampler=probability_flow", f"--strip={tmp_path}/s.png")
    assert ".png, .npz or /" in refused(capsys, "sample", f"--workdir={run}", "--out=x.gif")
    assert "0 .. 9, got 12" in refused(capsys, "sample", f"--workdir={conditional}", out, "--label=12")
    assert "unknown metric" in refused(capsys, "evaluate", f"--workdir={run}", "--metrics=fdd")
    assert "must not be empty" in refused(capsys, "evaluate", f"--workdir={run}", "--metrics=")
    assert "one or more of fd, prdc" in refused(capsys, "evaluate", f"--workdir={run}", "--metrics=fd,")
    assert "Inception" in refused(capsys, "evaluate", f"--workdir={run}", "--metrics=fid")
    assert "give --workdir of a model, or --fake" in refused(capsys, "evaluate", "--metrics=fd")
    assert "exact" in refused(capsys, "likelihood", f"--workdir={run}", "--divergence=exakt")
    assert "'tset'" in refused(capsys, "likelihood", f"--workdir={run}", "--split=tset")
    assert not (tmp_path / "x.png").exists() and not (tmp_path / "s.png").exists()


def test_damaged_work_directories_are_one_sentence(run, tmp_path, capsys):
    """Breaks if what is missing or of another version is found out in a traceback."""

    def attempt(damage):
        copy = shutil.copytree(run, tmp_path / "copy")
        damage(copy)
        sentence = refused(capsys, "sample", f"--workdir={copy}", f"--out={tmp_path}/x.png")
        shutil.rmtree(copy)
        return sentence

    def edit(path, **changes):
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    assert "config.json" in attempt(lambda copy: (copy / "config.json").unlink())
    assert "config.json is not" in attempt(lambda copy: (copy / "config.json").write_text("{"))
    assert "config.json is not" in attempt(lambda copy: (copy / "config.json").write_text('{"format": 1}'))
    assert "has format 99" in attempt(lambda copy: edit(copy / "config.json", format=99))
    assert "found none" in attempt(lambda copy: shutil.rmtree(copy / "checkpoints"))
    assert "found none" in attempt(lambda copy: shutil.rmtree(copy / "checkpoints" / "6") or
                                   shutil.rmtree(copy / "checkpoints" / "4"))  # fmt: skip
    assert "has format 99" in attempt(lambda copy: edit(copy / "checkpoints" / "6" / "extra" / "metadata", format=99))
    assert "cannot be read" in attempt(lambda copy: shutil.rmtree(copy / "checkpoints" / "6" / "state"))


def test_bad_flags_are_one_sentence(capsys):
    for argv in (["trian"], ["train"], ["sample", "--workdir=x", "--num=many"], ["info"], ["train", "--confg=x"]):
        assert "--help" in refused(capsys, *argv)


def test_an_empty_text_or_path_is_refused_by_every_command(tmp_path, monkeypatch, capsys):
    """Breaks if --out= writes into the folder that the command is started in, or --real= reads it."""
    monkeypatch.chdir(tmp_path)
    (commands,) = (action for action in parser()._actions if isinstance(action.choices, dict))
    texts = (None, Path, location)
    flags = [
        (name, action.option_strings[0])
        for name, command in commands.choices.items()
        for action in command._actions
        if action.option_strings and action.nargs is None and action.type in texts
    ]
    assert {("evaluate", "--out"), ("sample", "--out"), ("convert", "--checkpoint"), ("train", "--config")} <= {*flags}
    for name, flag in flags:
        assert f"argument {flag}: must not be empty; see jaxgen {name} --help." in refused(capsys, name, f"{flag}=")
    assert "argument FILE: must not be empty" in refused(capsys, "ratings", "")
    assert "argument RUN: must not be empty" in refused(capsys, "sheet", "", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("ratings {at}/none.json", "there is no file {at}/none.json: correct the path."),
        ("ratings {at}", "expected a file at {at}, found a folder: correct the path."),
        (
            "ratings {at}/file/x.json",
            "{at}/file/x.json cannot be read or written (Not a directory): allow it, make room",
        ),
        ("prompts --run={at}/run --images={at} --list={at}/none.tsv", "there is no file {at}/none.tsv"),
        ("evaluate --fake=digits --metrics=vendi --weights=inception={at}/none.pth", "there is no file {at}/none.pth"),
        ("evaluate --fake=digits --metrics=vendi --weights=inception={at}", "expected a file at {at}, found a folder"),
        ("evaluate --fake=digits --captions={at}/none.txt", "there is no file {at}/none.txt"),
        ("sheet {at} {at} --out={at}", "--out must name a file, got the folder {at}."),
        ("sheet {at} {at} --out={at}/file/x.html", "{at}/file is a file"),
        (
            "evaluate --real=digits --metrics=fid --save_statistics={at}/x.npz",
            "must name a file, got the folder {at}/x.npz",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(argv, said, tmp_path, capsys):
    """Breaks if users read [Errno 2], or a picture's place is found to be taken when it is written."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "x.npz").mkdir()
    assert said.format(at=tmp_path) in refused(capsys, *argv.format(at=tmp_path).split())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "/a/b"), "/a/b cannot be read or written (Permission denied): allow"),
        (IsADirectoryError(21, "Is a directory", "/a/.b.tmp", None, "/a/b"), "expected a file at /a/b, found a folder"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (ConnectionError("process 1 was lost."), "process 1 was lost."),
    ],
)
def test_what_the_operating_system_refuses_is_one_sentence(error, said, capsys):
    """Breaks if the name of a temporary file is told in place of the one that was asked for."""
    assert cli.explain(error) == (75 if isinstance(error, ConnectionError) else 2)
    assert capsys.readouterr().err.startswith(f"jaxgen: {said}")


def test_the_place_of_a_picture_is_known_before_it_is_drawn(run, tmp_path, capsys, monkeypatch):
    """Breaks if a folder in the place of a file is found when all images are drawn."""
    from jaxgen.commands import sample

    monkeypatch.setattr(sample, "complete", lambda *given: pytest.fail("images were drawn"))
    (tmp_path / "x.png").mkdir()
    for command in ("sample", "reconstruct", "interpolate"):
        argv = [command, f"--workdir={run}", "--num=2", f"--out={tmp_path}/x.png"]
        assert f"--out must name a file, got the folder {tmp_path}/x.png" in refused(capsys, *argv)
    restore = ["restore", f"--workdir={run}", "--task=inpaint", f"--out={tmp_path}/x.png"]
    assert "--out must name a file" in refused(capsys, *restore)
    strip = ["sample", f"--workdir={run}", f"--out={tmp_path}/y.png", f"--strip={tmp_path}/x.png"]
    assert "--strip must name a file" in refused(capsys, *strip)


def test_a_run_without_a_checkpoint_is_one_sentence(run, tmp_path, capsys):
    """Breaks if a run that was stopped before its first checkpoint ends in a traceback, or draws from nothing."""
    shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    for command in ("evaluate", "sample", "likelihood"):
        said = refused(capsys, command, f"--workdir={tmp_path}/run")
        assert f"expected a checkpoint in {tmp_path}/run/checkpoints, found none" in said


def test_a_bug_is_not_mistaken_for_bad_input(monkeypatch, run):
    """Breaks if an error inside a library is cut down to its last line."""
    import jaxgen.commands.model

    monkeypatch.setattr(jaxgen.commands.model, "build", lambda *a: np.zeros(3).reshape(2))
    with pytest.raises(ValueError, match="reshape"):
        cli.main(["sample", f"--workdir={run}"])
    # A built-in that fails in a line of jaxgen has no frame of its own.
    line = eval("lambda *a: int('three')", vars(jaxgen.commands.model))
    monkeypatch.setattr(jaxgen.commands.model, "build", line)
    with pytest.raises(ValueError, match="invalid literal"):
        cli.main(["sample", f"--workdir={run}"])


def test_help_is_light_and_exits_with_the_sentence():
    """Breaks if the command line imports JAX before it knows what to do, or the process returns another code."""
    code = "import sys; from jaxgen.cli import main\ntry: main(['--help'])\nfinally: assert 'jax' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("train", "sample", "evaluate", "likelihood", "info"))
    done = subprocess.run([sys.executable, "-m", "jaxgen", "sample", "--workdir=/none"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
