"""NCSN++ cont. (VE) on LSUN bedrooms at 256 pixels (2011.13456 appendix H.3).

jaxgen train --config=configs/ve/bedroom_ncsnpp_continuous.py --workdir=runs/ve_bedroom_ncsnpp_cont

Published: samples only; 65.6 M parameters.

Images are resampled by Lanczos, in the release by a cubic.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10_ncsnpp_continuous.py")
    config.data.update(dataset="lsun/bedroom", image_size=256, test_split="validation")
    config.model.ch_mult = (1, 1, 2, 2, 2, 2, 2)
    config.model.num_res_blocks = 2
    config.model.dropout = 0.0
    config.model.progressive = "output_skip"
    config.model.progressive_input = "input_skip"
    config.sde.sigma_max = 378.0
    config.train.steps = 2_400_000
    config.train.batch_size = 64
    config.train.checkpoint_every = 5000
    config.sampling.solver.snr = 0.075
    config.sampling.steps = 2000
    config.sampling.batch_size = 512
    return config
