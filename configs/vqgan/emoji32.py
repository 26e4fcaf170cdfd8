"""A small VQGAN on the 32x32 emoji: 8x8 codes of 256, judged in patches, without a perceptual network.

jaxgen train --config=configs/vqgan/emoji32.py --workdir=runs/vqgan_emoji32
jaxgen evaluate --workdir=runs/vqgan_emoji32 --metrics=reconstruction
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, default


def get_config() -> ConfigDict:
    config = default("autoencoder")
    config.data.dataset = "emoji32"
    quantizer = call("moving_average", size=256, dim=16, decay=0.95, restart=0.1)
    config.model = call(
        "vqgan", quantizer=quantizer, width=32, multipliers=(1, 2, 2), blocks=1, attention=(2,), groups=8
    )
    config.critic.network = call("patchgan", width=32, layers=2)
    config.critic.optimizer = call("adam", learning_rate=4e-4, b1=0.5, b2=0.9)
    config.critic.start = 1000
    config.loss.reconstruction = call("l1")
    with config.unlocked():
        config.loss.adversarial = 0.2
    config.train.steps = 3000
    # The codebook is that of the encoder that trains: as its learning rate goes to 0, the average meets it.
    config.optimizer = call("adam", learning_rate=4e-4, b1=0.5, b2=0.9, decay_steps=config.train.steps)
    config.ema = call("warm", decay=0.999)
    config.train.batch_size = 64
    return config
