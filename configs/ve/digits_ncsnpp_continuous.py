"""NCSN++ cont. (VE) in miniature, on the 8x8 digits: the pipeline of the CIFAR-10 run in minutes on a CPU.

jaxgen train --config=configs/ve/digits_ncsnpp_continuous.py --workdir=runs/ve_digits_mini
python experiments/score_sde/table.py --scale=digits --runs=runs/score_sde_digits

The network is narrow; levels are dequantized in training, because there are 17 of them and not 256; sigma_max is the
largest distance between two training images (2006.09011 technique 1); the rate and the average suit a short run.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10_ncsnpp_continuous.py")
    digits = derive(__file__, "../digits.py")
    config.data.dataset = digits.data.dataset
    config.data.flip = False
    config.data.dequantize = True
    config.model.channels = 16
    config.model.ch_mult = (1, 2)
    config.model.num_res_blocks = 1
    config.model.attn_resolutions = (4,)
    config.sde.sigma_max = 4.8
    config.seed, config.optimizer, config.ema, config.train = digits.seed, digits.optimizer, digits.ema, digits.train
    config.train.steps = 2000
    config.train.sample_every = 0
    config.likelihood.draws = 1
    return config
