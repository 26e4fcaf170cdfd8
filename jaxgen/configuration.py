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

from jaxgen.schema import AT_LEAST, FAMILIES, HARMLESS, HARMLESS_SECTIONS, OPTIONAL, SEEDS, TELLING
from jaxgen.schema import call as call
from jaxgen.schema import default as default


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
    fill(config, schema_of(config), "")
    return config.lock()


def schema_of(config: ConfigDict) -> ConfigDict:
    """The default configuration of the family that `config` names."""
    family = expect("config.family", str, config.get("family", "diffusion"))
    if family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    return default(family)


def fill(config: ConfigDict, defaults: ConfigDict, prefix: str) -> None:
    for key in config:
        if key not in defaults:
            raise unknown("key", prefix + key, [prefix + known for known in defaults])
    for key, value in defaults.items():
        if key not in config:
            config[key] = value
        elif not isinstance(value, ConfigDict):
            expect(f"config.{prefix}{key}", annotation(prefix + key, value), config[key])
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
                kind = annotation(path, default_of(path, config))
                section[key] = expect(f"config.{path}", kind, literal(value, type(old) is str))
    if set(config) != set(schema_of(config)):
        raise ValueError(f"config.family={config.family} has other sections than its file sets: take a file of it.")
    values = dict(leaves(config))
    for path, least in AT_LEAST.items():
        if values.get(path) is not None and not values[path] >= least:
            raise ValueError(f"config.{path} must be at least {least}, got {values[path]}.")
    if not SEEDS[0] <= config.seed <= SEEDS[1]:
        raise ValueError(f"config.seed must be in {SEEDS[0]} .. {SEEDS[1]}, got {config.seed}.")
    return config


def default_of(path: str, config: ConfigDict) -> Any:
    """What the key `path` is in a configuration of the same family."""
    value = schema_of(config)
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


def written(section: ConfigDict) -> str:
    """A call as one would write it."""
    arguments = ", ".join(
        f"{key}={written(value) if isinstance(value, ConfigDict) else value}"
        for key, value in section.items()
        if key != "name"
    )
    return f"{section.name}({arguments})"


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


def annotation(path: str, value: Any) -> Any:
    """The type of what may replace the default `value` at `path`."""
    if value is None:
        return OPTIONAL[path] | None if path in OPTIONAL else Any
    return type(value)


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
            return tuple(expect(f"every element of {where}", (*get_args(one), Any)[0], element) for element in value)
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
    """A name that is not among `known`, with the nearest one, in capitals or not."""
    spelt = {one.lower(): one for one in known}
    nearest = difflib.get_close_matches(name.lower(), spelt, n=1, cutoff=0.0)
    return ValueError(
        f"unknown {what} {name!r}: did you mean {spelt[nearest[0]]!r}?" if nearest else f"unknown {what} {name!r}."
    )
