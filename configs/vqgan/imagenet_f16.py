"""VQGAN f16 with 16 384 codes on ImageNet at 256 pixels (Esser et al. 2021, 2012.09841), whose release has a
reconstruction FID of 4.98 on the validation set; the second command prints PSNR and the use of the codes there.

Needs torchvision's vgg16-397923af.pth and LPIPS's vgg.pth in the folder weights, to train.

jaxgen train --config=configs/vqgan/imagenet_f16.py --workdir=runs/vqgan_f16
jaxgen evaluate --workdir=runs/vqgan_f16 --metrics=reconstruction
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, default


def get_config() -> ConfigDict:
    config = default("autoencoder")
    config.data.dataset = "imagenet2012"
    config.data.test_split = "validation"
    config.data.image_size = 256
    config.data.flip = True
    quantizer = call("vector", size=16384, dim=256, beta=0.25)
    config.model = call("vqgan", quantizer=quantizer)
    config.critic.network = call("patchgan")
    config.critic.start = 250_000
    config.loss.reconstruction = call("l1")
    config.loss.features = call("lpips", vgg="weights/vgg16-397923af.pth", linear="weights/vgg.pth")
    with config.unlocked():
        config.loss.perceptual = 1.0
        config.loss.adversarial = 0.8
    config.optimizer = config.critic.optimizer = call("adam", learning_rate=4.5e-6 * 96, b1=0.5, b2=0.9)
    config.ema = call("none")
    config.train.steps = 1_000_000
    config.train.batch_size = 96
    return config
