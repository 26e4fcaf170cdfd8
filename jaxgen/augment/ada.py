r"""The augmentations of adaptive discriminator augmentation: what the critic sees of every image.

Each transform happens to an image with probability p times its strength, and is told by numbers whose neutral value is
0. They are quantiles at u ~ U(0, 1):

| transform | numbers | law |
|---|---|---|
| `flip`, `quarter_turns` | of left and right; counterclockwise | {0, 1}; {0, 1, 2, 3} |
| `shift` | of width and height, to whole pixels | U(-1/8, 1/8) |
| `scale`, `anisotropy` | log2 of the size; of width over it | N(0, 1/5^2) |
| `rotation` | radians counterclockwise, before and after anisotropy | U(-pi, pi), each with 1 - sqrt(1 - p) |
| `fraction` | of width and height | N(0, 1/8^2) |
| `brightness`, `contrast` | added; log2 | N(0, 1/5^2); N(0, 1/2^2) |
| `luma_flip`, `hue`, `saturation` | of light and dark; radians; log2 | {0, 1}; U(-pi, pi); N(0, 1) |
| `bands` | log2 of the gain, each band for itself | N(0, 1) |
| `noise` | standard deviation | \|N(0, 1/10^2)\| |
| `cutout` | size, middle | 1/2, U(0, 1) |

Source: Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data" (2006.06676), appendix B.
"""

import zlib
from collections.abc import Callable, Mapping
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import erfinv, ndtri

from jaxgen import gaussian
from jaxgen.augment.augmented import Augmentation
from jaxgen.augment.color import recolor
from jaxgen.augment.geometry import centered, rotation, scaling, translation, warp
from jaxgen.augment.probability import Probability, adaptive, current, initial
from jaxgen.augment.wavelets import BANDS, filter_matrices
from jaxgen.losses.algebra import Params
from jaxgen.losses.consistency import Augment

Parameters = dict[str, Array]  # {transform: its numbers}, of one image, or of each with a leading axis B
EXPECTED_POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)  # of the bands in natural images, 1/f^2


class Transform(NamedTuple):
    """quantile: u [size] in (0, 1) -> the numbers; they are 0 unless a gate is open, which has one of `gates`
    positions for all of them or each, with the probability chance(p)."""

    quantile: Callable[[Array], Array]
    size: int = 1
    gates: int = 1
    chance: Callable[[Array], Array] = lambda p: p


def normal(std: float) -> Callable[[Array], Array]:
    return lambda u: std * ndtri(u)


def uniform(bound: float) -> Callable[[Array], Array]:
    return lambda u: bound * (2 * u - 1)


def whole(count: int) -> Callable[[Array], Array]:
    """0, 1, ... count - 1."""
    return lambda u: jnp.floor(count * u)


def one_of_two(p: Array) -> Array:
    """The probability of either of two that happen with probability p together: 1 - (1 - P)^2 = p."""
    return 1 - jnp.sqrt(jnp.clip(1 - p, 0, 1))


TRANSFORMS = {
    "flip": Transform(whole(2)),
    "quarter_turns": Transform(whole(4)),
    "shift": Transform(uniform(0.125), 2),
    "scale": Transform(normal(0.2)),
    "rotation": Transform(uniform(jnp.pi), 2, 2, one_of_two),
    "anisotropy": Transform(normal(0.2)),
    "fraction": Transform(normal(0.125), 2),
    "brightness": Transform(normal(0.2)),
    "contrast": Transform(normal(0.5)),
    "luma_flip": Transform(whole(2)),
    "hue": Transform(uniform(jnp.pi)),
    "saturation": Transform(normal(1.0)),
    "bands": Transform(normal(1.0), BANDS, BANDS),
    "noise": Transform(lambda u: 0.1 * jnp.sqrt(2) * erfinv(u)),
    "cutout": Transform(lambda u: jnp.concatenate([jnp.full_like(u[:1], 0.5), u]), 2),
}
BLIT = "flip", "quarter_turns", "shift"
GEOMETRY = "scale", "rotation", "anisotropy", "fraction"
COLOR = "brightness", "contrast", "luma_flip", "hue", "saturation"
ADAPTIVE = adaptive()


def ada(
    batch: int,
    probability: Probability = ADAPTIVE,
    blit: float = 1.0,
    geometry: float = 1.0,
    color: float = 1.0,
    bands: float = 0.0,
    noise: float = 0.0,
    cutout: float = 0.0,
) -> Augmentation:
    """The transforms of each kind with its strength, none where that is 0. The default is the best of the paper (figure
    4). batch: how many images a step sees."""
    kinds = (BLIT, blit), (GEOMETRY, geometry), (COLOR, color), (("bands",), bands), (("noise",), noise)
    strengths = {name: strength for names, strength in (*kinds, (("cutout",), cutout)) for name in names if strength}
    return Augmentation(
        transforming(strengths),
        initial(probability.start),
        lambda loss: probability.follow(loss, batch),
        probability.signed,
    )


