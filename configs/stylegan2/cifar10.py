"""StyleGAN2-ADA on CIFAR-10, class-conditional: FID 2.42 (Karras et al. 2020, 2006.06676, figure 11; 20.2 and 23.1
million parameters).

jaxgen train --config=configs/stylegan2/cifar10.py --workdir=runs/stylegan2_cifar10
jaxgen evaluate --workdir=runs/stylegan2_cifar10 --metrics=fid

Its tuning for this data: a shallow mapping network, a critic without residuals, a weak R1, neither style mixing nor
path length regularization. The release scales the generator's optimizer as if it had a penalty every four steps.
Activations are bfloat16 here; those of the release are float16 from 8 pixels a side up.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, default

BATCH = 64


def get_config() -> ConfigDict:
    config = default("gan")
    config.data.dataset = "cifar10"
    config.data.conditional = True
    config.generator.network = call("stylegan2_generator", layers=2, mixing=0.0, clamp=256.0)
    config.critic.network = call("stylegan2_critic", architecture="orig", group=32, clamp=256.0)
    config.critic.lazy = 16
    config.critic.optimizer = call("adam", learning_rate=2.5e-3, b1=0.0, b2=0.99)
    config.generator.optimizer = call("adam", learning_rate=2.5e-3, b1=0.0, b2=0.99, lazy=4)
    config.augment = call("ada")
    config.loss.objective = call("non_saturating")
    with config.unlocked():
        config.loss.r1 = 0.01
    config.ema = call("half_life", steps=500_000 / BATCH, ramp=0.05)
    config.train.steps = 100_000_000 // BATCH
    config.train.batch_size = BATCH
    config.train.checkpoint_every = 10_000
    config.train.sample_every = 10_000
    config.parallel.dtype = "bfloat16"
    return config
