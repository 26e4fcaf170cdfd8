"""RealNVP for vectors on the 8x8 digits: eight affine couplings of residual networks, with linear maps between them.

jaxgen train --config=configs/realnvp/digits.py --workdir=runs/realnvp_digits
jaxgen likelihood --workdir=runs/realnvp_digits --draws=4
jaxgen sample --workdir=runs/realnvp_digits --num=64 --temperature=0.8 --out=digits.png

Measured over seeds 0-2 on the 360 test images in bits/dim: 2.078, 2.079, 2.074 with uniform dequantization, and 1.986,
1.986, 1.983 with 20 importance-weighted draws of it; 57 s of CPU time to train. Dropout, logit space and the number of
steps were chosen on the last 180 training images. configs/realnvp/digits_multiscale.py is the published form.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../nsf/digits.py")
    config.model = call("tabular_flow", transform=call("affine"), steps=8, width=128, blocks=2, dropout=0.1)
    config.train.steps = 1000
    return config
