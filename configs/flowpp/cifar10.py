"""Flow++ on CIFAR-10, with variational dequantization (Ho et al. 2019).

jaxgen train --config=configs/flowpp/cifar10.py --workdir=runs/flowpp_cifar10
jaxgen likelihood --workdir=runs/flowpp_cifar10

Published: 3.08 bits/dim with 31.4M parameters (table 1 and section 4; the figure is not checked here). Not run here.
Networks, their 31,443,440 parameters, logit space, optimizer and average are those of the authors' code, which measures
a first batch of 128 images. The number of steps and the flips are this file's; what else differs stands in
jaxgen/models/flows/flowpp.py.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, default


def get_config() -> ConfigDict:
    config = default("flow")
    config.data.dataset = "cifar10"
    config.data.flip = True
    config.data.dequantize = True
    config.data.space = call("logit", alpha=0.05)
    config.model = call("flowpp", width=96, blocks=10, heads=4, components=32, dropout=0.2)
    config.dequantizer = call(
        "flowpp_dequantizer", number=4, width=96, blocks=2, heads=4, components=32, features=32, dropout=0.2
    )
    config.optimizer = call("adam", learning_rate=3e-4, warmup=2000, clip=1.0)
    config.ema = call("constant", decay=0.999)
    config.train.steps = 700_000
    config.train.batch_size = 64
    config.train.log_every = 100
    config.train.checkpoint_every = 5000
    config.train.sample_every = 5000
    config.parallel.remat = True
    return config
