"""NCSN++ (VE) on CelebA at 64 pixels (2011.13456), trained on a table of noise levels.

jaxgen train --config=configs/ve/celeba_ncsnpp.py --workdir=runs/ve_celeba_ncsnpp

Published: FID about 2.5 by its author's word (issue 10 of the release); not in the paper.

The release sets model.sigma_begin=90, which nothing reads, beside the sigma_max=90 of its defaults: here it is gone.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10_ncsnpp.py")
    config.data.update(dataset="celeb_a", center_crop=140, image_size=64, test_split="validation")
    config.sde = call("ncsn", n=1000, sigma_min=0.01, sigma_max=90.0)
    config.model.sigmas = call("geometric", n=1000, sigma_min=0.01, sigma_max=90.0)
    config.sampling.solver.snr = 0.17
    return config
