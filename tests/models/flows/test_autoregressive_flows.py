"""MAF and TarFlow: published networks, their sequential inverses, and that no element sees a later one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import random_variables

from jaxgen.bijectors.autoregressive import autoregressive, recomputed
from jaxgen.models.flows.maf import MAF, Masked, softplus_affine
from jaxgen.models.flows.tarflow import Conditioner, TarFlow, standardize
from jaxgen.models.layers.masked_dense import hidden_degrees


def test_published_maf(jit, golden, x64):
    """If it fails, the masks of MADE, its affine map, or its inverse is not the published one."""
    data = golden("families/flow_maf")
    torch = {name: jnp.asarray(data[f"param/autoregressive_net.{name}"]) for name in names("weight", "bias")}
    params = {
        f"MaskedDense_{i}": {"kernel": torch[f"{layer}.weight"].T, "bias": torch[f"{layer}.bias"]}
        for i, layer in enumerate(LAYERS)
    }
    net = Masked(outputs=2, width=12, blocks=2)

    flow = autoregressive(lambda x: net.apply({"params": params}, x), softplus_affine)
    x = jnp.asarray(data["x"])
    z, log_det = jit(flow.forward_and_log_det)(x)
    back, inverse = jit(flow.inverse_and_log_det)(z)
    for got, want in ((z, data["z"]), (log_det, data["logdet"]), (back, x), (inverse, -data["logdet"])):
        np.testing.assert_allclose(got, want, atol=1e-9)


LAYERS = ("initial_layer", "blocks.0.linear", "blocks.1.linear", "final_layer")


def names(*kinds):
    return [f"{layer}.{kind}" for layer in LAYERS for kind in kinds]


def conditioner(data, at, turned):
    """The parameters of a published block; it turns its places as it turns its tokens."""

    def dense(name):
        return {"kernel": jnp.asarray(data[f"{at}{name}.weight"].T), "bias": jnp.asarray(data[f"{at}{name}.bias"])}

    def norm(name):
        return {"scale": jnp.asarray(data[f"{at}{name}.weight"]), "bias": jnp.asarray(data[f"{at}{name}.bias"])}

    inside = "attn_blocks.0."
    qkv = dense(f"{inside}attention.qkv")
    parts = {
        name: {"kernel": qkv["kernel"][:, 8 * i : 8 * i + 8], "bias": qkv["bias"][8 * i : 8 * i + 8]}
        for i, name in enumerate(("query", "key", "value"))
    }
    places = jnp.asarray(data[f"{at}pos_embed"])
    return {
        "places": places[::-1] if turned else places,
        "classes": jnp.asarray(data[f"{at}class_embed"][:, 0]),
        "embed": dense("proj_in"),
        "head": dense("proj_out"),
        "blocks_0": {
            "norm1": norm(f"{inside}attention.norm"),
            "attention": parts | {"out": dense(f"{inside}attention.proj")},
            "norm2": norm(f"{inside}mlp.norm"),
            "expand": dense(f"{inside}mlp.main.0"),
            "contract": dense(f"{inside}mlp.main.2"),
        },
    }


def test_published_tarflow(jit, golden, x64):
    """If it fails, TarFlow's patches, permutations, transformer or its affine map is not the published one. Its
    published log-determinants are means over sixteen dimensions."""
    data = golden("families/flow_tarflow_tiny")
    flow = TarFlow(shape=(4, 4, 1), num_classes=3, patch=2, flows=2, depth=1, width=8, heads=2)
    params = {f"conditioners_{i}": conditioner(data, f"param/blocks.{i}.", turned=i % 2 == 1) for i in range(2)}
    variables, x, y = {"params": params}, jnp.asarray(data["x"].transpose(0, 2, 3, 1)), jnp.asarray(data["y"])
    z, log_det = jit(flow.apply)(variables, x, y)
    np.testing.assert_allclose(z, data["z"].reshape(3, 16), atol=1e-9)
    np.testing.assert_allclose(log_det, 16 * data["logdets_mean"], atol=1e-9)
    back, inverse = jit(lambda *a: flow.apply(*a, method="inverse_and_log_det"))(variables, z, y)
    np.testing.assert_allclose(back, x, atol=1e-9)
    np.testing.assert_allclose(inverse, -log_det, atol=1e-9)


def test_the_cache_of_tarflow_changes_nothing(jit):
    """If it fails, sampling with keys and values of past tokens kept is not sampling by the whole transformer."""
    net = Conditioner(tokens=5, channels=3, width=8, depth=2, heads=2, num_classes=2)
    z, cond = jax.random.normal(jax.random.key(0), (2, 5, 3)), jnp.asarray([1, 0])
    variables = random_variables(net, z, cond)

    def naive(z):
        whole = lambda x: net.apply(variables, x, cond)  # noqa: E731
        return autoregressive(whole, standardize, recomputed(whole)).inverse(z)

    def cached(z):
        return net.apply(variables, z, method=lambda net, z: net.bijector(cond).inverse(z))

    np.testing.assert_allclose(jit(cached)(z), jit(naive)(z), rtol=2e-5, atol=2e-5)


def test_a_guided_step_goes_away_from_a_weaker_one(jit):
    """If it fails, guidance is not that of the paper: every step takes w t / (T - 1) times the difference to the
    parameters without the class (the mean of all classes), at another temperature of attention; or keys and values of
    the two networks are mixed up in sampling; or guidance by w = 0 is not the conditional flow, bit for bit."""
    net = Conditioner(tokens=5, channels=3, width=8, depth=2, heads=2, num_classes=2)
    x, cond, none = jax.random.normal(jax.random.key(0), (2, 5, 3)), jnp.asarray([1, 0]), jnp.full(2, 2)
    variables = random_variables(net, x, cond)

    def run(weight):
        def through(net, x):
            flow = net.guided(cond, none, weight, 2.5)
            z, log_det = flow.forward_and_log_det(x)
            return z, log_det, *flow.inverse_and_log_det(z)

        return jit(lambda x: net.apply(variables, x, method=through))(x)

    inner = variables["params"]
    tempered = {
        name: block | {"attention": block["attention"] | {"query": jax.tree.map(lambda w: w / 2.5, query)}}
        for name, block in inner.items()
        if name.startswith("blocks")
        for query in [block["attention"]["query"]]
    }
    classless = {"params": inner | tempered | {"classes": jnp.tile(inner["classes"].mean(0), (2, 1))}}
    strong, weak = jit(lambda: (net.apply(variables, x, cond), net.apply(classless, x, cond)))()
    grown = 3 * jnp.arange(5)[:, None] / 4
    log_scale, shift = (s + grown * (s - w) for s, w in zip(strong, weak, strict=True))
    z, log_det, back, inverse = run(4.0)
    np.testing.assert_allclose(z, (x - shift) * jnp.exp(-log_scale), rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(back, x, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(inverse, -log_det, rtol=2e-5)
    assert np.abs(weak[1] - strong[1])[:, 1:].min() > 1e-4

    plain = jit(lambda z: net.apply(variables, z, method=lambda net, z: net.bijector(cond).inverse(z)))(run(1.0)[0])
    np.testing.assert_array_equal(run(1.0)[2], plain)


def test_class_and_place_count_from_the_start(jit):
    """If it fails, embeddings of classes or places are lost beside those of tokens at initialization, and a flow
    trained for some thousand steps heeds neither. The last layer, which starts at zero, is replaced."""
    net = Conditioner(tokens=5, channels=3, width=16, depth=1, heads=2, num_classes=2)
    x = jax.random.normal(jax.random.key(0), (8, 5, 3))
    variables = jit(net.init)(jax.random.key(1), x, jnp.zeros(8, int))
    variables["params"]["head"]["kernel"] = jax.random.normal(jax.random.key(2), (16, 6)) / 4
    shift = jit(lambda x, y: net.apply(variables, x, y)[1])
    first, constant = shift(x, jnp.zeros(8, int)), jnp.tile(x[:, :1], (1, 5, 1))
    by_tokens = jnp.std(first[:, 1:], axis=0).mean()
    by_class = jnp.abs(first - shift(x, jnp.ones(8, int)))[:, 1:].mean()
    by_place = jnp.std(shift(constant, jnp.zeros(8, int))[:, 1:], axis=1).mean()
    assert by_class > 0.3 * by_tokens
    assert by_place > 0.3 * by_tokens


@pytest.mark.parametrize("kind", ["maf", "tarflow"])
def test_parameters_see_only_what_comes_before(jit, kind):
    """If it fails, the Jacobian is not triangular and the log-determinant, a product of slopes, is wrong."""
    net = Masked(2, width=64, blocks=2) if kind == "maf" else Conditioner(5, 2, width=4, depth=2, heads=2)
    x = jax.random.normal(jax.random.key(0), (1, 5) if kind == "maf" else (1, 5, 2))
    variables = random_variables(net, x)
    parameters = lambda x: jnp.stack(jax.tree.leaves(net.apply(variables, x))).reshape(-1, 5, 2)  # noqa: E731
    moved = jnp.abs(jit(jax.jacobian(parameters))(x)).reshape(-1, 5, 2, 5, x.size // 5).sum((0, 2, 4))
    np.testing.assert_array_equal(np.triu(moved), 0)
    assert (moved[np.tril_indices(5, -1)] > 0).all()


@pytest.mark.parametrize(("features", "positions"), [(6, 33), (1, 9), (7, 8), (12, 5), (3, 1)])
def test_degrees_are_spread_over_all_positions(features, positions):
    """If it fails, a narrow network sees only the first inputs: the last conditionals of a long sequence would be one
    and the same."""
    degrees, most = hidden_degrees(features, positions), max(positions - 1, 1)
    assert len(degrees) == features and max(degrees) == most and min(degrees) >= 1
    gaps = np.diff([0, *sorted(degrees), most])
    assert gaps.max() <= max(1, -(-most // max(features - 1, 1)))


def test_the_class_moves_the_first_element(jit):
    """If it fails, p(x_1 | y) of a masked autoregressive flow is p(x_1), whatever is trained."""
    net = Masked(2, width=8, blocks=1, num_classes=2)
    x = jnp.zeros((2, 3))
    y = jit(net.apply)(random_variables(net, x, jnp.arange(2)), x, jnp.arange(2))
    assert (np.abs(y[1] - y[0])[0] > 1e-3).all()


@pytest.mark.parametrize("kind", ["maf", "tarflow"])
def test_inverse_undoes_forward_in_float32(jit, kind):
    """If it fails, samples of the flow are not the images of their latent variables, also with classes; and the
    log-determinant is not that of the Jacobian."""
    small = {"shape": (4, 2, 1), "num_classes": 2}
    flow = (
        MAF(**small, layers=3, width=16)
        if kind == "maf"
        else TarFlow(**small, patch=2, flows=3, depth=1, width=8, heads=2)
    )
    x, cond = jax.random.normal(jax.random.key(0), (2, 4, 2, 1)), jnp.asarray([0, 1])
    variables = random_variables(flow, x, cond)
    z, log_det = jit(flow.apply)(variables, x, cond)
    back, inverse = jit(lambda z: flow.apply(variables, z, cond, method="inverse_and_log_det"))(z)
    np.testing.assert_allclose(back, x, atol=1e-4)
    np.testing.assert_allclose(inverse, -log_det, atol=1e-4)
    jacobian = jit(jax.jacobian(lambda x: flow.apply(variables, x[None], cond[:1])[0][0]))(x[0]).reshape(8, 8)
    np.testing.assert_allclose(np.linalg.slogdet(jacobian)[1], log_det[0], atol=1e-4)
