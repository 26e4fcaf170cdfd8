"""Configurations: a tree of values with one schema, filled from a Python file and the command line.

    configuration = default() <- get_config() of a file <- --config.section.key=value

A section with a key "name" is a *call*: the name of a function (a process, a network, a solver) and its arguments,
written `call("vp", beta_max=20.0)`. All other sections have exactly the keys of `default()`.
"""

import ast
import difflib
import inspect
import runpy
import traceback
import types
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from ml_collections import ConfigDict


def call(name: str, **arguments: Any) -> ConfigDict:
    """The function `name` with these arguments, as a section of a configuration."""
    return ConfigDict({"name": name, **arguments})


def default() -> ConfigDict:
    """Every key there is, with its default. Locked: an unknown key is an error."""
    config = ConfigDict(
        {
            "seed": 0,
            "family": "diffusion",  # or "classifier", of noisy images, which guides a diffusion model
            "data": {
                "dataset": "digits",  # embedded: digits, emoji32; a tfds name; or a folder of images
                "data_dir": None,  # where tfds keeps prepared data
                "center_crop": None,  # cut out the central square of this many pixels a side, before image_size
                "image_size": None,  # crop and resize to this many pixels a side
                "split": "train",
                "test_split": "test",
                "flip": False,  # random left-right mirroring
                "crop": 0,  # random shifts by up to this many pixels, over reflected borders
                "conditional": False,  # the network is told the class; a classifier learns it
                "dequantize": False,  # add U[0, 1) to the integer levels, anew at every step
                "space": call("linear"),  # from levels to model space
                "center": False,  # remove the mean of every pixel
            },
            "model": call("mlp"),
            "sde": call("vp"),
            "loss": {
                "objective": "denoising",  # or "bound", the variational bound on the integers in bits/dim
                "head": call("direct"),  # from the network's output to the prediction
                "prediction": call("eps"),
                "times": call("uniform"),
                "weight": call("ones"),  # this and reduce follow from the times under the objective "bound"
                "label": call("quarter_log_sigma"),  # what the network is told of time
                "scale_in": call("unit_variance"),
                "reduce": call("mean"),
                "drop_condition": 0.0,  # probability of training without the class, for guidance
            },
            "optimizer": call("adam", learning_rate=1e-3),
            "ema": call("constant", decay=0.999),
            "train": {
                "steps": 1000,
                "batch_size": 128,  # over all devices
                "log_every": 50,
                "checkpoint_every": 500,
                "sample_every": 500,  # 0: no pictures during training
                "keep": 2,  # checkpoints, the latest ones
                "keep_every": 0,  # and for good those at multiples of this, which are saved in any case; 0: none
                "best": call("none"),  # and the best: "lowest" or "highest", with metric="loss" and keep=1
                "max_skipped": 10,  # steps in a row that loss or gradients not finite may skip; 0: skip none, go on
            },
            "parallel": {
                "mapping": "jit",  # or "pmap"
                "data": -1,  # the mesh: parts of the batch, by
                "fsdp": 1,  # parts of the batch and of the state; -1 is what the other leaves
                "rules": (),  # of what is sharded: (regular expression on a leaf's path, dimension or None), ...
                "accumulate": 1,  # gradients are averaged over this many parts of a batch
                "remat": False,  # activations inside the blocks of a network are computed again for its gradient
                "dtype": "float32",  # that networks compute in, or "bfloat16"; parameters and losses stay float32
                "fused": 1,  # steps a dispatch
            },
            "sampling": {
                "sde": call("trained"),  # or the continuous process behind the table of the training
                "solver": call("heun"),
                "grid": call("karras"),
                "steps": 18,  # times of the grid
                "finish": call("clean"),
                "levels": call("nearest"),  # or "truncated", as score_sde; without effect on data.dequantize
                "guidance": 1.0,  # weight of classifier-free guidance; 1 is the conditional model
                "guidance_interval": None,  # (low, high): guide only where sigma/alpha lies between
                "images": 64,  # in the picture drawn during training
                "batch_size": 256,
            },
            "likelihood": {
                "sde": call("trained"),  # as in sampling
                "divergence": call("hutchinson"),
                "bins": call("centered"),  # of the levels, or "score_sde"; without effect on data.dequantize
                "rtol": 1e-5,
                "atol": 1e-5,
                "draws": 1,  # of noise (dequantization, time) an image, averaged
            },
        }
    )
    return config.lock()


