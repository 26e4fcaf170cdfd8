"""The losses of an autoencoder, and what does not depend on how its batch is divided."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.losses.adaptive import adaptive
from jaxgen.losses.algebra import Aux, add, named, scale
from jaxgen.losses.autoencoding import decoded, l1, l2, nats, quantization, reconstructed, reconstruction
from jaxgen.losses.likelihoods import categorical, logit_laplace
from jaxgen.models.bind import stateful
from jaxgen.models.latent.mlp import mlp_autoencoder
from jaxgen.models.latent.moving_average import MovingAverageQuantizer
from jaxgen.parallel.mesh import make_mesh
from jaxgen.parallel.pmap import AXIS, pmap_training, unreplicate
from jaxgen.parallel.sharding import compile_training, shard_batch
from jaxgen.train.optimizers import adam
from jaxgen.train.player import Player, training

BATCH = 16
X = np.random.default_rng(0).uniform(-1, 1, (3, BATCH, 4, 4, 1))
NET = mlp_autoencoder(
    MovingAverageQuantizer(8, 4, decay=0.7, restart=0.3, batch_size=BATCH), (4, 4, 1), 1, vectors=4, width=16, blocks=1
)
APPLY, DECODE = stateful(NET, "autoencoder"), stateful(NET, "autoencoder", "decode")
LOSS = reconstructed(
    APPLY, add(named("reconstruction", reconstruction(l2(0.3))), scale(0.5, named("code", quantization())))
)


def init(key, batch):
    variables = NET.init(key, jnp.zeros((1, 4, 4, 1)))
    return {"autoencoder": jax.tree.map(lambda leaf: leaf.astype(X.dtype), variables)}


@pytest.fixture
def case(jit, x64):
    keys = jax.random.split(jax.random.key(1), BATCH)
    return jit(init)(jax.random.key(0), {}), {"x": jnp.asarray(X[0]), "step": jnp.int32(0)}, keys


def test_terms_are_of_one_reconstruction_and_codebooks_move_once(case, jit):
    """The sum of what the terms say, with the metrics and updates of a single pass through the network."""
    params, batch, keys = case
    value, aux = jit(LOSS)(params, batch, keys)
    (y, code), updates = jit(partial(APPLY, train=True))(params, batch["x"], keys)
    np.testing.assert_allclose(value, np.mean(np.square(y - batch["x"]), (1, 2, 3)) / 0.3 + 0.5 * code.loss, rtol=1e-10)
    assert {"reconstruction", "code", "perplexity"} <= set(aux.metrics)
    assert float(aux.updates["autoencoder"]["codebook"]["quantizer"]["steps"]) == 1
    jax.tree.map(np.testing.assert_array_equal, aux.updates["autoencoder"], updates["autoencoder"])


def test_distances_are_what_they_say(jit, x64):
    """Each against its formula, with as many outputs as it asks for, and the image that it stands for."""
    x = 2 * np.random.default_rng(1).integers(0, 5, (3, 2, 2, 1)) / 4 - 1.0
    rng = np.random.default_rng(2)
    for distance in (l1(), l2(), nats(categorical(5)), nats(logit_laplace())):
        y = rng.standard_normal((3, 2, 2, distance.outputs(1)))
        assert jax.eval_shape(distance.error, y, x).shape == (3,)
        assert jax.eval_shape(distance.image, y).shape == x.shape
    y = x + 0.5
    np.testing.assert_allclose(jit(l1().error)(y, x), 0.5)
    np.testing.assert_allclose(jit(l2(0.25).error)(y, x), 1.0)
    np.testing.assert_allclose(jit(nats(categorical(5)).error)(np.zeros((3, 2, 2, 5)), x), np.log(5))


def test_the_weight_of_an_adversary_is_measured_at_the_last_layer(case, jit):
    """VQGAN's weight differentiates by a layer inside of the network that has run already: with a reconstruction that
    were a constant both gradients would be zero."""
    params, batch, keys = case
    layer = ("autoencoder", "params", "decoder", "Dense_1", "kernel")

    def verdict(params, batch, keys):
        return jnp.sum(batch["reconstruction"], (1, 2, 3)), Aux()

    again = partial(decoded, DECODE)
    loss = reconstructed(APPLY, add(reconstruction(l2()), adaptive(layer, again(reconstruction(l2())), again(verdict))))
    _, aux = jit(loss)(params, batch, keys)

    def norm(of):
        def at(w):
            decoder = {**params["autoencoder"]["params"]["decoder"]}
            decoder["Dense_1"] = {**decoder["Dense_1"], "kernel": w}
            own = {**params["autoencoder"], "params": {**params["autoencoder"]["params"], "decoder": decoder}}
            (y, _), _ = APPLY({"autoencoder": own}, batch["x"], keys, train=True)
            return jnp.mean(of(y))

        return np.linalg.norm(jit(jax.grad(at))(params["autoencoder"]["params"]["decoder"]["Dense_1"]["kernel"]))

    error = norm(lambda y: jnp.mean(jnp.square(y - batch["x"]), (1, 2, 3)))
    want = error / (norm(lambda y: jnp.sum(y, (1, 2, 3))) + 1e-4)
    np.testing.assert_allclose(aux.metrics["adaptive_weight"], np.full(BATCH, want), rtol=1e-8)
    assert float(aux.updates["autoencoder"]["codebook"]["quantizer"]["steps"]) == 1


def run(how):
    """(parameters, codebooks, mean error) after three steps."""
    key, batches = jax.random.key(0), [{"x": x} for x in X]
    options = {"accumulate": 4} if "accumulate" in how else {}
    players = [Player(("autoencoder",), LOSS, adam(1e-2))]
    if how.startswith("pmap"):
        state, step = pmap_training(training(init, players, axis_name=AXIS, **options), key, batches[0])
        place = dict
    else:
        mesh = make_mesh(devices=jax.devices()[:1] if how in ("1 device", "accumulate") else jax.devices())
        state, step = compile_training(training(init, players, **options), mesh, key, batches[0])
        place = partial(shard_batch, mesh)
    for batch in batches:
        state, metrics = step(state, place(batch), key)
    state = unreplicate(state) if how.startswith("pmap") else state
    return jax.device_get((state.params, state.extra, metrics["reconstruction"]))


@pytest.fixture(scope="module")
def reference():
    with jax.enable_x64(True):
        return run("1 device")


@pytest.mark.parametrize("how", ["accumulate", "8 devices", "pmap"])
def test_codebooks_do_not_depend_on_the_topology(x64, reference, how):
    """Sums of a part taken for those of the batch, codebooks averaged over devices, other restarts on each: all show
    in the parameters or the codebook after three steps."""
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-10), run(how), reference)
