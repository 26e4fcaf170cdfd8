"""DDPM++ cont. (VP) on CIFAR-10 (2011.13456).

jaxgen train --config=configs/vp/cifar10_ddpmpp_continuous.py --workdir=runs/vp_cifar10_ddpmpp_cont

Published: FID 2.55, Inception score 9.58 (table 3: best checkpoint, Euler-Maruyama with 1000 evaluations); FID 3.93 of
the probability-flow ODE and 3.16 bits/dim (table 2: last checkpoint); 61.8 M parameters.

jaxgen sample --workdir=runs/vp_cifar10_ddpmpp_cont --num=64 --out=ode.png \\
  --config.sampling.solver=probability_flow --config.sampling.solver.end=1e-3 --config.sampling.finish=as_it_is

The release leaves the snr of correctors, which the run does not use, at VE's 0.16; VP's best is 0.01 (table 5), as set
here for those who add corrector=langevin.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../ve/cifar10_ncsnpp_continuous.py")
    config.data.space = call("linear")
    config.model.embedding_type = "positional"
    config.model.fir = False
    config.model.progressive_input = "none"
    config.model.scale_by_sigma = False
    config.model.centered = True
    config.sde = call("vp", beta_min=0.1, beta_max=20.0, t0=1e-5)
    config.loss.prediction = call("eps")
    config.loss.label = call("times_999")
    config.loss.reduce = call("mean")
    config.ema.decay = 0.9999
    config.sampling.solver = call("score_sde", predictor="euler_maruyama", corrector="none", snr=0.01)
    config.sampling.grid.end = 1e-3
    return config