# A run may go on with other values of these, except TELLING ones. A run that is made longer follows the schedule of its
# new length from there on: optimizer.decay_steps usually is train.steps.
HARMLESS = (
    *("train.steps", "train.log_every", "train.checkpoint_every", "train.sample_every"),
    *("train.keep", "train.keep_every", "train.max_skipped", "optimizer.decay_steps"),
)
HARMLESS_SECTIONS = ("sampling.", "likelihood.", "parallel.", "train.best.")
TELLING = ("parallel.dtype",)  # trains otherwise; a trained model may be used in any

SEEDS = 0, 2**32 - 1  # what a random key takes
AT_LEAST = {
    "data.crop": 0,
    "train.steps": 1,
    "train.batch_size": 1,
    "train.log_every": 0,
    "train.checkpoint_every": 0,
    "train.sample_every": 0,
    "train.keep": 1,
    "train.keep_every": 0,
    "train.max_skipped": 0,
    "parallel.accumulate": 1,
    "parallel.fused": 1,
    "sampling.steps": 2,
    "sampling.images": 1,
    "sampling.batch_size": 1,
    "likelihood.draws": 1,
}


def load(path: str | Path, overrides: Iterable[str] = ()) -> ConfigDict:
    """The configuration that get_config() of the file `path` returns, with `overrides` "section.key=value"."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"expected a configuration file at {path}, found none: correct --config.")
    try:
        config = configuration_of(path)
    except KeyError as error:
        if error.args == ("get_config",):
            raise ValueError(f"{path} must define get_config(), which returns the configuration.") from error
        raise broken(path, error) from error
    except Exception as error:
        raise broken(path, error) from error
    if not isinstance(config, ConfigDict):
        raise ValueError(f"get_config() of {path} must return a ConfigDict, got {type(config).__name__}.")
    return override(complete(config), overrides)


def configuration_of(path: Path) -> Any:
    """What get_config() of the file `path` returns."""
    return runpy.run_path(str(path))["get_config"]()


def derive(file: str, base: str) -> ConfigDict:
    """The configuration of the file `base`, relative to the folder of the file that derives its own from it:
    derive(__file__, "../ve/digits.py")."""
    return configuration_of(Path(file).parent / base)


def broken(path: Path, error: Exception) -> ValueError:
    """What went wrong in a configuration file, in one sentence with its line."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f"{path} line {lines[-1]}" if lines else str(path)
    said = " ".join(str(error).split())
    hint = (
        said[said.rfind("Did you mean") :].strip("'\"") if "Did you mean" in said else f"{type(error).__name__}: {said}"
    )
    return ValueError(f"{where} is not a valid configuration: {hint}")


def complete(config: ConfigDict) -> ConfigDict:
    """`config` checked against `default()`, with the keys it lacks filled in; locked."""
    config.unlock()
    fill(config, default(), "")
    return config.lock()


def fill(config: ConfigDict, defaults: ConfigDict, prefix: str) -> None:
    for key in config:
        if key not in defaults:
            raise unknown("key", prefix + key, [prefix + known for known in defaults])
    for key, value in defaults.items():
        if key not in config:
            config[key] = value
        elif not isinstance(value, ConfigDict):
            expect(f"config.{prefix}{key}", annotation(value), config[key])
        elif not isinstance(config[key], ConfigDict) or is_call(value) and not is_call(config[key]):
            raise ValueError(f"config.{prefix}{key} must be {describe(value)}, got {config[key]!r}.")
        elif not is_call(value):
            fill(config[key], value, f"{prefix}{key}.")


