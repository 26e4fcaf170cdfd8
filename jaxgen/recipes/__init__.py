"""From a configuration to a `Recipe`."""

from jaxgen.recipes.diffusion import build as build
from jaxgen.recipes.space import Statistics as Statistics
from jaxgen.recipes.space import measure as measure
