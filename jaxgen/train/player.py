"""One training step for every family: a set of players, each of which owns some networks and minimises one loss.

Diffusion models, VAEs, flows and autoregressive models have one player, a GAN two, a VQGAN two. Players move in order,
each seeing the moves before it; a loss may use any network but moves only those its player owns, parameters and
collections alike.
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

from jaxgen.losses.algebra import Aux, Batch, Loss, Periodic, fitted, periodic, scale, united
from jaxgen.losses.when import is_due, when, zeros_of
from jaxgen.train import ema as moving_average
from jaxgen.train.state import State, join, split

Metrics = dict[str, Any]  # name -> scalar, or a `Periodic` one
LAZY = 0x1A27  # salt of the keys of a lazy loss
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


class Lazy(NamedTuple):
    """Another loss of a player, in a move of its own at the steps n, 2n, ... with n = `every`, down n times the loss:
    the separate regularization of StyleGAN2 (1912.04958 appendix B). The optimizer is the same, and should be rescaled
    for its additional moves (`optimizers.lazy`); a penalty with `every` in the loss itself needs no rescaling."""

    loss: Loss
    every: int


class Player(NamedTuple):
    """`owns` names networks; `tx` moves them down `loss` at the steps n, 2n, ... with n = `every`, and after that down
    the `lazy` loss at its own. At other steps neither loss nor gradient is computed, the optimizer does not count, and
    metrics are `Periodic`."""

    owns: tuple[str, ...]
    loss: Loss
    tx: optax.GradientTransformation
    every: int = 1
    lazy: Lazy | None = None


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
    check_players(players)

    def init(key: Array, batch: Batch) -> State:
        return start(init_params(key, batch))

    def start(variables: dict[str, Any]) -> State:
        params, extra = split(variables)
        check_owned(owned, params)
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
            player_key = jax.random.fold_in(jax.random.fold_in(key, state.step), i)
            trained = "+".join(name for name in player.owns if jax.tree.leaves(params[name]))
            for turn in _turns(player, "" if len(players) == 1 else "/" + trained):
                keys = _example_keys(turn.key(player_key), batch, axis_name)
                mean_loss = _mean_loss(turn.name, on_mesh(turn.loss), params, extra, state.step)
                gradients = partial(_gradients, mean_loss, batch, keys, accumulate, axis_name)
                move = partial(_move, player.tx, gradients)
                own = (
                    {name: params[name] for name in player.owns},
                    {name: extra[name] for name in player.owns if name in extra},
                    opt[i],
                )
                if turn.every == 1:
                    own, report = move(*own)
                else:
                    due, wait = is_due(state.step, turn.every), partial(_wait, move)
                    own, report = when(due, move, wait, *own)
                params, extra, opt[i] = {**params, **own[0]}, {**extra, **own[1]}, own[2]
                finite &= jnp.isfinite(report.loss) & jnp.isfinite(report.norm)
                shown = {**report.metrics, f"loss{turn.name}": report.loss, f"grad_norm{turn.name}": report.norm}
                metrics |= periodic(turn.every, shown)
        decay = None if ema is None else ema(state.step + 1)
        new = State(state.step + 1, params, extra, tuple(opt), state.ema, state.skipped)
        if max_skipped:
            new, moved = _unless_skipped(finite, new, state, max_skipped)
            decay = None if decay is None else jnp.where(moved, decay, 1)  # the average of what is kept: one pass fewer
            metrics |= {"skipped": new.skipped[0], "skipped_in_a_row": new.skipped[1]}
        average = None if decay is None else moving_average.update(decay, state.ema, new.params)
        return new._replace(ema=average), metrics

    return Training(init, step, start)


def measured(step: int, metrics: Metrics) -> dict[str, Array]:
    """What of the metrics of the step that is the `step`-th was measured at it: all but those of moves and losses that
    were not due."""
    at = {name: metric if isinstance(metric, Periodic) else Periodic(metric, 1) for name, metric in metrics.items()}
    return {name: metric.value for name, metric in at.items() if step % metric.every == 0}


def check_players(players: Sequence[Player]) -> None:
    """Raises ValueError for what can be seen before there are networks."""
    owners: dict[str, Player] = {}
    for player in players:
        if isinstance(player.owns, str) or not player.owns:
            raise ValueError(f'a player owns a tuple of names of networks, such as ("critic",), got {player.owns!r}.')
        for name in player.owns:
            if name in owners:
                raise ValueError(
                    f"each network has one owner, but {name!r} is owned twice, among {owners[name].owns} and among "
                    f"{player.owns}: leave it to one player."
                )
            owners[name] = player
        if player.every < 1:
            raise ValueError(f"the player of {player.owns} moves at every n-th step, n >= 1, got every={player.every}.")
        if player.lazy is not None and player.lazy.every < 2:
            raise ValueError(
                f"the lazy loss of the player of {player.owns} is due at every n-th step, n >= 2, got "
                f"every={player.lazy.every}: add it to the loss where it is due at every step."
            )


def check_owned(owned: Sequence[str], params: dict[str, Any]) -> None:
    """Raises ValueError unless the networks that are owned are those that there are."""
    if unknown := sorted(set(owned) - set(params)):
        raise ValueError(f"a player owns {unknown}, but init_params makes only {sorted(params)}: correct one of them.")
    if idle := sorted(set(params) - set(owned)):
        raise ValueError(f"init_params makes {idle}, but the players own only {sorted(owned)}: give them an owner.")


class _Turn(NamedTuple):
    """One move of a player: how metrics call it, and when and down what it goes."""

    name: str
    loss: Loss
    every: int
    key: Callable[[Array], Array]


def _turns(player: Player, name: str) -> list[_Turn]:
    turns = [_Turn(name, player.loss, player.every, lambda key: key)]
    if player.lazy is not None:
        loss, n = player.lazy
        turns.append(_Turn(f"{name}/lazy", scale(n, loss), n, lambda key: jax.random.fold_in(key, LAZY)))
    return turns


class _Report(NamedTuple):
    loss: Array
    norm: Array
    metrics: dict[str, Any]


def _move(
    tx: optax.GradientTransformation, gradients: Callable[[Any], Any], part: Any, kept: Any, opt: Any
) -> tuple[tuple[Any, Any, Any], _Report]:
    """(parameters, collections and optimizer state of a player after its move, and what it reports)."""
    loss, grads, aux = gradients(part)
    updates, opt = tx.update(grads, opt, part)
    own = {name: new for name, new in aux.updates.items() if name in part and new}
    report = _Report(loss, optax.global_norm(grads), aux.metrics)
    return (optax.apply_updates(part, updates), united(kept, fitted(own, kept)), opt), report


def _wait(move: Callable[..., Any], *own: Any) -> tuple[Any, _Report]:
    """The same of a player that is not due: nothing changes."""
    return own, zeros_of(move, *own)[1]


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
    name: str, loss: Loss, params: dict[str, Any], extra: dict[str, Any], step: Array
) -> Callable[[Any, Batch, Array], tuple[Array, Aux]]:
    def mean_loss(part: Any, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        result: Any = loss(join({**params, **part}, extra), {**batch, "step": step}, keys)
        if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Aux)):
            kind = type(result).__name__
            raise ValueError(f"a loss returns (one number per example, Aux()), but loss{name} returned a {kind}.")
        value, aux = result
        if jnp.shape(value) != keys.shape:
            raise ValueError(
                f"a loss returns one number per example, {keys.shape}, but loss{name} returned {jnp.shape(value)}: "
                "leave its mean over the batch to the step."
            )
        return jnp.mean(value), aux._replace(metrics=jax.tree.map(jnp.mean, aux.metrics))

    return mean_loss


def _gradients(
    mean_loss: Callable[[Any, Batch, Array], tuple[Array, Aux]],
    batch: Batch,
    keys: Array,
    accumulate: int,
    axis_name: str | None,
    part: Any,
) -> tuple[Array, Any, Aux]:
    """(loss, grads, aux) of the whole batch."""
    if axis_name is None:
        return _accumulate(mean_loss, part, batch, keys, accumulate)
    # Parameters that shard_map holds to be the same everywhere would get gradients that are already summed.
    own = jax.lax.pcast(part, axis_name, to="varying")
    mean: tuple[Array, Any, Aux] = jax.lax.pmean(_accumulate(mean_loss, own, batch, keys, accumulate), axis_name)
    return mean


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