def override(config: ConfigDict, overrides: Iterable[str]) -> ConfigDict:
    """`config` with each "section.key=value" of the command line set, and its numbers in range.

    "section=name" sets a call without arguments; an argument given by its name becomes one with its first argument.
    """
    for text in overrides:
        path, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"expected --config.{path}=VALUE, got --config.{path} without a value.")
        *sections, key = path.split(".")
        section = config
        for part in sections:
            if is_call(section) and part != "name" and isinstance(section.get(part), str):
                with section.unlocked():
                    given = section[part]
                    del section[part]
                    section[part] = call(given)
            section = section.get(part) if isinstance(section, ConfigDict) else None
        if not isinstance(section, ConfigDict) or key not in section and not is_call(section):
            raise unknown("key", path, list(dict(leaves(config))))
        old = section.get(key)
        if isinstance(old, ConfigDict) and not is_call(old):
            raise unknown("key", path, list(dict(leaves(config))))
        with section.unlocked():
            if isinstance(old, ConfigDict):
                section[key] = call(value)
            elif is_call(section):
                if key in section:
                    del section[key]  # an argument may change its type; the function says which it takes
                section[key] = value if key == "name" else literal(value)
            else:
                section[key] = expect(f"config.{path}", annotation(default_of(path)), literal(value, type(old) is str))
    values = dict(leaves(config))
    for path, least in AT_LEAST.items():
        if values[path] < least:
            raise ValueError(f"config.{path} must be at least {least}, got {values[path]}.")
    if not SEEDS[0] <= config.seed <= SEEDS[1]:
        raise ValueError(f"config.seed must be in {SEEDS[0]} .. {SEEDS[1]}, got {config.seed}.")
    return config


def default_of(path: str) -> Any:
    value = default()
    for part in path.split("."):
        value = value[part]
    return value


def is_call(value: Any) -> bool:
    return isinstance(value, ConfigDict) and isinstance(value.get("name"), str)


def describe(section: ConfigDict) -> str:
    return 'a function and its arguments, call("name", argument=value)' if is_call(section) else "a section"


def leaves(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """("section.key", value) of every leaf; tuples come as lists, as in JSON."""
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, list(value) if isinstance(value, tuple) else value


def plain(config: ConfigDict) -> dict[str, Any]:
    """The configuration as dicts, lists and numbers, for JSON."""
    return {
        key: plain(value) if isinstance(value, ConfigDict) else list(value) if isinstance(value, tuple) else value
        for key, value in config.items()
    }


def differences(old: ConfigDict, new: ConfigDict) -> list[tuple[str, Any, Any]]:
    """(key, old value, new value) where the two train differently; None stands for a missing key."""
    a, b = dict(leaves(old)), dict(leaves(new))
    return [(key, a.get(key), b.get(key)) for key in sorted({*a, *b}) if a.get(key) != b.get(key) and not harmless(key)]


def harmless(key: str) -> bool:
    return key not in TELLING and (key in HARMLESS or key.startswith(HARMLESS_SECTIONS))


def literal(text: str, is_text: bool = False) -> Any:
    """The Python value that `text` writes ("1e-4", "(1, 2)", "None", "true"), or the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return text if is_text and not isinstance(value, str) else value


def annotation(value: Any) -> Any:
    """The type that replaces a default value: optional ones have the default None."""
    return Any if value is None else type(value)


def expect(where: str, kind: Any, value: Any) -> Any:
    """`value` if it is of the type `kind` (a class, a union, a Sequence; int passes for float), else ValueError."""
    if kind in (Any, inspect.Parameter.empty):
        return value
    kinds = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    for one in kinds:
        origin = get_origin(one) or one
        if origin is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if origin in (tuple, list, Sequence) and isinstance(value, tuple | list):
            return tuple(value)
        if origin in (bool, str) and isinstance(value, origin) or origin is type(None) and value is None:
            return value
        if origin in (int, float) and isinstance(value, origin) and not isinstance(value, bool):
            return value
    simple = [str(getattr(get_origin(one) or one, "__name__", one)) for one in kinds]
    known = {"int", "float", "bool", "str", "tuple", "list", "Sequence", "NoneType"}
    if not known.issuperset(simple):
        return value
    raise ValueError(f"{where} must be {' or '.join(simple).replace('NoneType', 'None')}, got {value!r}.")


def unknown(what: str, name: str, known: Iterable[str]) -> ValueError:
    """A name that is not among `known`, with the nearest one."""
    known = list(known)
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return ValueError(
        f"unknown {what} {name!r}: did you mean {nearest[0]!r}?" if nearest else f"unknown {what} {name!r}."
    )
