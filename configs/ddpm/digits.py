"""DDPM (Ho et al. 2020): a thousand noise levels, the simple loss, ancestral sampling, on the 8x8 digits.

jaxgen train --config=configs/ddpm/digits.py --workdir=runs/ddpm_digits
jaxgen evaluate --workdir=runs/ddpm_digits --metrics=fd,prdc,nn
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../digits.py")
    config.model = call("mlp", width=512, blocks=4, dropout=0.1, embedding="positional")
    config.sde = call("ddpm", n=1000)
    config.loss.prediction = call("eps")
    config.loss.label = call("fractional_index")
    config.loss.scale_in = call("one")
    config.train.steps = 3000
    config.sampling.solver = call("ancestral")
    config.sampling.grid = call("indices")
    config.sampling.steps = 1000
    return config
