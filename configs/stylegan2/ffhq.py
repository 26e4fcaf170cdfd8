"""StyleGAN2 (configuration F) on FFHQ at 1024 pixels, from the folder of its 70 000 images: FID 2.84 (Karras et al.
2020, 1912.04958, table 1); 30 and 29 million parameters.

jaxgen train --config=configs/stylegan2/ffhq.py --workdir=runs/stylegan2_ffhq
jaxgen evaluate --workdir=runs/stylegan2_ffhq --metrics=fid
jaxgen sample --workdir=runs/stylegan2_ffhq --num=16 --out=truncated.png --config.sampling.truncation=0.5
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive

BATCH = 32


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10.py")
    config.data.dataset = "data/ffhq"
    config.data.image_size = 1024
    config.data.conditional = False
    config.data.flip = True
    config.generator.network = call("stylegan2_generator")
    config.critic.network = call("stylegan2_critic")
    for player in (config.generator, config.critic):
        player.optimizer.learning_rate = 2e-3
    config.augment = call("none")
    with config.unlocked():
        config.loss.r1 = 10.0
        config.loss.path_length = 2.0
    config.ema = call("half_life", steps=10_000 / BATCH, ramp=1e3)
    config.train.steps = 25_000_000 // BATCH
    config.train.batch_size = BATCH
    config.parallel.dtype = "float32"
    return config