def transforming(strengths: Mapping[str, float]) -> Augment:
    """Every image with transforms of these `strengths`, with the probability that params["augment"] holds."""
    unknown = sorted(set(strengths) - set(TRANSFORMS))
    if unknown:
        raise ValueError(f"expected transforms among {', '.join(TRANSFORMS)}, got {', '.join(unknown)}.")

    def augment(params: Params, keys: Array, x: Array) -> Array:
        p = current(params)
        drawn = jax.vmap(lambda key: parameters(key, p, strengths, x.dtype))(keys)
        grain = jnp.zeros_like(x)
        if "noise" in drawn:
            grain = gaussian.noise(keys, 0x6A41, x.shape[1:], x.dtype)
        return transformed(x, drawn, grain)

    return augment


def parameters(key: Array, p: Array, strengths: Mapping[str, float], dtype: jnp.dtype) -> Parameters:
    """The numbers of one image."""
    made = {}
    for name, strength in strengths.items():
        kind = TRANSFORMS[name]
        gate, value = jax.random.split(jax.random.fold_in(key, zlib.crc32(name.encode())))
        opened = jax.random.uniform(gate, (kind.gates,)) < kind.chance(strength * p)
        u = jax.random.uniform(value, (kind.size,), dtype, minval=jnp.finfo(dtype).eps / 2)  # 0 has no quantile
        made[name] = jnp.where(opened, kind.quantile(u), 0)
    return made


def transformed(x: Array, given: Parameters, grain: Array) -> Array:
    """x: [B, H, W, C] in [-1, 1] seen through the transforms that are `given`; grain: ~ N(0, 1), of the shape of x."""
    if given.keys() & {*BLIT, *GEOMETRY}:
        x = warp(x, jax.vmap(lambda numbers: origin(numbers, *x.shape[1:3]))(filled(given, x)))
    if given.keys() & {*COLOR}:
        numbers = filled(given, x)
        b, c, f, h, s = (numbers[name][:, 0] for name in COLOR)
        x = jax.vmap(recolor)(x, b, jnp.exp2(c), f, h, jnp.exp2(s))
    if "bands" in given:
        x = jax.vmap(amplified)(x, gains(given["bands"]))
    if "noise" in given:
        x += given["noise"][:, :, None, None] * grain
    if "cutout" in given:
        x = jnp.where(jax.vmap(lambda numbers: hidden(numbers, *x.shape[1:3]))(given["cutout"])[..., None], 0, x)
    return x


def filled(given: Parameters, x: Array) -> Parameters:
    """`given` with the neutral numbers of all other transforms of planes and colors."""
    neutral = {name: jnp.zeros((x.shape[0], TRANSFORMS[name].size), x.dtype) for name in BLIT + GEOMETRY + COLOR}
    return {**neutral, **given}


def origin(numbers: Parameters, height: int, width: int) -> Array:
    """[3, 3]: where in one image each place of the result comes from, the transforms undone from the last to the first;
    in pixels from the middle."""
    size = jnp.array([width, height])
    (flip,), (turns,), (scale,), (stretch,) = (
        numbers[name] for name in ("flip", "quarter_turns", "scale", "anisotropy")
    )
    before, after = numbers["rotation"]
    undone = [
        scaling(1 - 2 * flip, jnp.ones_like(flip)),
        rotation(turns * jnp.pi / 2),
        translation(*-jnp.round(numbers["shift"] * size)),
        scaling(jnp.exp2(-scale), jnp.exp2(-scale)),
        rotation(before),
        scaling(jnp.exp2(-stretch), jnp.exp2(stretch)),
        rotation(after),
        translation(*-(numbers["fraction"] * size)),
    ]
    return reduce(lambda a, b: jnp.matmul(a, b, precision="highest"), undone)


def gains(logs: Array) -> Array:
    """[..., BANDS] log2 of the gain of each band alone -> gains of all together, where each gain in turn is followed by
    a normalization to the same expected power."""
    alone = 1 + (jnp.exp2(logs)[..., None, :] - 1) * jnp.eye(BANDS)
    power = jnp.sum(jnp.array(EXPECTED_POWER) * jnp.square(alone), axis=-1, keepdims=True)
    return jnp.prod(alone / jnp.sqrt(power), axis=-2)


def amplified(x: Array, gain: Array) -> Array:
    """x: [H, W, C] with the frequencies along either axis multiplied by `gain` [BANDS]."""
    rows, columns = (
        jnp.einsum("k,kij->ij", gain, jnp.asarray(filter_matrices(n), x.dtype), precision="highest")
        for n in x.shape[:2]
    )
    return jnp.einsum("ih,hwc,jw->ijc", rows, x, columns, precision="highest")


def hidden(cutout: Array, height: int, width: int) -> Array:
    """bool [H, W]: the rectangle of `cutout` (size, and middle along width and height, all relative to the image)."""
    size, *middle = cutout
    across, down = (
        jnp.abs(centered(n, cutout.dtype) / n + 0.5 - at) < size / 2
        for n, at in zip((width, height), middle, strict=True)
    )
    return down[:, None] & across
