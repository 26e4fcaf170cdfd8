"""Networks on published weights: what the golden files hold, and how a network is compared with it."""

from collections.abc import Iterable, Mapping
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

ACTIVATIONS = {
    "swish": nn.silu,
    "elu": nn.elu,
    "relu": nn.relu,
    "lrelu": partial(nn.leaky_relu, negative_slope=0.2),
}


def descending_sigmas(config: dict) -> tuple[float, ...]:
    model = config["model"]
    levels = np.linspace(np.log(model["sigma_max"]), np.log(model["sigma_min"]), model["num_scales"])
    return tuple(np.exp(levels).tolist())


def configured(kind: type[nn.Module], config: dict, options: Iterable[str]) -> nn.Module:
    """A U-Net of `kind` with those `options`, as the ConfigDict of a golden file says."""
    model = config["model"]
    return kind(
        channels=model["nf"],
        nonlinearity=ACTIVATIONS[model["nonlinearity"]],
        centered=config["data"]["centered"],
        sigmas=descending_sigmas(config),
        **{name: tuple(v) if isinstance(v := model[name], list) else v for name in options},
    )


def parameters(data: Mapping[str, np.ndarray], names: Mapping[str, str]) -> dict[tuple[str, ...], np.ndarray]:
    """{path: array}: the weights of a torch network, `names` of which leads to their paths here."""
    params = {}
    for torch_name, path in names.items():
        w = data[f"param/{torch_name}"].astype(np.float32)
        if w.ndim == 4:
            w = w.transpose(2, 3, 1, 0)
        elif path.endswith("kernel"):
            w = w.T
        params[tuple(path.split("/"))] = w
    return params


def shapes(net: nn.Module, *inputs: jax.Array) -> dict[tuple[str, ...], tuple[int, ...]]:
    tree = jax.eval_shape(net.init, jax.random.key(0), *inputs)["params"]
    return {path: leaf.shape for path, leaf in flatten_dict(tree).items()}


def random_variables(net: nn.Module, *inputs: jax.Array) -> dict:
    """Variables of the right shapes and dtypes, without the compilation of the initializers."""
    rng = np.random.default_rng(0)
    tree = jax.eval_shape(net.init, jax.random.key(0), *inputs)
    return jax.tree.map(lambda leaf: (0.2 * rng.standard_normal(leaf.shape)).astype(leaf.dtype), tree)


def assert_published(jit, net: nn.Module, data: Mapping[str, np.ndarray], names: Mapping[str, str], ties: bool = False):
    """The parameter tree, the output, its gradient by x and the norm of the gradient by every parameter.

    ties: the network takes the largest of values that float32 cannot tell apart; its gradients are formed in float64.
    """
    x, t = jnp.asarray(data["x"], jnp.float32), jnp.asarray(data["labels"])
    params = parameters(data, names)
    assert shapes(net, x, t) == {path: w.shape for path, w in params.items()}

    def scalar(params, x, cotangent):
        y = net.apply({"params": params}, x, t)
        return jnp.mean(y * cotangent), y

    def gradient(dtype):
        inputs = jax.tree.map(lambda a: jnp.asarray(a, dtype), (unflatten_dict(params), data["x"], data["cotangent"]))
        return jit(jax.value_and_grad(scalar, (0, 1), has_aux=True))(*inputs)

    with jax.default_matmul_precision("highest"):
        if ties:
            y = jit(net.apply)({"params": unflatten_dict(params)}, x, t)
            with jax.enable_x64(True):
                _, (grads, grad_x) = gradient(jnp.float64)
        else:
            (_, y), (grads, grad_x) = gradient(jnp.float32)

    np.testing.assert_allclose(y, data["out64"], rtol=0, atol=5e-6 * np.abs(data["out64"]).max())
    np.testing.assert_allclose(grad_x, data["grad_x"], rtol=0, atol=2e-5 * np.abs(data["grad_x"]).max())
    norms = dict(zip(data["param_names"].tolist(), data["grad_norms"], strict=True))
    want = np.array([norms[name] for name in names])
    grads = flatten_dict(grads)
    got = np.array([np.linalg.norm(grads[tuple(path.split("/"))]) for path in names.values()])
    frozen = np.isnan(want)
    assert not got[frozen].any(), "a gradient reached a frozen parameter"
    np.testing.assert_allclose(got[~frozen], want[~frozen], rtol=1e-4, atol=1e-7 * np.nanmax(want))
