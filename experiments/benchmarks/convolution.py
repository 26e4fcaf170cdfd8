"""Where a convolution's training time goes on this machine, and what the weight gradient in parts is worth.

    python experiments/benchmarks/convolution.py

Milliseconds, the least of several interleaved rounds: forward, gradient by the image, by the weights as XLA forms
it and as `jaxgen.models.layers.conv` does. On a GPU or TPU the library leaves XLA's own.
"""

import time
from collections.abc import Callable

import jax
from jax import lax

from jaxgen.models.layers.conv import in_parts, parts

SHAPES = [(64, 28, 32, 32), (64, 28, 64, 32), (64, 14, 64, 64), (64, 7, 128, 64), (128, 8, 32, 32), (128, 8, 96, 32)]
OPTIONS = {"padding": "SAME", "dimension_numbers": ("NHWC", "HWIO", "NHWC")}


def least(runs: dict[str, Callable[[], object]], rounds: int = 5) -> dict[str, float]:
    for run in runs.values():
        jax.block_until_ready(run())
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            jax.block_until_ready(run())
            best[name] = min(best[name], 1000 * (time.perf_counter() - start))
    return best


def plain(x: jax.Array, w: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, w, (1, 1), **OPTIONS)


def main() -> None:
    print(f"{'batch x side^2 x in -> out':<28}{'parts':>6}{'forward':>9}{'by x':>9}{'by w':>9}{'in parts':>10}")
    for batch, side, inputs, outputs in SHAPES:
        keys = jax.random.split(jax.random.key(0), 3)
        x = jax.random.normal(keys[0], (batch, side, side, inputs))
        w = jax.random.normal(keys[1], (3, 3, inputs, outputs))
        dy = jax.random.normal(keys[2], (batch, side, side, outputs))
        count = parts(x.shape)
        conv = in_parts(count, (1, 1), **OPTIONS) if count > 1 else plain
        forward = jax.jit(plain)
        by_x = jax.jit(lambda x, w, dy: jax.vjp(lambda x: plain(x, w), x)[1](dy))
        by_w = jax.jit(lambda x, w, dy: jax.vjp(lambda w: plain(x, w), w)[1](dy))
        split = jax.jit(lambda x, w, dy, conv=conv: jax.vjp(lambda w: conv(x, w), w)[1](dy))
        times = least(
            {
                "forward": lambda f=forward, x=x, w=w: f(x, w),
                **{n: lambda f=f, a=(x, w, dy): f(*a) for n, f in (("x", by_x), ("w", by_w), ("parts", split))},
            }
        )
        shape = f"{batch} x {side}^2 x {inputs} -> {outputs}"
        print(
            f"{shape:<28}{count:>6}"
            + "".join(f"{t:>{w}.1f}" for t, w in zip(times.values(), (9, 9, 9, 10), strict=True))
        )


if __name__ == "__main__":
    main()
