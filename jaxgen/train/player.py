"""One training step for every family: a set of players, each of which owns some networks and minimises one loss.

Diffusion models, VAEs, flows and autoregressive models have one player, a GAN two, a VQGAN two. Players move in order,
each seeing the moves before it; a loss may use any network but moves only those its player owns.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxgen.losses.algebra import Aux, Batch, Loss
from jaxgen.train import ema as moving_average
from jaxgen.train.state import State, join, split

Metrics = dict[str, Array]
UNROLLED: ContextVar[bool | None] = ContextVar("unrolled", default=None)


@contextmanager
def accumulation(unrolled: bool) -> Iterator[None]:
    """What is traced within accumulates gradients in a loop, as on an accelerator, or in an unrolled one, as on a CPU,
    wherever it is compiled."""
    token = UNROLLED.set(unrolled)
    try:
        yield
    finally:
        UNROLLED.reset(token)


class Player(NamedTuple):
    """`owns` names networks; `tx` moves them down `loss`, at every `every`-th step."""

    owns: tuple[str, ...]
    loss: Loss
    tx: optax.GradientTransformation
    every: int = 1


class Training(NamedTuple):
    """init(key, batch) -> State, step(state, batch, key) -> (State, metrics), and start(variables) -> State, the state
    before the first step of networks that have these variables. All are pure and jittable.

    step(..., on_mesh=...) is for whoever shards the state: a Loss -> Loss that says where networks and examples are
    when a loss meets them."""

    init: Callable[[Array, Batch], State]
    step: Callable[..., tuple[State, Metrics]]
    start: Callable[[dict[str, Any]], State]


def training(
    init_params: Callable[[Array, Batch], dict[str, Any]],
    players: Sequence[Player],
    ema: moving_average.Decay | None = None,
    accumulate: int = 1,
    axis_name: str | None = None,
    max_skipped: int = 0,
) -> Training:
    """The step of `players`.

    init_params(key, batch) -> {network: variables}. `key` of the step is the same at every step: the step folds its own
    count in, so nothing random needs a checkpoint. With `accumulate` = k gradients are averaged over k parts of the
    batch. With `axis_name` the batch is one device's share inside a mapped axis, and gradients, metrics and updates are
    averaged over it; the keys are those the same examples have in the whole batch.

    With `max_skipped` = K a step in which any loss or norm of gradients is not finite changes nothing but the counts,
    which metrics then show. After K of them in a row none changes anything: the state stays the last good one until the
    host sees the count.
    """
    owned = [name for player in players for name in player.owns]
    if len(set(owned)) != len(owned):
        raise ValueError(f"each network has one owner, but the players own {owned}.")

    def init(key: Array, batch: Batch) -> State:
        return start(init_params(key, batch))

    def start(variables: dict[str, Any]) -> State:
        params, extra = split(variables)
        if set(params) != set(owned):
            raise ValueError(f"the players own {sorted(owned)}, but init_params makes {sorted(params)}.")
        opt = tuple(player.tx.init({name: params[name] for name in player.owns}) for player in players)
        average = None if ema is None else jax.tree.map(jnp.copy, params)
        return State(jnp.zeros((), jnp.int32), params, extra, opt, average, jnp.zeros(2, jnp.int32))

    def step(
        state: State, batch: Batch, key: Array, on_mesh: Callable[[Loss], Loss] = lambda loss: loss
    ) -> tuple[State, Metrics]:
        params, extra, opt = state.params, state.extra, list(state.opt)
        metrics: Metrics = {}
        finite = jnp.bool_(True)
        for i, player in enumerate(players):
            keys = _example_keys(jax.random.fold_in(jax.random.fold_in(key, state.step), i), batch, axis_name)
            mean_loss = _mean_loss(on_mesh(player.loss), params, extra, state.step)
            part = {name: params[name] for name in player.owns}
            if axis_name is None:
                loss, grads, aux = _accumulate(mean_loss, part, batch, keys, accumulate)
            else:  # parameters that shard_map holds to be the same everywhere get gradients that are already summed
                own = jax.lax.pcast(part, axis_name, to="varying")
                shares = _accumulate(mean_loss, own, batch, keys, accumulate)
                loss, grads, aux = jax.lax.pmean(shares, axis_name)

            def move(opt_state: Any, part: Any, grads: Any = grads, tx: Any = player.tx) -> tuple[Any, Any]:
                updates, opt_state = tx.update(grads, opt_state, part)
                return opt_state, optax.apply_updates(part, updates)

            if player.every == 1:
                opt[i], part = move(opt[i], part)
            else:
                due = state.step % player.every == 0
                opt[i], part = jax.lax.cond(due, move, lambda opt_state, part: (opt_state, part), opt[i], part)
            params = {**params, **part}
            extra = {**extra, **{name: {**extra.get(name, {}), **new} for name, new in aux.updates.items()}}
            suffix = "" if len(players) == 1 else "/" + "+".join(player.owns)
            norm = optax.global_norm(grads)
            finite &= jnp.isfinite(loss) & jnp.isfinite(norm)
            metrics |= {**aux.metrics, f"loss{suffix}": loss, f"grad_norm{suffix}": norm}
        decay = None if ema is None else ema(state.step + 1)
        new = State(state.step + 1, params, extra, tuple(opt), state.ema, state.skipped)
        if max_skipped:
            new, moved = _unless_skipped(finite, new, state, max_skipped)
            decay = None if decay is None else jnp.where(moved, decay, 1)  # the average of what is kept: one pass fewer
            metrics |= {"skipped": new.skipped[0], "skipped_in_a_row": new.skipped[1]}
        average = None if decay is None else moving_average.update(decay, state.ema, new.params)
        return new._replace(ema=average), metrics

    return Training(init, step, start)


def _unless_skipped(finite: Array, new: State, old: State, max_skipped: int) -> tuple[State, Array]:
    """The new state where the step was `finite`, and the old one otherwise and ever after `max_skipped` in a row; and
    which it is."""
    total, row = old.skipped
    stopped = row >= max_skipped
    counts = jnp.stack([total + ~finite, jnp.where(finite, 0, row + 1)])
    moved = finite & ~stopped
    kept = jax.tree.map(partial(jnp.where, moved), new._replace(ema=None), old._replace(ema=None))
    return kept._replace(step=new.step, skipped=jnp.where(stopped, old.skipped, counts)), moved


def _example_keys(key: Array, batch: Batch, axis_name: str | None) -> Array:
    """One key per example; inside a mapped axis, this device's slice of the keys of the whole batch."""
    size = jax.tree.leaves(batch)[0].shape[0]
    if axis_name is None:
        return jax.random.split(key, size)
    keys = jax.random.split(key, size * jax.lax.axis_size(axis_name))
    return jax.lax.dynamic_slice_in_dim(keys, jax.lax.axis_index(axis_name) * size, size)


