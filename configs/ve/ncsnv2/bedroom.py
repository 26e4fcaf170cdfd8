"""NCSNv2 (Song and Ermon 2020, 2006.09011) on LSUN bedrooms at 128 pixels: 1086 noise levels, Langevin dynamics.

jaxgen train --config=configs/ve/ncsnv2/bedroom.py --workdir=runs/ve_ncsnv2_bedroom

Published: no figure in 2011.13456.

The release writes training.continuouse=False, so that a network that knows indices alone is trained in continuous time;
here it is trained on its table.

A JAX checkpoint of the release needs model.align_corners=False and model.unbiased=False.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10.py")
    config.data.update(dataset="lsun/bedroom", image_size=128, test_split="validation")
    config.sde = call("ncsn", n=1086, sigma_min=0.01, sigma_max=190.0)
    config.model = call("ncsnv2_128", channels=128, sigmas=call("geometric", n=1086, sigma_min=0.01, sigma_max=190.0))
    config.ema.decay = 0.9999
    config.train.steps = 2_400_000
    config.train.checkpoint_every = 5000
    config.sampling.solver.snr = 0.095
    config.sampling.solver.corrector_steps = 3
    config.sampling.steps = 1086
    config.sampling.batch_size = 512
    return config
