"""Training and sampling throughput, side by side in one run.

    python experiments/benchmarks/throughput.py            (or `make bench`; PyTorch is the extra "bench")

A 1.3M-parameter U-Net on 28x28 images, batch 64, EDM loss, Adam, clipping, EMA: jaxgen's compiled step against the same
network in PyTorch (channels last, same threads), and 18-evaluation sampling against the same loop there. What the
training loop adds to its step is measured by loop.py.

Every figure is the median over interleaved rounds; ratios are taken round by round.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgen.denoiser import denoiser, quarter_log_sigma, unit_variance
from jaxgen.losses.denoising import denoising
from jaxgen.losses.times import lognormal
from jaxgen.models import UNet, bind
from jaxgen.prediction import edm_output
from jaxgen.sampling import grids
from jaxgen.sampling.sample import sample
from jaxgen.sampling.solvers import ddim
from jaxgen.sde import edm
from jaxgen.train.ema import constant
from jaxgen.train.player import Player, training

BATCH, EVALUATIONS = 64, 18
NETWORK = {"channels": 32, "mult": (1, 2, 2), "blocks": 2, "attention": (2,)}


def rounds(runs: dict[str, Callable[[], None]], count: int) -> dict[str, list[float]]:
    """Seconds of every run, `count` times in turn, after one warm-up each."""
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(count):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def table(title: str, work: int, unit: str, seconds: dict[str, list[float]], against: str) -> None:
    print(f"\n{title}")
    for name, values in seconds.items():
        ratio = statistics.median(b / a for a, b in zip(values, seconds[against], strict=True))
        rate = work / statistics.median(values)
        print(f"  {name:<28} {rate:10.1f} {unit}   {ratio:5.2f} x {against}")


def jax_unet() -> tuple[Callable[[], None], Callable[[], None], int]:
    """(train a step, sample a batch, parameters) of the U-Net in jaxgen."""
    module = UNet(**NETWORK, embedding="fourier")
    apply, sde, prediction = bind(module), edm(), edm_output(0.5)
    network = {"label": quarter_log_sigma, "scale_in": unit_variance(0.5)}
    loss = denoising(apply, sde, prediction, times=lognormal(), **network)
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3, b2=0.99))
    images = {"x": jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (BATCH, 28, 28, 1)), jnp.float32)}
    key = jax.random.key(0)

    def init(key: jax.Array, batch: dict) -> dict:
        return {"net": module.init(key, batch["x"], jnp.zeros(BATCH))}

    run = training(init, [Player(("net",), loss, tx)], ema=constant(0.999))
    state = jax.jit(run.init)(key, images)
    count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    step = jax.jit(run.step, donate_argnums=0)

    def train_step() -> None:
        nonlocal state
        state, metrics = step(state, images, key)
        jax.block_until_ready(metrics)

    grid = grids.karras(sde, EVALUATIONS)

    @jax.jit
    def draw(params: dict, key: jax.Array) -> jax.Array:
        den = denoiser(apply, params, sde, prediction, **network)
        return sample(den, ddim(), grid, key, (BATCH, 28, 28, 1))

    def sample_batch() -> None:
        jax.block_until_ready(draw(state.params, key))

    return train_step, sample_batch, count


def against_torch(count: int) -> None:
    train_jax, sample_jax, parameters = jax_unet()
    runs_train: dict[str, Callable[[], None]] = {"jaxgen": train_jax}
    runs_sample: dict[str, Callable[[], None]] = {"jaxgen": sample_jax}
    try:
        import torch
        import torch_unet
    except ImportError:
        print("PyTorch is not installed: `make bench` installs it; only jaxgen is timed here.")
        against = "jaxgen"
    else:
        device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
        net = torch_unet.UNet(**NETWORK).to(device, memory_format=torch.channels_last)
        peer = sum(p.numel() for p in net.parameters())
        if peer != parameters:
            raise SystemExit(f"the networks differ: {parameters} parameters here, {peer} in PyTorch.")
        images = torch.rand(BATCH, 1, 28, 28, device=device).to(memory_format=torch.channels_last) * 2 - 1
        against = f"PyTorch {torch.__version__.split('+')[0]}"
        levels = [float(t) for t in grids.karras(edm(), EVALUATIONS)]
        step, draw = torch_unet.trainer(net, images), torch_unet.sampler(net, images, levels)

        def wait(run: Callable[[], object]) -> Callable[[], None]:
            def synchronized() -> None:
                run()
                if device == "cuda":
                    torch.cuda.synchronize()

            return synchronized

        runs_train[against], runs_sample[against] = wait(step), wait(draw)
        print(f"PyTorch on {device}, {torch.get_num_threads()} threads")
    title = f"U-Net, {parameters:,} parameters, 28x28x1, batch {BATCH}"
    table(f"{title}: training", BATCH, "images/s", rounds(runs_train, count), against)
    table(
        f"{title}: sampling, {EVALUATIONS} evaluations",
        BATCH,
        "images/s",
        rounds(runs_sample, max(count // 3, 1)),
        against,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind} x {jax.device_count()}")
    against_torch(options.rounds)


if __name__ == "__main__":
    main()
