"""NCSN (Song and Ermon 2019, 1907.05600) on CIFAR-10: ten noise levels, annealed Langevin dynamics.

jaxgen train --config=configs/ve/ncsn/cifar10.py --workdir=runs/ve_ncsn_cifar10

Published: FID 25.32, Inception score 8.87 by Song and Ermon, as 2011.13456 quotes them.

No moving average: the release gives it the rate 0. Its network cannot be built there (norms of the wrong kind, a
missing num_classes); here it is the one of the paper's own code. Without a predictor the release removes no noise, nor
does the paper.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../cifar10_ncsnpp.py")
    config.sde = call("ncsn", n=10, sigma_min=0.01, sigma_max=1.0)
    config.model = call("ncsnv1", channels=128, sigmas=call("geometric", n=10, sigma_min=0.01, sigma_max=1.0))
    config.optimizer = call("adam", learning_rate=1e-3)
    config.ema = call("none")
    config.sampling.solver = call("score_sde", predictor="none", corrector="ald", snr=0.316, corrector_steps=100)
    config.sampling.steps = 10
    return config
