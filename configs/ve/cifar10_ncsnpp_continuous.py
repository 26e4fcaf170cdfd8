"""NCSN++ cont. (VE) on CIFAR-10, as published by Song et al. 2021 (2011.13456): the root of the published runs.

jaxgen train --config=configs/ve/cifar10_ncsnpp_continuous.py --workdir=runs/ve_cifar10_ncsnpp_cont

Published: FID 2.38, Inception score 9.83 (table 3: best checkpoint, predictor-corrector with 2000 evaluations); 62.8 M
parameters. The paper says .95 M steps, its released configuration 1.3 M, as here.

The best of the checkpoints that train.keep_every keeps is found by `jaxgen evaluate --step=N --metrics=fid ...`. As in
the release, samples are truncated to levels, not rounded, and a likelihood is that of 256 equal bins of [0, 255], which
are not centered on their levels.

The PyTorch release averages with `ema=warm`. Its n_iters counts step 0; train.steps does not.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, default


def get_config() -> ConfigDict:
    config = default()
    config.seed = 42
    config.data.dataset = "cifar10"
    config.data.flip = True
    config.data.space = call("linear", low=0.0, high=1.0)
    config.model = call(
        "ncsnpp",
        channels=128,
        ch_mult=(1, 2, 2, 2),
        num_res_blocks=4,
        attn_resolutions=(16,),
        dropout=0.1,
        embedding_type="fourier",
        fourier_scale=16.0,
        fir=True,
        skip_rescale=True,
        resblock_type="biggan",
        progressive="none",
        progressive_input="residual",
        scale_by_sigma=True,
        centered=False,
    )
    config.sde = call("ve", sigma_min=0.01, sigma_max=50.0, t0=1e-5)
    config.loss.prediction = call("score")
    config.loss.weight = call("eps_matching")
    config.loss.label = call("noise_level")
    config.loss.scale_in = call("one")
    config.loss.reduce = call("half_total")
    config.optimizer = call("adam", learning_rate=2e-4, warmup=5000, clip=1.0, b1=0.9, b2=0.999, eps=1e-8)
    config.ema = call("constant", decay=0.999)
    config.train.steps = 1_300_000
    config.train.batch_size = 128
    config.train.checkpoint_every = 10_000
    config.train.sample_every = 50_000
    config.train.keep_every = 50_000
    config.sampling.solver = call("score_sde", predictor="reverse_diffusion", corrector="langevin", snr=0.16)
    config.sampling.grid = call("score_sde", end=1e-5)
    config.sampling.steps = 1000
    config.sampling.finish = call("last_mean")
    config.sampling.levels = call("truncated")
    config.sampling.batch_size = 1024
    config.likelihood.bins = call("score_sde")
    config.likelihood.draws = 5
    return config
