"""The command line from tests: how a tiny run is trained, and what a refusal says."""

from pathlib import Path

from jaxgen import cli

TINY = Path(__file__).parent / "tiny.py"


def train(folder, *overrides, config=TINY):
    return ["train", f"--config={config}", f"--workdir={folder}", *overrides]


def refused(capsys, *argv):
    """The one sentence with which `argv` is refused."""
    capsys.readouterr()
    assert cli.main([str(word) for word in argv]) == 2
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("jaxgen: ")]
    assert len(lines) == 1 and err.splitlines()[-1] == lines[0] and "Traceback" not in err and not out
    return lines[0]
