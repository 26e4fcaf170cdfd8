"""Quantizers against the published implementations, and what they promise about batches in parts."""

import json
from itertools import pairwise, product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import entr, softmax

from jaxgen.models.latent.code import perplexity
from jaxgen.models.latent.gaussian import GaussianBottleneck
from jaxgen.models.latent.gumbel import GumbelQuantizer, divergence, relaxed
from jaxgen.models.latent.moving_average import MovingAverageQuantizer
from jaxgen.models.latent.residual import ResidualQuantizer
from jaxgen.models.latent.scalar import FiniteScalarQuantizer, LookupFreeQuantizer
from jaxgen.models.latent.vector import VectorQuantizer


def agree(got, want, rtol=1e-8, atol=1e-9):
    np.testing.assert_allclose(got, want, rtol=rtol, atol=atol)


def kept(sums):
    """The variables of a moving average quantizer at the beginning."""
    return {"codebook": {"sums": jnp.asarray(sums), "counts": jnp.zeros(len(sums)), "steps": jnp.zeros(())}}


def vectors(variables, epsilon=1e-5):
    """The codebook that they stand for: sums over smoothed counts, but at the beginning the sums."""
    sums, counts, steps = (np.asarray(variables["codebook"][name]) for name in ("sums", "counts", "steps"))
    total = counts.sum()
    smoothed = (counts + epsilon) / (total + len(counts) * epsilon) * total
    return sums / smoothed[:, None] if steps > 0 else sums


def mover(jit, quantizer):
    """(variables, z, keys) -> (code, new variables) of a step of training."""

    def move(variables, z, keys=None):
        code, new = quantizer.apply(variables, z, keys, True, mutable=["codebook"])
        return code, dict(new)

    return jit(move)


def test_vector_quantization_is_that_of_haiku(golden, jit, x64):
    """Codes, loss, both gradients and the straight-through gradient of the published VQ-VAE."""
    data = golden("families/vae_vq_loss_haiku")
    quantizer = VectorQuantizer(8, 4)
    params = {"params": {"codebook": jnp.asarray(data["embeddings"].T)}}
    x = jnp.asarray(data["x"])

    @jit
    def everything(params, x):
        of_loss = jax.grad(lambda p, x: jnp.mean(quantizer.apply(p, x).loss), (0, 1))(params, x)
        of_code = jax.grad(lambda x: jnp.sum(jnp.square(quantizer.apply(params, x).z)))(x)
        return quantizer.apply(params, x), *of_loss, of_code

    code, by_params, by_x, through = everything(params, x)
    np.testing.assert_array_equal(code.indices[0], data["encoding_indices"])
    agree(code.z, data["quantize"])
    agree(np.mean(code.loss), data["loss"])
    agree(code.metrics["perplexity"], np.full(5, data["perplexity"]))
    agree(by_params["params"]["codebook"].T, data["grad_embeddings"])
    agree(by_x, data["grad_x"])
    agree(through, data["grad_x_straight_through_of_sum_sq"])


@pytest.mark.parametrize(
    ("case", "weights"), [("legacyTrue", {"beta": 1.0, "pull": 0.25}), ("legacyFalse", {"beta": 0.25, "pull": 1.0})]
)
def test_weights_exchanged_are_the_legacy_of_taming(golden, jit, x64, case, weights):
    """Published VQGANs were trained with beta on the other term: the wrong one moves their codebook on."""
    data = golden("families/vae_vq_taming_legacy")
    quantizer = VectorQuantizer(8, 4, **weights)
    params = {"params": {"codebook": jnp.asarray(data["embedding"])}}
    z = jnp.asarray(data["z"].transpose(0, 2, 3, 1))

    @jit
    def everything(params, z):
        by = jax.grad(lambda params, z: jnp.mean(quantizer.apply(params, z).loss), (0, 1))(params, z)
        return quantizer.apply(params, z), *by

    code, by_params, by_z = everything(params, z)
    agree(np.mean(code.loss), data[f"{case}/loss"])
    agree(code.z.transpose(0, 3, 1, 2), data[f"{case}/zq"])
    np.testing.assert_array_equal(code.indices[0].ravel(), data[f"{case}/idx"])
    agree(by_params["params"]["codebook"], data[f"{case}/grad_emb"])
    agree(by_z.transpose(0, 3, 1, 2), data[f"{case}/grad_z"])


