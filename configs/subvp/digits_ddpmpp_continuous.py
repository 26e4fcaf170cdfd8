"""DDPM++ cont. (sub-VP) in miniature, on the 8x8 digits: the pipeline of the CIFAR-10 run in minutes on a CPU.

jaxgen train --config=configs/subvp/digits_ddpmpp_continuous.py --workdir=runs/subvp_digits_mini
python experiments/score_sde/table.py --scale=digits --runs=runs/score_sde_digits

What is smaller, and why, is said in configs/ve/digits_ncsnpp_continuous.py.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../vp/digits_ddpmpp_continuous.py")
    config.sde = derive(__file__, "cifar10_ddpmpp_continuous.py").sde
    return config
