"""SNGAN on CIFAR-10, unconditional: FID 16.77, Inception score 7.97 (mimicry, 50k images each; Miyato et al. 2018,
1802.05957: FID 21.7 of 5k images against 10k).

jaxgen train --config=configs/sngan/cifar10.py --workdir=runs/sngan_cifar10
jaxgen evaluate --workdir=runs/sngan_cifar10 --metrics=fid,is

A step moves the critic; the generator moves at every fifth, 100 000 times.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, default

MOVES, CRITIC_MOVES = 100_000, 5  # of the generator, and of the critic for each of them


def get_config() -> ConfigDict:
    config = default("gan")
    config.data.dataset = "cifar10"
    config.generator.network = call("resnet_generator", latent=128, widths=(256, 256, 256, 256))
    config.critic.network = call("resnet_critic", widths=(128, 128, 128, 128), downs=2)
    config.generator.every = CRITIC_MOVES
    for player, moves in ((config.generator, MOVES), (config.critic, MOVES * CRITIC_MOVES)):
        rate = call("linear", start=2e-4, end=0.0, steps=moves)
        player.optimizer = call("adam", learning_rate=rate, b1=0.0, b2=0.9)
    config.loss.objective = call("hinge")
    config.ema = call("none")
    config.train.steps = MOVES * CRITIC_MOVES
    config.train.batch_size = 64
    config.train.checkpoint_every = 10_000
    config.train.sample_every = 10_000
    return config
