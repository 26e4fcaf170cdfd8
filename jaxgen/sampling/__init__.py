"""Samplers: a grid of times, a solver, one loop."""

from jaxgen.sampling import grids as grids
from jaxgen.sampling.langevin import annealed_langevin as annealed_langevin
from jaxgen.sampling.langevin import langevin as langevin
from jaxgen.sampling.langevin import predictor_corrector as predictor_corrector
from jaxgen.sampling.multistep import deis as deis
from jaxgen.sampling.multistep import dpm_multistep as dpm_multistep
from jaxgen.sampling.multistep import dpmpp_2m as dpmpp_2m
from jaxgen.sampling.multistep import dpmpp_3m as dpmpp_3m
from jaxgen.sampling.multistep import lms as lms
from jaxgen.sampling.multistep import pndm as pndm
from jaxgen.sampling.ode import probability_flow as probability_flow
from jaxgen.sampling.sample import Solver as Solver
from jaxgen.sampling.sample import evaluations as evaluations
from jaxgen.sampling.sample import sample as sample
from jaxgen.sampling.singlestep import dpm2_ancestral as dpm2_ancestral
from jaxgen.sampling.singlestep import dpm_solver as dpm_solver
from jaxgen.sampling.singlestep import dpmpp_2s_ancestral as dpmpp_2s_ancestral
from jaxgen.sampling.singlestep import dpmpp_sde as dpmpp_sde
from jaxgen.sampling.singlestep import dpmpp_singlestep as dpmpp_singlestep
from jaxgen.sampling.solvers import churn as churn
from jaxgen.sampling.solvers import ddim as ddim
from jaxgen.sampling.solvers import heun as heun
from jaxgen.sampling.steps import ancestral as ancestral
from jaxgen.sampling.steps import euler_maruyama as euler_maruyama
from jaxgen.sampling.steps import reverse_diffusion as reverse_diffusion
from jaxgen.sampling.unipc import unipc as unipc
