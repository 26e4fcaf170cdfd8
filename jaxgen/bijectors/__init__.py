"""Invertible maps of arrays and their algebra: pure functions that know no network.

distrax and flowjax have splines and couplings as well. In float64 they are the same maps to 1e-13, in float32 as
precise, and none of the three loses a gradient outside of a spline's box. On a CPU the gradient of distrax's spline
takes 2.4 times as long as here, of flowjax's 1.2 times, forward 1.4 and 0.85 times; couplings take the same
(experiments/benchmarks/bijectors.py). Neither has squeezes, multi-scale splits, residual or mixture-of-logistics maps;
of 1x1 convolutions from their factors distrax has L U, without the permutation that Glow starts from. distrax brings
TensorFlow Probability with it; flowjax keeps parameters of one example, and the networks of its couplings, in Equinox
modules. So neither is a dependency.
"""

from jaxgen.bijectors.actnorm import actnorm as actnorm
from jaxgen.bijectors.actnorm import standardizing as standardizing
from jaxgen.bijectors.bijector import Bijector as Bijector
from jaxgen.bijectors.bijector import chain as chain
from jaxgen.bijectors.bijector import identity as identity
from jaxgen.bijectors.bijector import invert as invert
from jaxgen.bijectors.bijector import rearrangement as rearrangement
from jaxgen.bijectors.coupling import checkerboard as checkerboard
from jaxgen.bijectors.coupling import coupling as coupling
from jaxgen.bijectors.coupling import masked_coupling as masked_coupling
from jaxgen.bijectors.elementwise import affine as affine
from jaxgen.bijectors.elementwise import elementwise as elementwise
from jaxgen.bijectors.elementwise import glow_affine as glow_affine
from jaxgen.bijectors.elementwise import logit as logit
from jaxgen.bijectors.elementwise import sigmoid_affine as sigmoid_affine
from jaxgen.bijectors.linear import PLU as PLU
from jaxgen.bijectors.linear import factorized as factorized
from jaxgen.bijectors.linear import linear as linear
from jaxgen.bijectors.linear import plu as plu
from jaxgen.bijectors.permute import permute as permute
from jaxgen.bijectors.spline import rational_quadratic as rational_quadratic
from jaxgen.bijectors.split import Split as Split
from jaxgen.bijectors.split import apart as apart
from jaxgen.bijectors.split import channels as channels
from jaxgen.bijectors.split import factor_out as factor_out
from jaxgen.bijectors.split import features as features
from jaxgen.bijectors.split import flatten as flatten
from jaxgen.bijectors.split import swap as swap
from jaxgen.bijectors.squeeze import diagonal_squeeze as diagonal_squeeze
from jaxgen.bijectors.squeeze import squeeze as squeeze
