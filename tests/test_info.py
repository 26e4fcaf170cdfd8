"""jaxgen info --mesh --device: what a training would cost on devices that are not here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import TINY, refused

from jaxgen import cli

CONFIGS = Path(__file__).parent.parent / "configs"
UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def lines(text):
    """{first word or two: what is said of it}."""
    return {line[:16].strip(): line[16:] for line in text.strip().splitlines()}


def size(text):
    """ "12.3 MB" in bytes."""
    value, unit = re.match(r"([\d.e+]+) (\w+)", text).groups()
    return float(value) * UNITS[unit]


def info(capsys, *argv):
    assert cli.main(["info", *argv]) == 0
    return lines(capsys.readouterr().out)


def test_a_published_run_is_predicted_without_its_data(capsys):
    """Breaks if a configuration whose data set is not here, or takes more than the devices that are, cannot be judged
    before it is launched. A narrow DDPM++ stands for the published one."""
    narrow = ["channels=16", "num_res_blocks=1", "ch_mult=(1,)", "attn_resolutions=()"]
    said = info(
        capsys,
        f"--config={CONFIGS}/vp/cifar10_ddpmpp_continuous.py",
        "--mesh=data:4,fsdp:2",
        "--device=h100",
        "--config.train.batch_size=16",
        "--config.parallel.dtype=bfloat16",
        *(f"--config.model.{setting}" for setting in narrow),
    )
    assert said["data"].startswith("cifar10 train: images 32x32x3")
    assert said["mesh"] == "data 4 x fsdp 2: 8 h100, 2 of 16 images each, bfloat16"
    parameters = int(re.search(r"net ([\d,]+)", said["parameters"])[1].replace(",", ""))
    state = size(re.search(r"state (.*?),", said["memory"])[1])
    assert 8 * parameters < state < 16 * parameters  # weights, two moments and an average, the large ones in two shards
    assert "of 80 GB: fits" in said["memory"] and "989 TFLOP/s" in said["compute"]
    assert {"all-gather", "all-reduce"} & set(re.findall(r"[a-z]+-[a-z]+", said["links"]))
    number = r"([\d.,e-]+)"
    least, most, low, high, worst, best = (
        float(value.replace(",", ""))
        for value in re.fullmatch(
            rf"{number} ms a step, if only compute took time, to {number} ms, if \w+ took all that is counted: "
            rf"{number} to {number} images/s, MFU {number} to {number} %",
            said["predicted"],
        ).groups()
    )
    assert 0 < least < most and (low, high) == pytest.approx((16e3 / most, 16e3 / least), rel=0.01)
    assert 0 < worst < best <= 100 and best / worst == pytest.approx(most / least, rel=0.01)


def test_what_does_not_fit_on_a_device_is_said_to_and_fits_in_shards(capsys):
    """Breaks if a job is queued for a slice that cannot hold it. Nothing of the 3.4 billion parameters is allocated."""
    wide = [f"--config={TINY}", "--config.model.width=16384", "--config.model.blocks=4"]
    alone = info(capsys, *wide, "--mesh=data:1")["memory"]
    apart = info(capsys, *wide, "--mesh=fsdp:8")["memory"]
    assert "of 16 GB: DOES NOT FIT" in alone
    state = [size(re.search(r"state (.*?),", text)[1]) for text in (alone, apart)]
    assert state[0] / state[1] == pytest.approx(8, rel=0.02) and state[0] > 50e9


def test_a_mesh_of_more_devices_than_this_host_simulates_by_default():
    """Breaks if a mesh is limited to the devices that JAX finds, whatever they are."""
    command = [sys.executable, "-m", "jaxgen", "info", f"--config={TINY}", "--mesh=data:8,fsdp:2"]
    environment = {key: value for key, value in os.environ.items() if key not in ("XLA_FLAGS", "JAX_PLATFORMS")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "data 8 x fsdp 2: 16 v5e, 1 of 16 images each" in done.stdout


def test_without_a_mesh_the_configuration_says_it(capsys):
    """Breaks if a run that is set up for 4 x 2 devices is predicted on one, or one device is not said to be a guess."""
    sized = ["--config.parallel.data=4", "--config.parallel.fsdp=2"]
    assert info(capsys, f"--config={TINY}", "--device=v5p", *sized)["mesh"].startswith("data 4 x fsdp 2: 8 v5p,")
    one = info(capsys, f"--config={TINY}", "--device=v5p")
    assert one["mesh"].endswith("; --mesh=data:N,fsdp:M for more") and "1 simulated device:" in one["counted"]
    assert "passes in bfloat16" in one["compute"]


def test_pmap_is_predicted_as_what_it_is(capsys):
    """Breaks if a mapping that replicates the state is promised the memory of shards."""
    pmap = [f"--config={TINY}", "--config.parallel.mapping=pmap"]
    assert info(capsys, *pmap, "--mesh=data:2")["mesh"].endswith("by pmap")
    assert "the mesh has fsdp:2" in refused(capsys, "info", *pmap, "--mesh=fsdp:2")


BAD = {
    "--mesh=data:4,tensor:2": "--mesh must give sizes to data and fsdp, such as data:32,fsdp:8",
    "--mesh=8": "such as data:32,fsdp:8, got '8'",
    "--mesh=data:0": "such as data:32,fsdp:8, got 'data:0'",
    "--mesh=data:2,data:2": "such as data:32,fsdp:8, got 'data:2,data:2'",
    "--mesh=data:5": "a batch of 16 cannot be spread over 5 devices: take --config.train.batch_size=20",
    "--device=v6": "unknown --device 'v6': did you mean 'v5",
    "--config.parallel.dtype=float16": "unknown parallel.dtype 'float16': did you mean 'bfloat16'?",
}


@pytest.mark.parametrize("flag", BAD)
def test_bad_flags_are_one_sentence(flag, capsys):
    """Breaks if a slip of the pen ends in a traceback."""
    assert BAD[flag] in refused(capsys, "info", f"--config={TINY}", "--mesh=data:1", flag)
