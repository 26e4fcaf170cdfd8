"""A residual flow on the 8x8 digits: two scales of four convolutional blocks, then four fully connected ones.

jaxgen train --config=configs/residual_flow/digits.py --workdir=runs/residual_flow_digits
jaxgen likelihood --workdir=runs/residual_flow_digits
jaxgen sample --workdir=runs/residual_flow_digits --num=64 --out=digits.png

Log-determinants are unbiased estimates in training and exact in `jaxgen likelihood`.

Measured with seed 0 on the 360 test images in bits/dim: 2.084 (standard error 0.013) with uniform dequantization, and
2.003 (0.012) with 20 importance-weighted draws of it; 245 s of CPU time to train, 110 s to measure. Nothing was tuned.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../nsf/digits.py")
    config.model = call("residual_flow", scales=2, blocks=4, width=32, dense_blocks=4, dense_width=128)
    config.data.shift = 0
    config.optimizer.learning_rate = 2e-3
    config.train.steps = 1000
    config.train.batch_size = 64
    return config
