"""A noise-conditional classifier of the 8x8 digits (Song et al. 2021, appendix I.1), which guides edm/digits_mlp.

jaxgen train --config=configs/classifier/digits.py --workdir=runs/classifier_digits
jaxgen evaluate --workdir=runs/classifier_digits
jaxgen sample --workdir=runs/digits --classifier=runs/classifier_digits --label=3 --scale=2 --out=threes.png

Measured, seed 0: 96% of the 360 test images right without noise, 77% at sigma 1, 43% at 2, 17% at 10; about 2 min of
training on 2 cores. Of 500 samples of edm/digits_mlp the 5 nearest training images say the wanted class for 9% without
guidance, 72% at scale 1, 93% at 2 and 99% at 4; FDpix 0.087, 0.103, 0.100, 0.184, all classes alike.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../edm/digits_mlp.py")  # the model that it guides: the same process and model space
    config.family = "classifier"
    config.data.conditional = True
    config.model = call("wideresnet", depth=10, widen=2, dropout=0.1, fourier_scale=1.0)
    config.loss.times = call("lognormal", mean=-0.4, std=1.6)
    config.loss.label = call("noise_level")
    config.loss.scale_in = call("one")
    config.train.steps = 800
    return config
