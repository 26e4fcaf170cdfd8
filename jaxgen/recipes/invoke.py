"""From a section of a configuration to the function it names, with its arguments."""

import inspect
from functools import reduce
from operator import or_
from typing import Any, get_args

from ml_collections import ConfigDict

from jaxgen.configuration import call, expect, is_call, unknown
from jaxgen.recipes import names
from jaxgen.recipes.names import Table
from jaxgen.recipes.ranges import within
from jaxgen.train.schedules import Schedule

EXAMPLES = {"predictor": "reverse_diffusion", "corrector": "langevin", "sde": "vp", "n": 1000, "learning_rate": 1e-3}


def invoke(table: Table, section: ConfigDict, path: str, **context: Any) -> Any:
    """table[section.name](arguments of the section), the section being at `path` of the configuration. `context` holds
    arguments that follow from elsewhere, handed on where the function takes them; the section may say otherwise.
    Arguments of `names.ARGUMENTS` are invoked themselves. Raises ValueError for what does not fit."""
    if section.name not in table:
        raise unknown(path, section.name, table)
    function = table[section.name]
    parameters = inspect.signature(function).parameters
    arguments = {key: value for key, value in context.items() if key in parameters}
    for key, value in section.items():
        if key == "name":
            continue
        if key not in parameters:
            raise unknown(f"argument of {path} {section.name}", key, parameters)
        arguments[key] = argument(parameters[key], value, path, section.name, context)
    missing = [k for k, p in parameters.items() if p.default is inspect.Parameter.empty and k not in arguments]
    if missing:
        raise ValueError(
            f"{path} {section.name} needs the argument {missing[0]!r}: give it, such as "
            f"--config.{path}.{missing[0]}={EXAMPLES.get(missing[0], 'VALUE')}."
        )
    return function(**arguments)


def argument(parameter: inspect.Parameter, value: Any, path: str, name: str, context: dict[str, Any]) -> Any:
    """The `value` that the function `name` at `path` is given for `parameter`."""
    key, kind = parameter.name, parameter.annotation
    where = f"{key} of {path} {name}"
    if key in names.ARGUMENTS and kind is not str:
        table = names.ARGUMENTS[key]
        named = call(value) if isinstance(value, str) else value
        if not is_call(named):
            raise ValueError(f"{where} must name a function, such as {next(iter(table))!r}, got {value!r}.")
        return invoke(table, named, f"{path}.{key}", **context)
    if Schedule in get_args(kind):
        if is_call(value):
            return invoke(names.SCHEDULES, value, f"{path}.{key}")
        kind = reduce(or_, (one for one in get_args(kind) if one != Schedule))
    if kind is inspect.Parameter.empty and parameter.default is not inspect.Parameter.empty:
        kind = type(parameter.default)
    return within(where, key, expect(where, kind, value))
