"""NCSNv2 (Song and Ermon 2020, 2006.09011) on CelebA at 64 pixels: 500 noise levels, annealed Langevin dynamics.

jaxgen train --config=configs/ve/ncsnv2/celeba.py --workdir=runs/ve_ncsnv2_celeba

Published: no figure in 2011.13456.

A JAX checkpoint of the release needs model.align_corners=False, model.unbiased=False, model.refine_mult=(2, 2, 2, 1).
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10.py")
    config.data.update(dataset="celeb_a", center_crop=140, image_size=64, test_split="validation")
    config.sde = call("ncsn", n=500, sigma_min=0.01, sigma_max=90.0)
    config.model.sigmas = call("geometric", n=500, sigma_min=0.01, sigma_max=90.0)
    config.sampling.solver.snr = 0.128
    config.sampling.steps = 500
    return config
