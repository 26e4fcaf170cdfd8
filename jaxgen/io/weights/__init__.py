"""Weights that others have published: readers of their files, which run nothing from them, and importers."""

from jaxgen.io.weights.flax_file import read_msgpack as read_msgpack
from jaxgen.io.weights.open import Weights as Weights
from jaxgen.io.weights.open import open_weights as open_weights
from jaxgen.io.weights.torch_file import read_torch as read_torch
