"""The VP SDE trained for likelihood (Song et al. 2021, 2101.09258) on the 8x8 digits, in logit space.

jaxgen train --config=configs/vp/digits.py --workdir=runs/vp_digits
jaxgen likelihood --workdir=runs/vp_digits --split=test --divergence=exact

Measured over seeds 0-2 (experiments/digits/quality.py): 2.03-2.04 bits/dim on the 360 test images (Hutchinson); on the
first 64 of them 2.05 with the exact divergence, 2.06 with Hutchinson's. About 2 min of training on 2 quiet cores.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../digits.py")
    config.data.dequantize = True
    config.data.space = call("logit", alpha=0.02)
    config.model = call("unet", channels=32, mult=(1, 2), blocks=1, attention=(1,), dropout=0.2, embedding="fourier")
    config.sde = call("vp", beta_min=0.1, beta_max=20.0, t0=1e-5)
    config.loss.prediction = call("eps")
    config.loss.times = call("uniform_log_snr")
    config.loss.weight = call("likelihood")
    config.train.steps = 800
    config.sampling.solver = call("heun")
    config.sampling.grid = call("karras", rho=7.0)
    config.sampling.steps = 32
    return config
