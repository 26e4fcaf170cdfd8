"""Five optimizer steps of the published training, on recorded data, times and noise."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgen.denoiser import noise_level, times_999
from jaxgen.losses.algebra import Aux
from jaxgen.losses.denoising import denoising, eps_matching, half_total, mean
from jaxgen.models import NCSNpp, bind
from jaxgen.prediction import EPS, SCORE
from jaxgen.sde import ve, vp
from jaxgen.train import Player, adam, ema, training

NAMES = json.loads((Path(__file__).parents[1] / "golden" / "ncsnpp_names.json").read_text())
TINY = {"channels": 8, "ch_mult": (1, 2), "num_res_blocks": 1, "attn_resolutions": (8,), "dropout": 0.0}
DDPMPP = {"fir": False, "progressive_input": "none", "embedding_type": "positional", "scale_by_sigma": False}
RUNS = {
    "ve": (NCSNpp(**TINY), ve(), SCORE, noise_level, half_total, 0.999, "ncsnpp_ve_cont"),
    "vp": (NCSNpp(**TINY, **DDPMPP, centered=True), vp(), EPS, times_999, mean, 0.9999, "ddpmpp_vp_cont"),
}


def relaid(w, path):
    """A torch weight in the layout of the flax path."""
    w = np.asarray(w, np.float64)
    return w.transpose(2, 3, 1, 0) if w.ndim == 4 else w.T if path.endswith("kernel") else w


@pytest.mark.parametrize("name", RUNS)
def test_five_steps_are_the_published_ones(name, golden, x64, jit):
    """A run trained here that drifts from the published one: its loss, the norm that is clipped, the warm-up (whose
    first rate is 0), Adam, and both rules of the moving average. The PyTorch release clips by c/(|g| + 1e-6), optax
    by c/|g|: with gradients of norm 1 that moves these weights by less than the tolerance."""
    net, sde, prediction, label, reduce, decay, case = RUNS[name]
    data, names = golden(f"train_steps_{name}"), NAMES[case]
    start = {tuple(path.split("/")): relaid(data[f"param0/{key}"], path) for key, path in names.items()}
    params = {"net": {"params": jax.tree.map(jnp.asarray, unflatten_dict(start))}}
    loss = denoising(bind(net), sde, prediction, weight=eps_matching, label=label, reduce=reduce)

    def on_record(params, batch, keys):
        return loss.at(params, batch["x"], batch["z"], batch["t"]), Aux()

    tx = adam(learning_rate=0.01, warmup=3, clip=1.0, b1=0.9, b2=0.999, eps=1e-8)
    train = training(lambda key, batch: params, [Player(("net",), on_record, tx)], ema=ema.constant(decay))
    state, step = train.init(jax.random.key(0), None), jit(train.step)
    follow = jit(lambda average, state: ema.update(ema.warm(decay)(state.step), average, state.params))
    warm, losses, norms = state.params, [], []
    for i in range(5):
        batch = {"x": data["data"][i], "t": data["t"][i], "z": data["z"][i]}
        state, metrics = step(state, batch, jax.random.key(0))
        warm = follow(warm, state)
        losses.append(metrics["loss"])
        norms.append(metrics["grad_norm"])
        if i == 0:
            jax.tree.map(np.testing.assert_array_equal, state.params, params)
    np.testing.assert_allclose(losses, data["loss"], rtol=1e-6)
    np.testing.assert_allclose(norms, data["grad_norm_before_clip"], rtol=1e-6)

    final, constant, warmed = (flatten_dict(tree["net"]["params"]) for tree in (state.params, state.ema, warm))
    for key, path in names.items():
        place = tuple(path.split("/"))
        np.testing.assert_allclose(final[place], relaid(data[f"paramF/{key}"], path), atol=1e-6, err_msg=key)
        for rule, average in (("jax", constant), ("torch", warmed)):
            if f"ema_{rule}_summary/{key}" in data:
                moved = jnp.abs(average[place] - start[place]).sum()
                expected = data[f"ema_{rule}_summary/{key}"]
                np.testing.assert_allclose([average[place].sum(), moved], expected, rtol=1e-5, atol=1e-6, err_msg=key)
