"""NVAE on CIFAR-10 (Vahdat and Kautz 2020): thirty groups at 16x16, without normalizing flows in q.

jaxgen train --config=configs/nvae/cifar10.py --workdir=runs/nvae_cifar10
jaxgen likelihood --workdir=runs/nvae_cifar10

Published: 2.93 bits/dim without flows, 2.91 with. Not run here.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, default

EPOCHS, BATCH, IMAGES = 400, 256, 50_000
DIMENSIONS = 32 * 32 * 3  # the loss is in nats a dimension, published weights are of one in nats an image


def get_config() -> ConfigDict:
    config = default("hierarchical_vae")
    config.data.dataset = "cifar10"
    config.data.flip = True
    config.model = call("nvae", groups=(30,), channels=128, latent=20, halvings=1, cells=2, cells_per_group=2)
    config.train.steps = EPOCHS * IMAGES // BATCH
    config.train.batch_size = BATCH
    config.train.log_every = 100
    config.train.checkpoint_every = 2000
    config.train.sample_every = 2000
    warm = 3 * config.train.steps // 10
    config.loss.likelihood = call("discretized_logistic_mixture", mixtures=10)
    config.loss.beta = call("linear", start=1e-4, end=1.0, steps=warm)
    config.loss.balance = warm
    config.loss.spectral = 1e-2 / DIMENSIONS
    first = 5 * IMAGES // BATCH
    config.optimizer = call(
        "adamax",
        learning_rate=call("cosine", start=1e-2, end=1e-4, steps=config.train.steps - first),
        warmup=first,
        eps=1e-3 / DIMENSIONS,
        weight_decay=3e-4 / DIMENSIONS,
    )
    config.ema = call("constant", decay=0.9999)
    config.parallel.remat = True
    config.likelihood.importance = 16
    return config
