"""DDPM++ cont. deep (VP) on CIFAR-10 (2011.13456): twice the blocks.

jaxgen train --config=configs/vp/cifar10_ddpmpp_deep_continuous.py --workdir=runs/vp_cifar10_ddpmpp_deep_cont

Published: FID 2.41, Inception score 9.68 (table 3: best checkpoint, Euler-Maruyama with 1000 evaluations); FID 3.08 of
the probability-flow ODE and 3.13 bits/dim (table 2: last checkpoint); 106.6 M parameters.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10_ddpmpp_continuous.py")
    config.model.num_res_blocks = 8
    config.train.steps = 950_000
    return config
