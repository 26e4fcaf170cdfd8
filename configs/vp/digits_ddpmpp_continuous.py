"""DDPM++ cont. (VP) in miniature, on the 8x8 digits: the pipeline of the CIFAR-10 run in minutes on a CPU.

jaxgen train --config=configs/vp/digits_ddpmpp_continuous.py --workdir=runs/vp_digits_mini
python experiments/score_sde/table.py --scale=digits --runs=runs/score_sde_digits

What is smaller, and why, is said in configs/ve/digits_ncsnpp_continuous.py.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10_ddpmpp_continuous.py")
    small = derive(__file__, "../ve/digits_ncsnpp_continuous.py")
    for section in ("seed", "optimizer", "ema", "train", "likelihood"):
        config[section] = small[section]
    for key in ("dataset", "flip", "dequantize"):
        config.data[key] = small.data[key]
    for key in ("channels", "ch_mult", "num_res_blocks", "attn_resolutions"):
        config.model[key] = small.model[key]
    return config
