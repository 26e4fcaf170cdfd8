"""What the launchers would run, word for word, and that every command of their README is one they take.

If the golden text changes, so do the commands that rent machines: compare it with the documentation of gcloud, xpk and
sbatch. golden/*.txt: each "$ command" is followed by what it prints.
"""

import contextlib
import importlib
import io
import re
import shlex
import sys
from pathlib import Path

import pytest
import source

ROOT = Path(__file__).parent.parent.parent
README = ROOT / "experiments" / "launch" / "README.md"
SYSTEMS = "tpu_vm", "gke", "slurm", "local"


def output(command):
    """What `python experiments/launch/SYSTEM.py ...` prints, with names for what differs from machine to machine."""
    program, script, *arguments = shlex.split(command)
    assert program == "python"
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        code = importlib.import_module(Path(script).stem).main(arguments)
    return code, text.getvalue().replace(sys.executable, "PYTHON").replace(str(ROOT), "CHECKOUT")


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_commands_are_word_for_word(system, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(source, "digest", lambda checkout, folders: "DIGEST")
    text = (Path(__file__).parent / "golden" / f"{system}.txt").read_text()
    for case in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = case.partition("\n")
        assert output(command) == (0, expected.rstrip("\n") + "\n"), command


def commands(text):
    """The shell commands of the fenced blocks, lines that a backslash joins as one."""
    for block in re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL):
        yield from filter(None, (line.partition(" #")[0].strip() for line in block.replace("\\\n", " ").splitlines()))


def test_the_readme_is_true(monkeypatch):
    """A newcomer types these: a flag that does not exist costs him the evening, or the machine that he then forgets."""
    monkeypatch.chdir(ROOT)
    values = {"PROJECT": "p-1", "ZONE": "us-west4-a", "REGION": "us-west4", "BUCKET": "b-1", "CLUSTER": "c-1"}
    tried = []
    for command in commands(README.read_text()):
        known = re.sub(r"\$\{?([A-Z]+)\}?", lambda name: values.get(name[1], name[0]), command)
        words = shlex.split(known)
        if words[0] == "python":
            start = 2 if words[1].endswith("local.py") else 3
            code, said = output(shlex.join([*words[:start], "--dry_run", *words[start:]]))
            assert code == 0, (command, said)
            tried.append(Path(words[1]).stem)
        elif "jaxgen" in words[0]:
            from jaxgen import cli

            given, overrides = cli.split(words[1:])
            cli.parser().parse_args(given)
    assert set(tried) == set(SYSTEMS)
