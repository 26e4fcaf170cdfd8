"""Losses: per-example, composed functionally."""

from jaxgen.losses.algebra import Aux as Aux
from jaxgen.losses.algebra import Loss as Loss
from jaxgen.losses.algebra import add as add
from jaxgen.losses.algebra import drop_condition as drop_condition
from jaxgen.losses.algebra import every as every
from jaxgen.losses.algebra import mask as mask
from jaxgen.losses.algebra import named as named
from jaxgen.losses.algebra import on as on
from jaxgen.losses.algebra import scale as scale
from jaxgen.losses.denoising import denoising as denoising
