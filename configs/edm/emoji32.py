"""Class-conditional EDM with a U-Net on the 32x32 emoji, with classifier-free guidance.

jaxgen train --config=configs/edm/emoji32.py --workdir=runs/emoji32
jaxgen sample --workdir=runs/emoji32 --num=36 --guidance=2 --out=emoji.png
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, default


def get_config() -> ConfigDict:
    config = default()
    config.data.dataset = "emoji32"
    config.data.conditional = True
    config.loss.drop_condition = 0.1
    config.model = call("unet", channels=64, mult=(1, 2, 2), blocks=2, attention=(2,), dropout=0.1, embedding="fourier")
    config.sde = call("edm", sigma_min=0.002, sigma_max=80.0)
    config.loss.prediction = call("edm_output")
    config.loss.times = call("lognormal", mean=-1.2, std=1.2)
    config.loss.label = call("quarter_log_sigma")
    config.loss.scale_in = call("unit_variance")
    config.train.steps = 20000
    config.train.batch_size = 64
    config.train.checkpoint_every = 1000
    config.train.sample_every = 1000
    config.optimizer = call(
        "adam", learning_rate=5e-4, b2=0.99, clip=1.0, decay_steps=config.train.get_oneway_ref("steps")
    )
    config.ema = call("warm", decay=0.9995)
    config.sampling.solver = call("heun")
    config.sampling.grid = call("karras", rho=7.0)
    config.sampling.steps = 18
    config.sampling.guidance = 2.0
    config.sampling.images = 36
    return config
