"""R3GAN on CIFAR-10, class-conditional: FID 1.96 (Huang et al. 2025, 2501.05441).

jaxgen train --config=configs/r3gan/cifar10.py --workdir=runs/r3gan_cifar10
jaxgen evaluate --workdir=runs/r3gan_cifar10 --metrics=fid
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, default

BATCH = 512
STEPS = 20_000_000 // BATCH  # of the schedules


def get_config() -> ConfigDict:
    config = default("gan")
    config.data.dataset = "cifar10"
    config.data.conditional = True
    config.data.flip = True
    config.generator.network = call("r3gan_generator")
    config.critic.network = call("r3gan_critic")
    rate = call("cosine", start=2e-4, end=5e-5, steps=STEPS)
    memory = call("cosine", start=0.9, end=0.99, steps=STEPS)
    for player in (config.generator, config.critic):
        player.optimizer = call("adam", learning_rate=rate, b1=0.0, b2=memory)
    config.augment = call("ada", color=0.5, cutout=1.0, probability=call("cosine", start=0.0, end=0.55, steps=STEPS))
    config.loss.objective = call("relativistic")
    with config.unlocked():
        config.loss.r1 = call("cosine", start=0.05, end=0.005, steps=STEPS)
        config.loss.r2 = call("cosine", start=0.05, end=0.005, steps=STEPS)
    config.ema = call("half_life", steps=call("cosine", start=0.0, end=5_000_000 / BATCH, steps=STEPS), ramp=1.0)
    config.train.steps = 200_000_000 // BATCH
    config.train.batch_size = BATCH
    config.train.checkpoint_every = 5000
    config.train.sample_every = 5000
    config.parallel.dtype = "bfloat16"
    return config
