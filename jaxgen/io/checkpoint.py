"""Checkpoints of a run: the training state, and beside it a small JSON of everything that is not an array.

Each is written in the background into a temporary folder and renamed when it is whole, so a reader never sees a part.
Arrays are restored onto whatever devices the caller names: one that eight devices wrote is read on one, and back.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

FORMAT = 1


class Checkpoints:
    """The checkpoints in a folder, by step. Made by `checkpoints`."""

    def __init__(self, folder: Path, manager: ocp.CheckpointManager):
        self.folder, self.manager = folder, manager

    def latest(self) -> int | None:
        """The last step that was saved whole, or None."""
        return self.manager.latest_step()

    def steps(self) -> list[int]:
        """All steps that were saved whole and stayed, in ascending order."""
        return sorted(self.manager.all_steps())

    def save(self, step: int, state: Any, extra: Mapping[str, Any]) -> None:
        """Start to save `state` (a pytree of arrays) and `extra` (JSON). Returns once the arrays may be overwritten."""
        document = {"format": FORMAT, **extra}
        self.manager.save(
            step, args=ocp.args.Composite(state=ocp.args.PyTreeSave(state), extra=ocp.args.JsonSave(document))
        )

    def extra(self, step: int) -> dict[str, Any]:
        """The JSON saved with `step`. Raises ValueError if it cannot be read or has another format."""
        document = self._restore(step, extra=ocp.args.JsonRestore()).extra
        if document.get("format") != FORMAT:
            raise ValueError(
                f"the checkpoint {self.folder / str(step)} has format {document.get('format')}, but this version of "
                f"jaxgen reads format {FORMAT}: use the version that wrote it."
            )
        return document

    def restore(self, step: int, target: Any) -> Any:
        """The arrays of `target`, a tree of jax.ShapeDtypeStruct with shardings: that of the saved state or, as a dict,
        of some of its fields. Raises ValueError if they are not there in these shapes."""
        arguments = ocp.checkpoint_utils.construct_restore_args(target)
        partial = isinstance(target, dict)
        return self._restore(
            step, state=ocp.args.PyTreeRestore(target, restore_args=arguments, partial_restore=partial)
        ).state

    def _restore(self, step: int, **items: Any) -> Any:
        try:
            return self.manager.restore(step, args=ocp.args.Composite(**items))
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"the checkpoint {self.folder / str(step)} cannot be read ({type(error).__name__}: {reason}): remove "
                "it to go back to the one before."
            ) from error


@contextmanager
def checkpoints(folder: Path, keep: int | None = None, every: int = 0) -> Iterator[Checkpoints]:
    """The checkpoints in `folder`, of which the latest `keep` stay, and with `every` those of its multiples for good;
    None to read only. All are whole on leaving."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    if keep is None:
        options = ocp.CheckpointManagerOptions(read_only=True, create=False)
    else:
        kept = [policies.LatestN(keep), *([policies.EveryNSteps(every)] if every else [])]
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policies.AnyPreservationPolicy(kept), cleanup_tmp_directories=True
        )
    manager = ocp.CheckpointManager(folder.absolute(), options=options)
    try:
        yield Checkpoints(folder, manager)
    finally:
        manager.wait_until_finished()
        manager.close()


def abstract(tree: Any) -> Any:
    """Shape, dtype and sharding of every array: a target for `restore` that holds no memory."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), tree)
