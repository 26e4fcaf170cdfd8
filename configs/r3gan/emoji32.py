"""R3GAN on the 32x32 emoji, class-conditional: the networks of CIFAR-10 with a third of the channels.

jaxgen train --config=configs/r3gan/emoji32.py --workdir=runs/r3gan_emoji32
jaxgen sample --workdir=runs/r3gan_emoji32 --num=36 --out=emoji.png
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive

WIDTHS, GROUPS = (256, 256, 256, 256), (32, 32, 32, 32)
BATCH = 128
STEPS = 2_500_000 // BATCH  # of the schedules


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10.py")
    config.data.dataset = "emoji32"
    config.data.flip = False
    config.generator.network = call("r3gan_generator", widths=WIDTHS, groups=GROUPS)
    config.critic.network = call("r3gan_critic", widths=WIDTHS, groups=GROUPS)
    for part in (config.generator.optimizer.learning_rate, config.generator.optimizer.b2, config.augment.probability):
        part.steps = STEPS
    for part in (config.critic.optimizer.learning_rate, config.critic.optimizer.b2, config.loss.r1, config.loss.r2):
        part.steps = STEPS
    config.loss.r1.start = config.loss.r2.start = 1.0
    config.loss.r1.end = config.loss.r2.end = 0.1
    config.ema.steps.steps = STEPS
    config.ema.steps.end = 250_000 / BATCH
    config.train.steps = STEPS
    config.train.batch_size = BATCH
    config.train.checkpoint_every = 1000
    config.train.sample_every = 1000
    config.sampling.images = 36
    return config