def test_debiased_averages_are_those_of_haiku(golden, jit, x64):
    """Four steps of the zero-debiased convention: vectors, averages, loss and perplexity."""
    data = golden("families/vae_vq_ema_haiku")
    name = "vector_quantizer_ema"
    variables = kept(data[f"init_state/{name}/embeddings"].T)
    move = mover(jit, MovingAverageQuantizer(8, 4, decay=0.9))
    for step in range(4):
        code, variables = move(variables, jnp.asarray(data[f"step{step}/x"]))
        agree(code.z, data[f"step{step}/quantize"])
        agree(np.mean(code.loss), data[f"step{step}/loss"])
        agree(code.metrics["perplexity"][0], data[f"step{step}/perplexity"])
        np.testing.assert_array_equal(code.indices[0], data[f"step{step}/encoding_indices"])
        at = f"step{step}/state/{name}/"
        agree(vectors(variables).T, data[at + "embeddings"])
        agree(variables["codebook"]["counts"], data[at + "~/ema_cluster_size/average"])
        agree(variables["codebook"]["sums"].T, data[at + "~/ema_dw/average"])


def test_averages_from_the_beginning_are_those_of_the_ports(golden, jit, x64):
    """Four steps of the convention without debiasing, which is another trajectory."""
    data = golden("families/vae_vq_ema_rosinality")
    variables = kept(data["init_embed"].T)
    move = mover(jit, MovingAverageQuantizer(8, 4, beta=1.0, decay=0.9, debias=False))
    for step in range(4):
        code, variables = move(variables, jnp.asarray(data[f"step{step}/x"]))
        agree(code.z, data[f"step{step}/quantize"])
        agree(np.mean(code.loss), data[f"step{step}/diff"])
        agree(vectors(variables).T, data[f"step{step}/embed"])
        agree(variables["codebook"]["counts"], data[f"step{step}/cluster_size"])
        agree(variables["codebook"]["sums"].T, data[f"step{step}/embed_avg"])


@pytest.mark.parametrize("debias", [True, False])
def test_a_batch_in_parts_leaves_the_same_codebook(jit, x64, debias):
    """The step averages updates over parts of a batch and over devices: a codebook that were itself averaged, or sums
    of a part taken for those of the batch, would drift. Restarts included, which draw by example."""
    quantizer = MovingAverageQuantizer(16, 3, decay=0.8, debias=debias, restart=0.3, batch_size=32)
    rng = np.random.default_rng(0)
    variables = kept(rng.standard_normal((16, 3)))
    states = {1: variables, 4: variables}
    move = mover(jit, quantizer)
    for step in range(4):
        z = jnp.asarray(rng.standard_normal((32, 4, 3)) + step)
        keys = jax.random.split(jax.random.key(step), 32)
        for parts in states:
            shares = [move(states[parts], z[i::parts], keys[i::parts])[1]["codebook"] for i in range(parts)]
            states[parts] = {"codebook": jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *shares)}
    jax.tree.map(lambda a, b: agree(a, b, rtol=1e-10), states[1], states[4])
    assert float(states[1]["codebook"]["steps"]) == 4


def test_codes_out_of_use_start_again_where_the_data_are(jit, x64):
    """Without restarts, a codebook that begins far from the latents stays with one code for ever."""
    rng = np.random.default_rng(0)
    away = np.concatenate([np.zeros((1, 2)), 100 + rng.standard_normal((31, 2))])
    used = {}
    for restart in (0.0, 0.3):
        quantizer, variables = MovingAverageQuantizer(32, 2, decay=0.9, debias=False, restart=restart), kept(away)
        move = mover(jit, quantizer)
        for i in range(120):
            keys = jax.random.split(jax.random.key(i), 64)
            code, variables = move(variables, jnp.asarray(rng.uniform(-1, 1, (64, 4, 2))), keys)
        used[restart] = float(code.metrics["perplexity"][0])
        if restart:
            assert np.abs(vectors(variables)).max() < 1.5
    assert used[0.0] == pytest.approx(1.0)
    assert used[0.3] > 24


