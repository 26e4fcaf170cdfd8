"""The network of DDPM under the VE SDE, trained on a table, on CIFAR-10 (2011.13456).

jaxgen train --config=configs/ve/cifar10_ddpm.py --workdir=runs/ve_cifar10_ddpm

Published: FID 3.60 +- .02 (table 1: predictor-corrector with 2000 evaluations, mean of 5 runs); 4.79 +- .07 without
the corrector.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10_ncsnpp.py")
    config.model = call(
        "ddpm",
        channels=128,
        ch_mult=(1, 2, 2, 2),
        num_res_blocks=2,
        attn_resolutions=(16,),
        dropout=0.1,
        scale_by_sigma=True,
        sigmas=config.model.sigmas,
        centered=False,
    )
    return config
