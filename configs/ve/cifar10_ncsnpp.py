"""NCSN++ (VE) on CIFAR-10 (2011.13456), trained on a table of a thousand noise levels.

jaxgen train --config=configs/ve/cifar10_ncsnpp.py --workdir=runs/ve_cifar10_ncsnpp

Published: FID 2.45, Inception score 9.73 (table 3: best checkpoint, predictor-corrector with 2000 evaluations); 62.7 M
parameters.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10_ncsnpp_continuous.py")
    config.sde = call("ncsn", n=1000, sigma_min=0.01, sigma_max=50.0)
    config.loss.label = call("reversed_index")
    config.model.embedding_type = "positional"
    config.model.sigmas = call("geometric", n=1000, sigma_min=0.01, sigma_max=50.0)
    return config