def test_nothing_moves_outside_of_training(jit, x64):
    """Evaluation must leave the codebook as it is, and show the same codes with and without keys."""
    quantizer = MovingAverageQuantizer(16, 3, restart=1.0)
    z = jax.random.normal(jax.random.key(0), (4, 5, 3))
    variables = jit(quantizer.init)(jax.random.key(1), z)
    assert float(variables["codebook"]["steps"]) == 0
    evaluate = jit(lambda variables, z, keys=None: quantizer.apply(variables, z, keys, mutable=["codebook"]))
    code, new = evaluate(variables, z, jax.random.split(jax.random.key(2), 4))
    jax.tree.map(np.testing.assert_array_equal, dict(new), variables)
    np.testing.assert_array_equal(code.indices[0], evaluate(variables, z)[0].indices[0])


def test_finite_scalars_are_the_published_ones(golden, jit, x64):
    """Codes, their numbers and the gradient, with an even and odd numbers of levels."""
    data = golden("families/vae_fsq")
    quantizer = FiniteScalarQuantizer(json.loads(str(data["cfg"]))["levels"])
    z = jnp.asarray(data["z"])
    code = jit(quantizer.apply)({}, z)
    agree(code.z, data["codes"])
    np.testing.assert_array_equal(code.indices[0], data["indices"])
    gradient = jit(jax.grad(lambda z: jnp.sum(jnp.square(quantizer.apply({}, z).z))))
    agree(gradient(z), data["grad_z_of_sum_sq"])
    shown = dict(zip(np.ravel(code.indices[0]).tolist(), np.reshape(code.z, (-1, 4)), strict=True))
    for i in set(shown) & set(range(20)):
        agree(shown[i], data["all_codes_first20"][i])


def test_entropies_of_signs_are_those_of_all_codes(jit, x64):
    """The entropy of a vector's codes factorizes over bits, that of the batch does not: both against the softmax over
    all codes. Another sign would push all vectors onto one code."""
    bits, temperature = 3, 0.7
    z = np.random.default_rng(0).standard_normal((5, 4, bits))
    quantizer = LookupFreeQuantizer(bits, entropy=1.0, diversity=0.5, beta=0.25, temperature=temperature)
    code = jit(quantizer.apply)({}, z)
    corners = np.array([corner[::-1] for corner in product([-1.0, 1.0], repeat=bits)])
    p = softmax(-np.sum(np.square(z[..., None, :] - corners), -1) / temperature, axis=-1)
    unsure, spread = np.mean(np.sum(entr(p), -1), 1), np.sum(entr(np.mean(p, (0, 1))))
    committed = np.mean(np.square(z - np.sign(z)), (1, 2))
    agree(code.loss, unsure - 0.5 * spread + 0.25 * committed)
    np.testing.assert_array_equal(corners[code.indices[0]], np.sign(z))
    agree(code.z, np.sign(z))


def test_saturated_bits_have_finite_gradients(jit):
    """0 log 0 in float32: bits that are certain must not end training."""
    z = jnp.full((2, 3, 4), 50.0).at[0].set(0.0)
    gradient = jit(jax.grad(lambda z: jnp.sum(LookupFreeQuantizer(4).apply({}, z).loss)))
    assert np.isfinite(gradient(z)).all()


def test_gumbel_softmax_is_the_published_one(golden, jit, x64):
    """Relaxed vectors at two temperatures, the largest of them, and the divergence from equal use."""
    data = golden("families/vae_gumbel_softmax")
    logits, noise = data["logits"], -np.log(-np.log(data["u"]))
    soft, sharp = (jit(relaxed)(logits, noise, temperature) for temperature in (1.0, 0.5))
    agree(soft, data["soft_tau1"])
    agree(sharp, data["soft_tau0p5"])
    agree(np.eye(6)[np.argmax(sharp, -1)], data["hard"])
    agree(jit(divergence)(logits), data["kl_uniform"])


