"""The KL-regularized autoencoder f8 of latent diffusion on ImageNet at 256 pixels (Rombach et al. 2022, 2112.10752),
with four channels: the network of Stable Diffusion's, 83 653 863 parameters.

Needs torchvision's vgg16-397923af.pth and LPIPS's vgg.pth in the folder weights.

jaxgen train --config=configs/vqgan/imagenet_kl_f8.py --workdir=runs/kl_f8
jaxgen evaluate --workdir=runs/kl_f8 --metrics=reconstruction
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "imagenet_f16.py")
    config.model = call("vqgan", quantizer=call("gaussian", dim=4), multipliers=(1, 2, 4, 4), attention=())
    config.critic.start = 50_000
    with config.unlocked():
        config.loss.adversarial = 0.5
        config.loss.quantizer = 1e-6 / (8 * 8 * 3)  # of the sum over pixels, against a mean over them
    return config
