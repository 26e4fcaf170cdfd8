"""VDVAE on CIFAR-10 (Child 2021): 39 M parameters, 43 groups.

jaxgen train --config=configs/vdvae/cifar10.py --workdir=runs/vdvae_cifar10 --config.parallel.dtype=bfloat16
jaxgen likelihood --workdir=runs/vdvae_cifar10

Published: 2.87 bits/dim on the test images (variational bound; 2.84 to 2.90 over four seeds). Not run here.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, default


def get_config() -> ConfigDict:
    config = default("hierarchical_vae")
    config.data.dataset = "cifar10"
    config.model = call(
        "vdvae",
        encoder="32x11,32d2,16x6,16d2,8x6,8d2,4x3,4d4,1x3",
        decoder="1x1,4m1,4x2,8m4,8x5,16m8,16x10,32m16,32x21",
        width=384,
        bottleneck=0.25,
        latent=16,
        mean=115.93 / 127.5 - 1,  # of the training images
        std=69.37 / 127.5,
    )
    config.loss.likelihood = call("discretized_logistic_mixture", mixtures=10)
    # The loss is in nats a dimension: clipping and skipping are of its gradient.
    config.optimizer = call(
        "adam",
        learning_rate=2e-4,
        b1=0.9,
        b2=0.9,
        weight_decay=0.01,
        decay_vectors=True,
        warmup=100,
        clip=200.0,
        skip=400.0,
    )
    config.ema = call("constant", decay=0.9999)
    config.train.steps = 1_000_000
    config.train.batch_size = 32
    config.train.log_every = 500
    config.train.checkpoint_every = 10_000
    config.train.sample_every = 10_000
    config.sampling.batch_size = 64
    config.likelihood.importance = 16
    return config
