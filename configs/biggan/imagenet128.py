"""BigGAN on ImageNet at 128x128: FID 8.7, Inception score 98.8, without truncation (Brock et al. 2019,
1809.11096); 70 million parameters in the generator. A truncation psi here draws |z| <= 2 psi, with 1 for none: 0.25 is
the paper's threshold 0.5.

jaxgen train --config=configs/biggan/imagenet128.py --workdir=runs/biggan_imagenet128
jaxgen evaluate --workdir=runs/biggan_imagenet128 --metrics=fid,is
jaxgen sample --workdir=runs/biggan_imagenet128 --num=64 --out=truncated.png --config.sampling.truncation=0.25
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive

MOVES, CRITIC_MOVES = 150_000, 2  # of the generator, and of the critic for each of them
WIDTHS = (96, 192, 384, 768, 1536, 1536)  # of the critic, and of the generator from its image down


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10.py")
    config.data.dataset = "imagenet2012"
    config.data.image_size = 128
    config.data.flip = True
    config.generator.network = call("biggan_generator", latent=120, widths=WIDTHS[::-1], embedding=128, attention=(64,))
    config.critic.network = call(
        "resnet_critic", widths=WIDTHS, downs=5, wide=True, attention=(64,), kernel_init="orthogonal"
    )
    config.generator.every = CRITIC_MOVES
    config.generator.optimizer.learning_rate = 5e-5
    config.loss.orthogonal = 1e-4
    config.ema.steps.values = (0.0, 6931.0 * CRITIC_MOVES)
    config.ema.steps.boundaries = (20_000 * CRITIC_MOVES,)
    config.train.steps = MOVES * CRITIC_MOVES
    config.train.batch_size = 2048
    return config
