"""BigGAN on CIFAR-10, class-conditional: FID 14.73, Inception score 9.22 (Brock et al. 2019, 1809.11096).

jaxgen train --config=configs/biggan/cifar10.py --workdir=runs/biggan_cifar10
jaxgen evaluate --workdir=runs/biggan_cifar10 --metrics=fid,is

The values are those of the authors' PyTorch release: 500 epochs of moves of the generator, for each of which the critic
makes four. At this size no block is told a piece of z, and no embedding is shared between blocks.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, default

BATCH, CRITIC_MOVES = 50, 4
MOVES = 500 * 50_000 // (BATCH * CRITIC_MOVES)  # of the generator
NORMAL = call("normal", std=0.02)


def get_config() -> ConfigDict:
    config = default("gan")
    config.data.dataset = "cifar10"
    config.data.conditional = True
    widths = (256, 256, 256, 256)
    config.generator.network = call("resnet_generator", latent=128, widths=widths, spectral=True, kernel_init=NORMAL)
    config.critic.network = call("resnet_critic", widths=widths, downs=2, wide=True, kernel_init=NORMAL)
    config.generator.every = CRITIC_MOVES
    for player in (config.generator, config.critic):
        player.optimizer = call("adam", learning_rate=2e-4, b1=0.0, b2=0.999)
    config.loss.objective = call("hinge")
    # The average of the generator starts after 1000 of its moves, with the half-life of a decay of 0.9999 for each.
    started = call("piecewise", values=(0.0, 6931.0 * CRITIC_MOVES), boundaries=(1000 * CRITIC_MOVES,))
    config.ema = call("half_life", steps=started, ramp=1e3)
    config.train.steps = MOVES * CRITIC_MOVES
    config.train.batch_size = BATCH
    config.train.checkpoint_every = 10_000
    config.train.sample_every = 10_000
    config.sampling.standing = 16
    return config
