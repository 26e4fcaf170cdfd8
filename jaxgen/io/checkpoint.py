"""Checkpoints of a run: the training state, and beside it a small JSON of everything that is not an array.

Each is written in the background into a temporary folder and renamed when it is whole, so a reader never sees a part.
Arrays are restored onto whatever devices the caller names: one that eight devices wrote is read on one, and back. What
was damaged since is known by the fingerprints in the JSON. With several processes all of them make the same calls; what
fails in one of them while reading fails in all, and one that cannot write waits for no other.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

import jaxgen
from jaxgen.io import fingerprint
from jaxgen.io.location import is_remote
from jaxgen.io.storage import Manager, is_damage, manager, quiet, reason_of
from jaxgen.parallel import multihost
from jaxgen.train.best import Best

FORMAT = 3
T = TypeVar("T")


class Damaged(ValueError):
    """A checkpoint that is not what was written: Damaged(path, reason)."""

    def __str__(self) -> str:
        path, reason = self.args
        return f"the checkpoint {path} cannot be read ({reason}): remove it to go back to the one before."


class Unreachable(ValueError):
    """A checkpoint that may be whole, but that this machine does not get at now: Unreachable(path, reason)."""

    def __str__(self) -> str:
        path, reason = self.args
        return (
            f"the checkpoint {path} cannot be reached ({reason}): it may be whole and stays as it is; see to it that "
            "it can be read, then the same command goes on."
        )


class Found(NamedTuple):
    """A checkpoint that was read whole, and of process 0 a sentence on each newer one that could not be."""

    step: int
    state: Any
    extra: dict[str, Any]
    damaged: tuple[str, ...]


class Checkpoints:
    """The checkpoints in a folder, by step. Made by `checkpoints`."""

    def __init__(self, folder: Path, manager: Manager, metrics: dict[int, dict[str, float]]):
        self.folder, self.manager, self.metrics = folder, manager, metrics
        self.failed = False  # to write

    def steps(self) -> list[int]:
        """All steps that were saved and stayed, in ascending order."""
        return sorted(self.manager.all_steps())

    def save(self, step: int, state: Any, extra: Mapping[str, Any], metrics: Mapping[str, float] | None = None) -> None:
        """Start to save `state` (a pytree of arrays), `extra` (JSON) and the `metrics` by which the best are known.
        Returns once the arrays may be overwritten. Raises ValueError if this or the save before cannot be written."""
        self.check()
        self.metrics[step] = {name: value for name, value in (metrics or {}).items() if isfinite(value)}
        document = {
            "format": FORMAT,
            "version": jaxgen.__version__,
            "metrics": self.metrics[step],
            "shapes": shapes(state),
            "fingerprints": fingerprint.of_arrays(state),
            **extra,
        }
        document["fingerprint"] = fingerprint.of_document(document)
        items = ocp.args.Composite(state=ocp.args.PyTreeSave(state), extra=ocp.args.JsonSave(document))
        with self._writing():
            self.manager.save(step, args=items, force=True)

    def check(self) -> None:
        """Raises ValueError if the last save has failed meanwhile."""
        if self.manager.together.failed or not self.manager.is_saving_in_progress():
            self.wait()

    def wait(self) -> None:
        """Until the last save is whole. Raises ValueError if it cannot be written."""
        with self._writing():
            self.manager.wait_until_finished()

    def close(self, error: BaseException | None) -> None:
        """Until all is whole, after `error` or none; at once where another process would be waited for in vain."""
        if jax.process_count() > 1 and (self.failed or error is not None and multihost.is_loss(error)):
            return
        self.wait()
        self.manager.close()

    def extra(self, step: int) -> dict[str, Any]:
        """The JSON saved with `step`. Raises ValueError if it cannot be read or has another format."""

        def read(path: Path) -> dict[str, Any]:
            document = ocp.JsonCheckpointHandler().restore(epath.Path(path / "extra"))
            ours = document["format"] == FORMAT
            if ours and document.pop("fingerprint") != fingerprint.of_document(document):
                raise Damaged(path, "its JSON is not what was written")
            return document

        document = self._read(step, read)
        if document["format"] != FORMAT:
            raise ValueError(
                f"the checkpoint {self.folder / str(step)} has format {document['format']}, but this version of "
                f"jaxgen reads format {FORMAT}: use the version that wrote it."
            )
        return document

    def restore(self, step: int, target: Any) -> Any:
        """The arrays of `target`, a tree of jax.ShapeDtypeStruct with shardings: that of the saved state or, as a dict,
        of some of its fields. Raises ValueError if they are not there in these shapes, or not as they were written."""
        return self._whole(step, target)[0]

    def newest(self, target: Any) -> Found:
        """The newest checkpoint that is whole. Those that are newer become STEP.damaged, so that their steps can be
        saved again. Raises ValueError where none is whole, or one cannot be reached, and leaves all as they are."""
        failed: list[Damaged] = []
        for step in reversed(self.steps()):
            try:
                state, extra = self._whole(step, target)
            except Damaged as damage:
                failed.append(damage)
            else:
                return Found(step, state, extra, self._aside(failed, step))
        path, reason = failed[-1].args
        raise ValueError(
            f"no checkpoint in {self.folder} can be read, the oldest, {path.name}, because of: {reason}; put back a "
            "copy of one, or take another --workdir."
        ) from failed[-1]

    def _aside(self, failed: Sequence[Damaged], step: int) -> tuple[str, ...]:
        """Rename what failed; what process 0 has to say of it, where the run goes on from `step`."""
        said = []
        for path, reason in (error.args for error in failed if multihost.is_main()):
            names = (path.with_name(f"{path.name}.damaged{i or ''}") for i in count())
            name = next(name for name in names if not name.exists())
            path.rename(name)
            said.append(
                f"the checkpoint {path} cannot be read ({reason}): the run goes on from step {step}, and {name} keeps "
                "what is left of it."
            )
        if failed:
            multihost.barrier(f"damaged checkpoints after {step} are aside")
            self.manager.reload()
        return tuple(said)

    def _whole(self, step: int, target: Any) -> tuple[Any, dict[str, Any]]:
        """The arrays of `target` and the JSON saved with `step`."""
        extra, path = self.extra(step), self.folder / str(step)
        for name, here in shapes(target).items():
            if (there := extra["shapes"].get(name, "nothing")) != here:
                raise ValueError(
                    f"the checkpoint {path} cannot be read into this model, where {name} is {here}: there it is "
                    f"{there}; take the configuration with which it was trained."
                )
        arguments = ocp.checkpoint_utils.construct_restore_args(target)
        wanted = ocp.args.PyTreeRestore(target, restore_args=arguments, partial_restore=isinstance(target, dict))

        def read(path: Path) -> Any:  # by the handler: a checkpointer waits for processes that may have failed
            return jax.block_until_ready(ocp.PyTreeCheckpointHandler().restore(epath.Path(path / "state"), args=wanted))

        state = self._read(step, read)
        if wrong := fingerprint.differing(state, extra["fingerprints"]):
            raise Damaged(path, f"{wrong[0]} is not what was written")
        return state, extra

    def _read(self, step: int, read: Callable[[Path], T]) -> T:
        """What `read` makes of the folder of `step`, without waiting for others. Where it fails in one process, all
        raise Unreachable, or else Damaged."""
        path = self.folder / str(step)
        error: Damaged | Unreachable | None = None
        try:
            result = read(path)
        except Damaged as damage:
            error = damage
        except Exception as failed:
            error = (Damaged if is_damage(failed) else Unreachable)(path, reason_of(failed))
        kinds = Unreachable, Damaged
        failures = multihost.agree([isinstance(error, kind) for kind in kinds])
        for kind, processes in zip(kinds, failures.T, strict=True):
            if processes.any():
                raise error if isinstance(error, kind) else kind(path, f"by process {np.flatnonzero(processes)[0]}")
        return result

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What the storage library raises where it cannot write, as one sentence."""
        try:
            yield
        except Exception as error:
            self.failed = True
            self.manager.reload()  # what is there, not what was to stay
            step = self.manager.latest_step()
            whole = f"that of step {step} is whole, and" if step is not None else "there is none before it;"
            raise ValueError(
                f"a checkpoint cannot be written in {self.folder} ({reason_of(error)}): make room there or make it "
                f"writable; {whole} the same command goes on."
            ) from error


@contextmanager
def checkpoints(
    folder: Path, keep: int | None = None, every: int = 0, best: Best | None = None
) -> Iterator[Checkpoints]:
    """The checkpoints in `folder`, of which the latest `keep` stay, and with `every` those of its multiples for good,
    and the `best`; None to read only. All are whole on leaving."""
    metrics: dict[int, dict[str, float]] = {}
    with quiet():
        where = folder if is_remote(folder) else folder.absolute()
        saved = Checkpoints(where, manager(where, keep, every, best, metrics), metrics)
        for step in saved.steps() if best else ():
            try:
                metrics[step] = saved.extra(step)["metrics"]
            except ValueError:
                continue  # said when it is restored
        try:
            yield saved
        finally:
            saved.close(sys.exception())


def abstract(tree: Any) -> Any:
    """Shape, dtype and sharding of every array: a target for `restore` that holds no memory."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), tree)


def shapes(tree: Any) -> dict[str, str]:
    """{path: "float32[3, 64]"} of every array."""
    return {path: f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in fingerprint.named(tree).items()}
