"""The projection cGAN on CIFAR-10, class-conditional: FID 10.84, Inception score 8.25 (mimicry, 50k images each; the
model of Miyato and Koyama 2018, 1802.05637).

jaxgen train --config=configs/sngan/cifar10_projection.py --workdir=runs/projection_cifar10
jaxgen evaluate --workdir=runs/projection_cifar10 --metrics=fid,is
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10.py")
    config.data.conditional = True
    return config
