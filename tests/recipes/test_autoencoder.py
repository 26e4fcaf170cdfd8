"""The recipe of an autoencoder, as configurations name it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.configuration import call, default
from jaxgen.data import Spec
from jaxgen.recipes import build
from jaxgen.recipes.space import Statistics

SPEC = Spec("digits", "train", (8, 8, 1), 17, 64, 10, tuple("0123456789"))
