"""The sub-VP SDE trained for likelihood (Song et al. 2021, 2101.09258) on the 8x8 digits, in logit space.

jaxgen train --config=configs/subvp/digits.py --workdir=runs/subvp_digits
jaxgen likelihood --workdir=runs/subvp_digits --split=test --divergence=exact

Measured over seeds 0-2 (experiments/digits/quality.py): 2.08-2.09 bits/dim on the 360 test images (Hutchinson); on the
first 64 of them 2.12 with the exact divergence, 2.13 with Hutchinson's. About 2 min of training on 2 quiet cores.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../vp/digits.py")
    config.sde = call("subvp", beta_min=0.1, beta_max=20.0, t0=1e-5)
    return config
