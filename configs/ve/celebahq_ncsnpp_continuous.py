"""NCSN++ cont. (VE) on CelebA-HQ at 1024 pixels (2011.13456 appendix H.3), from the folder of its 30 000 images.

jaxgen train --config=configs/ve/celebahq_ncsnpp_continuous.py --workdir=runs/ve_celebahq_ncsnpp_cont

Published: samples only; 105.8 M parameters.

The release's file imports PyTorch and lacks n_jitted_steps, so that its own JAX code cannot run it. Images are sampled
8 at a time here, there 1024.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "celebahq_256_ncsnpp_continuous.py")
    config.data.image_size = 1024
    config.model.channels = 16
    config.model.ch_mult = (1, 2, 4, 8, 16, 32, 32, 32)
    config.model.num_res_blocks = 1
    config.sde.sigma_max = 1348.0
    config.ema.decay = 0.9999
    config.train.batch_size = 8
    config.sampling.solver.snr = 0.15
    config.sampling.batch_size = 8
    config.sampling.images = 8
    return config
