"""DCGAN on CIFAR-10, unconditional (Radford et al. 2016, 1511.06434), whose paper reports no FID. For comparison: 28.95
of 10k images with the same loss and the residual networks of SNGAN (mimicry).

jaxgen train --config=configs/dcgan/cifar10.py --workdir=runs/dcgan_cifar10
jaxgen evaluate --workdir=runs/dcgan_cifar10 --metrics=fid
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, default


def get_config() -> ConfigDict:
    config = default("gan")
    config.data.dataset = "cifar10"
    config.generator.network = call("dcgan_generator", latent=100, widths=(512, 256, 128))
    config.critic.network = call("dcgan_critic", widths=(128, 256, 512))
    for player in (config.generator, config.critic):
        player.optimizer = call("adam", learning_rate=2e-4, b1=0.5)
    config.loss.objective = call("non_saturating")
    config.ema = call("none")
    config.train.steps = 100_000
    config.train.batch_size = 128
    config.train.checkpoint_every = 10_000
    config.train.sample_every = 10_000
    return config
