"""NCSNv2 (Song and Ermon 2020, 2006.09011) on CIFAR-10: 232 noise levels, annealed Langevin dynamics.

jaxgen train --config=configs/ve/ncsnv2/cifar10.py --workdir=runs/ve_ncsnv2_cifar10

Published: FID 10.87, Inception score 8.40 by Song and Ermon, as 2011.13456 quotes them.

Without a predictor the release removes no noise; here sampling ends with that step (sampling.finish=clean). The
network is the one of the paper's own code; that of the PyTorch release cannot be built.

A JAX checkpoint of the release needs model.align_corners=False, model.unbiased=False, model.refine_mult=(2, 2, 2, 1).
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../cifar10_ncsnpp.py")
    config.sde = call("ncsn", n=232, sigma_min=0.01, sigma_max=50.0)
    config.model = call("ncsnv2_64", channels=128, sigmas=call("geometric", n=232, sigma_min=0.01, sigma_max=50.0))
    config.optimizer = call("adam", learning_rate=1e-4)
    config.sampling.solver = call("score_sde", predictor="none", corrector="ald", snr=0.176, corrector_steps=5)
    config.sampling.steps = 232
    config.sampling.finish = call("clean")
    return config
