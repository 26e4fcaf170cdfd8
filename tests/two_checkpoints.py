"""One of two processes with four devices each, which keep checkpoints: arguments FOLDER CASE, then flags to be joined.

It ends as the command line does. Process 0 prints what came of it.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
from disk import flip, full_disk

from jaxgen import cli
from jaxgen.io import checkpoint
from jaxgen.io.checkpoint import abstract, checkpoints
from jaxgen.parallel import multihost
from jaxgen.parallel.mesh import make_mesh
from jaxgen.parallel.sharding import state_sharding

FOLDER, CASE = Path(sys.argv[1]), sys.argv[2]


def state():
    def init():
        return {"w": jnp.arange(2.0**14).reshape(64, 256), "b": jnp.ones(3)}

    return jax.jit(init, out_shardings=state_sharding(make_mesh(fsdp=8), jax.eval_shape(init)))()


def damage(part: str) -> None:
    """Flip a bit in every file of arrays of the newest checkpoint that process `part` alone reads."""
    if multihost.is_main():
        files = list((FOLDER / "2" / "state" / f"ocdbt.process_{part}" / "d").iterdir())
        assert files
        for file in files:
            flip(file)
    multihost.barrier("damaged")


def read(error: Exception | None = None) -> str:
    """What comes of the newest; process 1 may see one step only, and meets `error` where it reads the arrays of 2."""
    target = abstract(state())
    with checkpoints(FOLDER, keep=2) as saved:
        if not multihost.is_main():
            saved.manager._checkpoints.delete_if(lambda info: info.step == 1)
            handler = checkpoint.ocp.PyTreeCheckpointHandler
            restore = handler.restore

            def failing(self, path, **arguments):
                if error is not None and path.parent.name == "2":
                    raise error
                return restore(self, path, **arguments)

            handler.restore = failing
        steps = saved.steps()
        found = saved.newest(target)
        same = all(multihost.agree(jax.device_get(jnp.array_equal(a, b))).all() for a, b in pairs(found.state))
    return f"{steps} {found.step} {same} {len(found.damaged)}"


def pairs(tree):
    return zip(jax.tree.leaves(tree), jax.tree.leaves(state()), strict=True)


def full() -> str:
    """Save until it fails, which it does in process 1 alone."""
    tree = state()
    step = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf + leaf.mean(), tree), donate_argnums=0)
    with checkpoints(FOLDER, keep=2) as saved, full_disk(500 if not multihost.is_main() else -1):
        saved.save(3, tree, {})
        while True:
            saved.check()
            tree = jax.block_until_ready(step(tree))


def work(*_) -> str:
    if CASE == "full":
        return full()
    with checkpoints(FOLDER, keep=2) as saved:
        for step in (1, 2):
            saved.save(step, state(), {})
    if CASE == "unreachable":
        return read(PermissionError(13, "Permission denied"))
    damage("1")
    return read()


cli.run = work
sys.exit(cli.main(["train", "--config=none", f"--workdir={FOLDER}", *sys.argv[3:]]))
