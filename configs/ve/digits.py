"""The VE SDE with predictor-corrector sampling (Song et al. 2021, algorithm 2) on the 8x8 digits.

jaxgen train --config=configs/ve/digits.py --workdir=runs/ve_digits
jaxgen evaluate --workdir=runs/ve_digits --metrics=fd,prdc,nn
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../digits.py")
    config.data.space = call("linear", low=0.0, high=1.0)
    config.model = call("mlp", width=512, blocks=4, dropout=0.1, embedding="fourier")
    config.sde = call("ve", sigma_min=0.01, sigma_max=10.0)
    config.loss.prediction = call("eps")
    config.train.steps = 3000
    config.sampling.solver = call(
        "predictor_corrector", predictor=call("reverse_diffusion"), corrector=call("langevin", snr=0.16)
    )
    config.sampling.grid = call("uniform")
    config.sampling.steps = 500
    return config
