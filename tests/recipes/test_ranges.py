"""Every number of a configuration lies in its range, every name is of its kind, or one sentence says so."""

import pytest

from jaxgen.configuration import call, default, override
from jaxgen.data import describe
from jaxgen.recipes import Statistics, build

DIGITS = describe("digits", "train", None, None, None)
BOTTLENECK = {"vae": "encoder", "autoencoder": "model.quantizer"}
REFUSED = {
    "vae": {
        "loss.free_bits=abc": "config.loss.free_bits must be float or None, got 'abc'",
        "loss.free_bits=-1": "config.loss.free_bits must be at least 0, got -1",
        "loss.estimator=iwae loss.estimator.samples=0": "samples of loss.estimator iwae must be at least 1, got 0",
        "loss.likelihood=gaussian loss.likelihood.scale=0": "scale of loss.likelihood gaussian must be greater than 0",
        "loss.likelihood=gaussian loss.likelihood.scale=-1": "must be greater than 0, got -1.0",
        "loss.likelihood=logit_laplace data.dequantize=true data.space=logit": "is a density in [-1, 1]",
        "loss.likelihood=discretized_logistic_mixture loss.likelihood.mixtures=0": "mixtures of loss.likelihood",
        "encoder.latent=0": "latent of encoder mlp_encoder must be at least 1, got 0",
        "encoder.width=0": "width of encoder mlp_encoder must be at least 1, got 0",
        "decoder.dropout=1.5": "dropout of decoder mlp_decoder must be in [0, 1), got 1.5",
        "encoder=conv_encoder encoder.widths=()": "widths of encoder conv_encoder must hold one number at least",
        "encoder=conv_encoder encoder.widths=('a','b')": "of encoder conv_encoder must be int, got 'a'",
        "encoder=vdvae": "encoder=vdvae is no encoder: take encoder=mlp_encoder or conv_encoder",
        "optimizer.b1=1.0": "b1 of optimizer adam must be in [0, 1), got 1.0",
        "optimizer.warmup=-5": "warmup of optimizer adam must be at least 0, got -5",
        "ema.decay=1.0": "decay of ema constant must be in [0, 1), got 1.0",
        "loss.beta=1.0 loss.estimator=iwae loss.estimator.samples=2.5": "samples of loss.estimator iwae must be int",
    },
    "hierarchical_vae": {
        "loss.balance=abc": "config.loss.balance must be int or None, got 'abc'",
        "model.std=0": "std of model vdvae must be greater than 0, got 0",
        "model=nvae model.groups=()": "groups of model nvae must hold one number at least, got none",
        "model=nvae model.groups=(0,)": "groups of model nvae must be at least 1, got (0,)",
        "model=nvae model.cells=0": "cells of model nvae must be at least 1, got 0",
        "model=mlp_encoder": "model=mlp_encoder is no ladder: take model=vdvae or nvae",
        "sampling.temperature=-1": "config.sampling.temperature must be at least 0, got -1",
    },
    "autoencoder": {
        "model.quantizer=vector model.quantizer.size=0": "size of model.quantizer vector must be at least 1, got 0",
        "model.quantizer.size=0": "size of model.quantizer moving_average must be at least 1, got 0",
        "model.quantizer.decay=1.0": "decay of model.quantizer moving_average must be in [0, 1), got 1.0",
        "model.quantizer.decay=2.0": "must be in [0, 1), got 2.0",
        "model.quantizer=finite_scalar model.quantizer.levels=()": "must hold one number at least, got none",
        "model.quantizer=finite_scalar model.quantizer.levels=(8.5,5)": "finite_scalar must be int, got 8.5",
        "model.quantizer=lookup_free model.quantizer.bits=0": "bits of model.quantizer lookup_free must be",
        "model.quantizer=residual model.quantizer.quantizer=vector model.quantizer.stages=0": "must be at least 1",
        "model.quantizer=residual": "give it, such as --config.model.quantizer.quantizer=VALUE",
        "model.quantizer=residual model.quantizer.quantizer=gumbel": "needs codes that are vectors",
        "model.quantizer=gumbel model.quantizer.temperature='abc'": "of model.quantizer gumbel must be float",
        "model.quantizer=gumbel model.quantizer.temperature=0": "must be greater than 0, got 0",
        "model.halvings=-1": "halvings of model vqvae must be at least 0, got -1",
        "model=mlp_autoencoder model.quantizer=vector model.vectors=0": "vectors of model mlp_autoencoder must be",
        "critic.network=mlp_encoder loss.adversarial=1.0": "critic.network=mlp_encoder is no critic",
        "loss.reconstruction=categorical data.center=true": "loss.reconstruction=categorical is of integers",
    },
    "gan": {
        "generator.network=mlp_encoder": "generator.network=mlp_encoder is no generator",
        "critic.network=mlp_encoder": "critic.network=mlp_encoder is no critic",
        "critic.lazy=4": "critic.lazy=4 is of penalties, and none has a weight: set loss.r1",
        "critic.lazy=4 loss.r1=1.0 critic.optimizer=adamax critic.optimizer.learning_rate=0.1": "take critic.optim",
        "generator.optimizer.b2=1.0": "b2 of generator.optimizer adam must be in [0, 1), got 1.0",
    },
    "diffusion": {
        "model=vqvae": "model=vqvae is no denoiser: take model=mlp or unet",
        "model.dropout=nan": "dropout of model mlp must be float, got 'nan'",
        "sampling.grid.rho=0": "rho of sampling.grid karras must be greater than 0",
    },
}
CASES = [(family, asked) for family, cases in REFUSED.items() for asked in cases]


@pytest.mark.parametrize(("family", "asked"), CASES, ids=lambda text: text.replace(" ", ","))
def test_what_is_out_of_range_is_refused_in_one_sentence(family, asked):
    """Breaks if a wrong number or network ends in a traceback of XLA, or trains something that is not there."""
    config = default(family)
    if family == "autoencoder":
        config.model = call("vqvae", quantizer=call("moving_average"))
    with pytest.raises(ValueError) as refusal:
        build(override(config, asked.split(" ")), DIGITS, Statistics(0.0, 0.5))
    said = str(refusal.value)
    assert REFUSED[family][asked] in said and "\n" not in said and said.endswith((".", "?"))
