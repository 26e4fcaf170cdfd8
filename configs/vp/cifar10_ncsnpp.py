"""The network of NCSN++ under the VP SDE on CIFAR-10 (2011.13456), trained on the table of DDPM.

jaxgen train --config=configs/vp/cifar10_ncsnpp.py --workdir=runs/vp_cifar10_ncsnpp

Published: no number.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10_ddpmpp.py")
    config.model.fir = True
    config.model.progressive_input = "residual"
    config.sampling.solver.predictor = "reverse_diffusion"
    return config
