"""DDPM (Ho et al. 2020, 2006.11239) on CIFAR-10, as trained by Song et al. 2021.

jaxgen train --config=configs/vp/ddpm/cifar10.py --workdir=runs/vp_ddpm_cifar10

Published: FID 3.24 by ancestral sampling (2011.13456 tables 1 and 3; Ho et al. 3.17, Inception score 9.46); FID 3.37
of the probability-flow ODE and 3.28 bits/dim (table 2: last checkpoint); 35.2 M parameters.

The release solves ODEs on the continuous process behind the table, likelihoods as set here and samples as in

jaxgen sample --workdir=runs/vp_ddpm_cifar10 --num=64 --out=ode.png --config.sampling.sde=vp \\
  --config.sampling.solver=probability_flow --config.sampling.solver.end=1e-3 --config.sampling.finish=as_it_is
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10_continuous.py")
    config.sde = call("ddpm", n=1000, beta_min=0.1, beta_max=20.0)
    config.loss.label = call("fractional_index")
    config.sampling.solver.predictor = "ancestral_sampling"
    config.likelihood.sde = call("vp", beta_min=0.1, beta_max=20.0, t0=1e-5)
    return config
