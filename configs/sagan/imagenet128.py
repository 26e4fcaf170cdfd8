"""SAGAN on ImageNet at 128x128, class-conditional: FID 18.65, Inception score 52.52 (Zhang et al. 2019, 1805.08318).

jaxgen train --config=configs/sagan/imagenet128.py --workdir=runs/sagan_imagenet128
jaxgen evaluate --workdir=runs/sagan_imagenet128 --metrics=fid,is

Each player moves once a step, the critic at four times the rate (TTUR).
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, default

WIDTHS = (64, 128, 256, 512, 1024, 1024)  # of the critic, and of the generator from its image down


def get_config() -> ConfigDict:
    config = default("gan")
    config.data.dataset = "imagenet2012"
    config.data.image_size = 128
    config.data.conditional = True
    config.generator.network = call("resnet_generator", latent=128, widths=WIDTHS[::-1], spectral=True, attention=(64,))
    config.critic.network = call("resnet_critic", widths=WIDTHS, downs=5, wide=True, attention=(64,))
    for player, rate in ((config.generator, 1e-4), (config.critic, 4e-4)):
        player.optimizer = call("adam", learning_rate=rate, b1=0.0, b2=0.9)
    config.loss.objective = call("hinge")
    config.ema = call("constant", decay=0.9999)
    config.train.steps = 1_000_000
    config.train.batch_size = 256
    config.train.checkpoint_every = 10_000
    config.train.sample_every = 10_000
    return config
