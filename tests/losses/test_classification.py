"""The loss of a classifier of noisy data is a proper score: least where the classifier is the posterior."""

import jax
import jax.numpy as jnp
import numpy as np
from oracle import component_logp, mixture, sample_data

from jaxgen.denoiser import noise_level
from jaxgen.losses.classification import classification
from jaxgen.losses.times import lognormal
from jaxgen.sde import edm, vp

DATA = mixture([0.5, 0.2, 0.3], [[1.0, 0.0], [-1.0, 1.0], [0.0, -2.0]], [0.3, 0.5, 0.2])


def test_the_true_posterior_is_the_best_classifier():
    """Breaks if the label, the noise or the time does not reach the network as drawn: then a sharper or duller, or a
    shifted network would score better than p(c | x_t), and no network could do better than the entropy."""
    sde, n = vp(), 4000
    x, cond = sample_data(DATA, jax.random.key(0), n)
    keys = jax.random.split(jax.random.key(1), n)

    def score(sharpness, late=0.0):
        def apply(params, x, t, cond, keys):
            t = jnp.clip(t + late, sde.t0, sde.t1)
            classes = (jnp.full(len(x), k) for k in range(3))
            return sharpness * jnp.stack([component_logp(DATA, sde, x, t, c) for c in classes], 1)

        loss, aux = classification(apply, sde)({}, {"x": x, "cond": cond}, keys)
        assert loss.shape == aux.metrics["accuracy"].shape == (n,)
        return float(loss.mean()), float(aux.metrics["accuracy"].mean())

    best, accuracy = score(1.0)
    assert best < min(score(0.5)[0], score(2.0)[0], score(1.0, 0.1)[0], score(1.0, -0.1)[0])
    assert 0 < best < -np.sum(DATA.weights * np.log(DATA.weights)) and 0.5 < accuracy < 1


def test_what_the_network_is_told():
    """Breaks if label or input scale are not applied, dropout gets no keys, or a constant network does not have the
    loss -log softmax."""
    keys = jax.random.split(jax.random.key(0), 5)
    told = {}

    def apply(params, x, t, cond, keys):
        told.update(x=x, t=t, cond=cond, keys=keys)
        return jnp.tile(params["b"], (len(x), 1))

    b, cond = jnp.asarray([0.5, -1.0, 2.0]), jnp.asarray([0, 1, 2, 2, 0])
    loss = classification(apply, edm(), lognormal(), label=noise_level, scale_in=lambda sde, t: 1 / t)
    value, aux = loss({"b": b}, {"x": jnp.zeros((5, 2)), "cond": cond}, keys)
    np.testing.assert_allclose(value, -jax.nn.log_softmax(b)[cond], rtol=1e-6)
    np.testing.assert_array_equal(aux.metrics["accuracy"], cond == 2)
    t, _ = lognormal()(keys, edm())
    np.testing.assert_allclose(told["t"], t, rtol=1e-6)
    assert 0.3 < np.std(told["x"]) < 2 and told["cond"] is None and told["keys"] is keys