def test_relaxed_codes_follow_the_probabilities_and_the_schedule(jit, x64):
    """The largest of a relaxed vector is a draw of softmax(logits), with a gradient; the temperature falls with the
    steps of training, and evaluation takes the likeliest code."""
    n, p = 4000, [0.5, 0.3, 0.2]
    z = np.tile(np.log(p), (n, 1, 1))
    quantizer = GumbelQuantizer(3, temperature=lambda step: 1 / (1 + step), hard=True)
    move, keys = mover(jit, quantizer), jax.random.split(jax.random.key(0), n)
    variables = {"codebook": {"steps": jnp.zeros(())}}
    code, new = move(variables, z, keys)
    assert np.mean(code.z, (0, 1)) == pytest.approx(p, abs=0.03)
    assert set(np.unique(np.round(code.z, 12))) == {0, 1}
    assert float(code.metrics["temperature"][0]) == 1
    assert float(move(new, z, keys)[0].metrics["temperature"][0]) == 0.5
    np.testing.assert_array_equal(jit(quantizer.apply)(variables, z).z, np.tile([1.0, 0, 0], (n, 1, 1)))
    slope = jit(jax.grad(lambda z: jnp.sum(mover(lambda f: f, quantizer)(variables, z, keys)[0].z[..., 0])))(z)
    assert np.abs(slope).max() > 0.1


@pytest.mark.parametrize("stages", [1, 3])
def test_each_stage_quantizes_what_is_left(jit, x64, stages):
    """Each stage keeps its own averages, of ever smaller vectors, down to an error that falls with their number; the
    sum of what the stages chose is the whole, whose gradient by z is that of the identity once."""
    z = np.random.default_rng(0).standard_normal((64, 4, 2))
    quantizer = ResidualQuantizer(MovingAverageQuantizer(8, 2, decay=0.5), stages)
    move, variables = mover(jit, quantizer), jit(quantizer.init)(jax.random.key(1), z)
    for _ in range(20):
        _, variables = move(variables, z)
    code = jit(quantizer.apply)(variables, z)
    books = [vectors({"codebook": variables["codebook"][f"stage_{i}"]}) for i in range(stages)]
    assert len(code.indices) == len(quantizer.sizes) == stages
    agree(code.z, sum(book[index] for book, index in zip(books, code.indices, strict=True)))
    agree(jit(jax.grad(lambda z: jnp.sum(quantizer.apply(variables, z).z)))(z), np.ones_like(z))
    sizes = [np.linalg.norm(book, axis=1).mean() for book in books]
    assert all(after < before / 1.3 for before, after in pairwise(sizes))
    assert 0.2 * 4.0**-stages < np.mean(np.square(z - code.z)) < 4.0**-stages


def test_the_bottleneck_draws_what_its_divergence_is_of(jit, x64):
    """Mean and spread of the draws, and KL of the standard normal distribution from itself."""
    z = np.broadcast_to([1.0, -2.0, 0.0, -2.0], (4000, 1, 4))
    apply = jit(GaussianBottleneck(2).apply, static_argnums=3)
    code = apply({}, z, jax.random.split(jax.random.key(0), 4000), True)
    assert np.mean(code.z, (0, 1)) == pytest.approx([1.0, -2.0], abs=0.06)
    assert np.std(code.z, (0, 1)) == pytest.approx([1.0, np.exp(-1)], rel=0.05)
    agree(code.loss, np.full(4000, 0.5 + 0.5 * (4 + np.exp(-2) - 1 + 2)))
    agree(apply({}, z).z, z[..., :2])
    assert not np.any(apply({}, np.zeros((4000, 1, 4))).loss)


def test_perplexity_counts_codes_in_use(jit):
    """The number that names a collapse: 1 for one code, K for K in equal use."""
    np.testing.assert_allclose(jit(perplexity)(np.array([[1.0, 0, 0, 0], [0.25] * 4])), [1, 4], rtol=1e-6)


@pytest.mark.parametrize(
    ("quantizer", "z", "sentence"),
    [
        (FiniteScalarQuantizer((8, 1)), (2, 3, 2), "at least 2 levels"),
        (LookupFreeQuantizer(18), (2, 3, 18), "fewer bits"),
        (ResidualQuantizer(GaussianBottleneck(2)), (2, 3, 4), "with a codebook"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(quantizer, z, sentence):
    """The alternatives are a division by zero, memory without bound and codes that are not there."""
    with pytest.raises(ValueError, match=sentence):
        jax.eval_shape(quantizer.init, jax.random.key(0), jnp.zeros(z))
