"""Samplers: a grid of times, a solver, one loop."""

from jaxgen.sampling import grids as grids
from jaxgen.sampling.langevin import annealed_langevin as annealed_langevin
from jaxgen.sampling.langevin import langevin as langevin
from jaxgen.sampling.langevin import predictor_corrector as predictor_corrector
from jaxgen.sampling.ode import probability_flow as probability_flow
from jaxgen.sampling.sample import Solver as Solver
from jaxgen.sampling.sample import evaluations as evaluations
from jaxgen.sampling.sample import sample as sample
from jaxgen.sampling.solvers import churn as churn
from jaxgen.sampling.solvers import ddim as ddim
from jaxgen.sampling.solvers import dpmpp_2m as dpmpp_2m
from jaxgen.sampling.solvers import heun as heun
from jaxgen.sampling.steps import ancestral as ancestral
from jaxgen.sampling.steps import euler_maruyama as euler_maruyama
from jaxgen.sampling.steps import reverse_diffusion as reverse_diffusion
