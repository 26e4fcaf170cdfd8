"""A configuration that trains in seconds, for tests of the command line."""

from ml_collections import ConfigDict

from jaxgen.configuration import call, default


def get_config() -> ConfigDict:
    config = default()
    config.model = call("mlp", width=16, blocks=1, dropout=0.1, embedding="fourier")
    config.sde = call("edm")
    config.loss.prediction = call("edm_output")
    config.loss.times = call("lognormal")
    config.train.steps = 6
    config.train.batch_size = 16
    config.train.log_every = 1
    config.train.checkpoint_every = 2
    config.train.sample_every = 0
    config.optimizer = call("adam", learning_rate=1e-3, clip=1.0, decay_steps=100)
    config.sampling.steps = 4
    config.sampling.images = 4
    return config
