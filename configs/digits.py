"""What the runs on the 8x8 digits share: data, batch, optimizer and moving average."""

from ml_collections import ConfigDict

from jaxgen.configuration import call, default


def get_config() -> ConfigDict:
    config = default()
    config.data.dataset = "digits"
    config.train.batch_size = 128
    config.optimizer = call(
        "adam", learning_rate=1e-3, b2=0.99, clip=1.0, decay_steps=config.train.get_oneway_ref("steps")
    )
    config.ema = call("warm", decay=0.999)
    return config
