"""Rectified flow (Liu et al. 2022; Lipman et al. 2022) on the 8x8 digits; DDIM along it is Euler's method.

jaxgen train --config=configs/flow/digits.py --workdir=runs/flow_digits
jaxgen evaluate --workdir=runs/flow_digits --metrics=fd,prdc,nn
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../digits.py")
    config.model = call("mlp", width=512, blocks=4, dropout=0.1, embedding="fourier")
    config.sde = call("rectified_flow")
    config.loss.prediction = call("velocity")
    config.loss.times = call("uniform")
    config.train.steps = 3000
    config.sampling.solver = call("ddim")
    config.sampling.grid = call("uniform")
    config.sampling.steps = 50
    return config
