"""Checkpoints of a run: the training state, and beside it a small JSON of everything that is not an array.

Each is written in the background into a temporary folder and renamed when it is whole, so a reader never sees a part.
Arrays are restored onto whatever devices the caller names: one that eight devices wrote is read on one, and back. What
was damaged since is known by the fingerprints in the JSON. With several processes all of them make the same calls.
"""

import logging
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

import jaxgen
from jaxgen.io import fingerprint
from jaxgen.io.location import is_remote
from jaxgen.parallel import multihost
from jaxgen.train.best import Best

FORMAT = 2


class Damaged(ValueError):
    """A checkpoint that is not what was written: Damaged(path, reason)."""

    def __str__(self) -> str:
        path, reason = self.args
        return f"the checkpoint {path} cannot be read ({reason}): remove it to go back to the one before."


class Found(NamedTuple):
    """A checkpoint that was read whole, and a sentence on each newer one that could not be."""

    step: int
    state: Any
    extra: dict[str, Any]
    damaged: tuple[str, ...]


class Checkpoints:
    """The checkpoints in a folder, by step. Made by `checkpoints`."""

    def __init__(self, folder: Path, manager: ocp.CheckpointManager, metrics: dict[int, dict[str, float]]):
        self.folder, self.manager, self.metrics = folder, manager, metrics

    def latest(self) -> int | None:
        """The last step that was saved, or None."""
        return self.manager.latest_step()

    def steps(self) -> list[int]:
        """All steps that were saved and stayed, in ascending order."""
        return sorted(self.manager.all_steps())

    def save(self, step: int, state: Any, extra: Mapping[str, Any], metrics: Mapping[str, float] | None = None) -> None:
        """Start to save `state` (a pytree of arrays), `extra` (JSON) and the `metrics` by which the best are known.
        Returns once the arrays may be overwritten. Raises ValueError if this or the save before cannot be written."""
        self.metrics[step] = {name: value for name, value in (metrics or {}).items() if isfinite(value)}
        document = {
            "format": FORMAT,
            "version": jaxgen.__version__,
            "metrics": self.metrics[step],
            "fingerprints": fingerprint.of_arrays(state),
            **extra,
        }
        document["fingerprint"] = fingerprint.of_document(document)
        items = ocp.args.Composite(state=ocp.args.PyTreeSave(state), extra=ocp.args.JsonSave(document))
        with self._writing():
            self.manager.save(step, args=items, force=True)

    def check(self) -> None:
        """Raises ValueError if the last save has failed meanwhile."""
        if not self.manager.is_saving_in_progress():
            self.wait()

    def wait(self) -> None:
        """Until the last save is whole. Raises ValueError if it cannot be written."""
        with self._writing():
            self.manager.wait_until_finished()

    def extra(self, step: int) -> dict[str, Any]:
        """The JSON saved with `step`. Raises ValueError if it cannot be read or has another format."""
        return self._checked(step, self._read(step, extra=ocp.args.JsonRestore()).extra)

    def restore(self, step: int, target: Any) -> Any:
        """The arrays of `target`, a tree of jax.ShapeDtypeStruct with shardings: that of the saved state or, as a dict,
        of some of its fields. Raises ValueError if they are not there in these shapes, or not as they were written."""
        arguments = ocp.checkpoint_utils.construct_restore_args(target)
        state = ocp.args.PyTreeRestore(target, restore_args=arguments, partial_restore=isinstance(target, dict))
        read = self._read(step, state=state, extra=ocp.args.JsonRestore())
        written = self._checked(step, read.extra)["fingerprints"]
        for path, figure in fingerprint.of_arrays(read.state).items():
            if written.get(path) != figure:
                raise Damaged(self.folder / str(step), f"{path} is not what was written")
        return read.state

    def newest(self, target: Any) -> Found:
        """The newest checkpoint that is whole. Those that are newer become STEP.damaged, so that their steps can be
        saved again. Raises ValueError where none is whole, and leaves all as they are."""
        failed: list[Damaged] = []
        for step in reversed(self.steps()):
            try:
                found, error = Found(step, self.restore(step, target), self.extra(step), ()), None
            except Damaged as damage:
                found, error = None, damage
            if multihost.agree(error is None).all():
                assert found is not None
                return found._replace(damaged=self._aside(failed, step))
            failed.append(error or Damaged(self.folder / str(step), "by another process"))
        path, reason = failed[-1].args
        raise ValueError(
            f"no checkpoint in {self.folder} can be read, the oldest, {path.name}, because of: {reason}; put back a "
            "copy of one, or take another --workdir."
        ) from failed[-1]

    def _aside(self, failed: Sequence[Damaged], step: int) -> tuple[str, ...]:
        """Rename what failed; what is to be said of it, where the run goes on from `step`."""
        said = []
        for path, reason in (error.args for error in failed):
            names = (path.with_name(f"{path.name}.damaged{i or ''}") for i in count())
            name = next(name for name in names if not name.exists())
            multihost.barrier(f"{name} is free")
            if multihost.is_main():
                path.rename(name)
            said.append(
                f"the checkpoint {path} cannot be read ({reason}): the run goes on from step {step}, and {name} keeps "
                "what is left of it."
            )
        if failed:
            multihost.barrier(f"damaged checkpoints after {step} are aside")
            self.manager.reload()
        return tuple(said)

    def _read(self, step: int, **items: Any) -> Any:
        try:
            return self.manager.restore(step, args=ocp.args.Composite(**items))
        except Exception as error:
            raise Damaged(self.folder / str(step), told(error)) from error

    def _checked(self, step: int, document: dict[str, Any]) -> dict[str, Any]:
        if document.get("format") != FORMAT:
            raise ValueError(
                f"the checkpoint {self.folder / str(step)} has format {document.get('format')}, but this version of "
                f"jaxgen reads format {FORMAT}: use the version that wrote it."
            )
        if document.pop("fingerprint", None) != fingerprint.of_document(document):
            raise Damaged(self.folder / str(step), "its JSON is not what was written")
        return document

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What the storage library raises where it cannot write, as one sentence."""
        try:
            yield
        except Exception as error:
            self.manager.reload()  # what is there, not what was to stay
            steps = self.steps()
            whole = f"that of step {steps[-1]} is whole, and" if steps else "there is none before it;"
            raise ValueError(
                f"a checkpoint cannot be written in {self.folder} ({told(error)}): make room there or make it "
                f"writable; {whole} the same command goes on."
            ) from error


class Manager(ocp.CheckpointManager):
    """Whether the run is to stop is asked by the loop alone, which counts otherwise."""

    def reached_preemption(self, step: int) -> bool:
        return False


class KeepBest:
    """Of checkpoints with these metrics, the `best`."""

    def __init__(self, best: Best, metrics: Mapping[int, Mapping[str, float]]):
        self.best, self.metrics = best, metrics

    def should_preserve(
        self, checkpoints: Sequence[policies.PolicyCheckpointInfo], *, context: policies.PreservationContext
    ) -> Sequence[bool]:
        known = {checkpoint.step: self.metrics.get(checkpoint.step, {}) for checkpoint in checkpoints}
        chosen = self.best.among({s: m[self.best.metric] for s, m in known.items() if self.best.metric in m})
        return [step in chosen for step in known]


@contextmanager
def checkpoints(
    folder: Path, keep: int | None = None, every: int = 0, best: Best | None = None
) -> Iterator[Checkpoints]:
    """The checkpoints in `folder`, of which the latest `keep` stay, and with `every` those of its multiples for good,
    and the `best`; None to read only. All are whole on leaving."""
    metrics: dict[int, dict[str, float]] = {}
    with quiet():
        if keep is None:
            options = ocp.CheckpointManagerOptions(read_only=True, create=False)
        else:
            kept: list[policies.PreservationPolicy] = [policies.LatestN(keep)]
            kept += [policies.EveryNSteps(every)] if every else []
            kept += [KeepBest(best, metrics)] if best else []
            options = ocp.CheckpointManagerOptions(
                preservation_policy=policies.AnyPreservationPolicy(kept), cleanup_tmp_directories=True
            )
        saved = Checkpoints(
            folder, Manager(folder if is_remote(folder) else folder.absolute(), options=options), metrics
        )
        for step in saved.steps() if best else ():
            try:
                metrics[step] = saved.extra(step)["metrics"]
            except ValueError:
                continue  # said when it is restored
        try:
            yield saved
        finally:
            saved.wait()
            saved.manager.close()


@contextmanager
def quiet() -> Iterator[None]:
    """The storage library raises what fails; that it also logs it, and that it leaves reads and writes behind whose end
    nobody awaits, is not shown."""
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def told(error: Exception) -> str:
    """The reason of an error of the storage library: that of the operating system, where it has one."""
    text = " ".join(str(error).split()).partition(" See full TensorStore")[0]
    system = re.search(r"([^:]+) \[os_error_code", text)
    return system[1].strip() if system else f"{type(error).__name__}: {text[:200]}"


def abstract(tree: Any) -> Any:
    """Shape, dtype and sharding of every array: a target for `restore` that holds no memory."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), tree)
