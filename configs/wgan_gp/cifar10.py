"""WGAN-GP on CIFAR-10, unconditional: FID 22.29, Inception score 7.33 (mimicry, 50k images each; the model of Gulrajani
et al. 2017, 1704.00028).

jaxgen train --config=configs/wgan_gp/cifar10.py --workdir=runs/wgan_gp_cifar10
jaxgen evaluate --workdir=runs/wgan_gp_cifar10 --metrics=fid,is
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../sngan/cifar10.py")
    config.critic.network = call("resnet_critic", spectral=False, pool="mean")
    config.loss.objective = call("wasserstein")
    config.loss.gradient_penalty = 10.0
    return config
