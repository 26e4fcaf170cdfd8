"""NCSN++ cont. deep (VE) on CIFAR-10 (2011.13456): twice the blocks.

jaxgen train --config=configs/ve/cifar10_ncsnpp_deep_continuous.py --workdir=runs/ve_cifar10_ncsnpp_deep_cont

Published: FID 2.20, Inception score 9.89 (table 3: best checkpoint, predictor-corrector with 2000 evaluations); 107.6 M
parameters.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10_ncsnpp_continuous.py")
    config.model.num_res_blocks = 8
    config.train.steps = 950_000
    return config
