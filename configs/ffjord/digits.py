"""FFJORD on the 8x8 digits, flattened.

jaxgen train --config=configs/ffjord/digits.py --workdir=runs/ffjord_digits
jaxgen likelihood --workdir=runs/ffjord_digits
jaxgen sample --workdir=runs/ffjord_digits --num=64 --out=digits.png

The divergence is Hutchinson's estimate in training and exact in `jaxgen likelihood`.

Not measured yet: its numbers are a first choice.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../nsf/digits.py")
    config.data.shift = 0
    config.data.center = True
    config.model = call("ffjord", widths=(128, 128), flows=1, rtol=1e-3, atol=1e-3)
    config.optimizer.learning_rate = 3e-3
    config.train.steps = 800
    config.train.batch_size = 64
    return config