def _mean_loss(
    loss: Loss, params: dict[str, Any], extra: dict[str, Any], step: Array
) -> Callable[[Any, Batch, Array], tuple[Array, Aux]]:
    def mean_loss(part: Any, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        value, aux = loss(join({**params, **part}, extra), {**batch, "step": step}, keys)
        if value.shape != keys.shape:
            raise ValueError(
                f"a loss returns one number per example, {keys.shape}, but this one returned {value.shape}."
            )
        return jnp.mean(value), aux._replace(metrics=jax.tree.map(jnp.mean, aux.metrics))

    return mean_loss


def _accumulate(
    mean_loss: Callable[[Any, Batch, Array], tuple[Array, Aux]], part: Any, batch: Batch, keys: Array, k: int
) -> tuple[Array, Any, Aux]:
    """(loss, grads, aux), averaged over k parts of the batch."""
    grad = jax.value_and_grad(mean_loss, has_aux=True)
    if k == 1:
        (loss, aux), grads = grad(part, batch, keys)
        return loss, grads, aux
    if keys.shape[0] % k:
        raise ValueError(f"a batch of {keys.shape[0]} cannot be accumulated in {k} equal parts.")
    # Part j takes examples j, j + k, ...: the leading axis keeps its sharding.
    parts = jax.tree.map(lambda leaf: jnp.moveaxis(leaf.reshape(-1, k, *leaf.shape[1:]), 1, 0), (batch, keys))

    def body(total: Any, share: tuple[Batch, Array]) -> tuple[Any, None]:
        (loss, aux), grads = grad(part, *share)
        return jax.tree.map(jnp.add, total, (loss, grads, aux)), None

    (loss, aux), grads = jax.eval_shape(grad, part, *jax.tree.map(lambda leaf: leaf[0], parts))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), (loss, grads, aux))
    # XLA's CPU backend runs convolutions inside a loop many times slower than outside, so there the loop is unrolled.
    unrolled = jax.default_backend() == "cpu" if UNROLLED.get() is None else UNROLLED.get()
    result, _ = jax.lax.scan(body, zeros, parts, unroll=k if unrolled else 1)
    return jax.tree.map(lambda leaf: (leaf / k).astype(leaf.dtype), result)
