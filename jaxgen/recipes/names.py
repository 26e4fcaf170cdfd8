"""Every name that a configuration may use, and the function it stands for: the only tables of names there are."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial, reduce, wraps
from math import inf
from operator import or_
from typing import Any, get_args

import jax
from jax import Array
from ml_collections import ConfigDict

from jaxgen import sde
from jaxgen.augment import probability
from jaxgen.augment.ada import ada
from jaxgen.augment.augmented import unaugmented
from jaxgen.augment.differentiable import differentiable
from jaxgen.configuration import call, default, expect, is_call, unknown
from jaxgen.data.transforms import affine, around, between, logit, nearest, quantize
from jaxgen.denoiser import (
    fractional_index,
    grid_index,
    identity,
    level_posterior,
    noise_level,
    one,
    quarter_log_sigma,
    reversed_index,
    times_999,
    unit_variance,
)
from jaxgen.likelihood import exact, hutchinson
from jaxgen.losses import adversarial, autoencoding, importance, likelihoods, vae
from jaxgen.losses.denoising import eps_matching, half_total, likelihood, mean, ones, total, vlb
from jaxgen.losses.times import logit_normal, lognormal, steps, uniform, uniform_log_snr
from jaxgen.models import (
    DDPM,
    MLP,
    BigGANGenerator,
    DCGANCritic,
    DCGANGenerator,
    MLPCritic,
    MLPGenerator,
    NCSNpp,
    NCSNv1,
    NCSNv2,
    R3GANCritic,
    R3GANGenerator,
    ResNetCritic,
    ResNetGenerator,
    StyleGAN2Critic,
    StyleGAN2Generator,
    UNet,
    WideResNet,
    ncsnv2_128,
    ncsnv2_256,
)
from jaxgen.models.gan import resnet
from jaxgen.models.gan.patchgan import PatchGAN
from jaxgen.models.latent.dvae import dvae
from jaxgen.models.latent.gaussian import GaussianBottleneck
from jaxgen.models.latent.gumbel import GumbelQuantizer
from jaxgen.models.latent.mlp import mlp_autoencoder
from jaxgen.models.latent.moving_average import MovingAverageQuantizer
from jaxgen.models.latent.residual import ResidualQuantizer
from jaxgen.models.latent.scalar import FiniteScalarQuantizer, LookupFreeQuantizer
from jaxgen.models.latent.vector import VectorQuantizer
from jaxgen.models.latent.vqgan import vqgan
from jaxgen.models.latent.vqvae import vqvae
from jaxgen.models.latent.vqvae2 import VQVAE2
from jaxgen.models.vae.conv import ConvDecoder, ConvEncoder
from jaxgen.models.vae.mlp import MLPDecoder, MLPEncoder
from jaxgen.models.vae.nvae import NVAE
from jaxgen.models.vae.vdvae import VDVAE
from jaxgen.prediction import EPS, SCORE, VELOCITY, X0, V, edm_output
from jaxgen.sampling import grids, published
from jaxgen.sampling.langevin import (
    annealed_langevin,
    batch_mean,
    corrector_predictor,
    each,
    langevin,
    predictor_corrector,
)
from jaxgen.sampling.multistep import deis, dpm_multistep, dpmpp_2m, dpmpp_3m, lms, pndm
from jaxgen.sampling.ode import probability_flow
from jaxgen.sampling.sample import Solver, as_it_is, clean, last_mean
from jaxgen.sampling.singlestep import dpm2_ancestral, dpm_solver, dpmpp_2s_ancestral, dpmpp_sde, dpmpp_singlestep
from jaxgen.sampling.solvers import churn as churned
from jaxgen.sampling.solvers import ddim, heun
from jaxgen.sampling.steps import ancestral, euler_maruyama, large, reverse_diffusion, stay
from jaxgen.sampling.unipc import unipc
from jaxgen.train import best, ema, schedules
from jaxgen.train.optimizers import adam, adamax

Table = Mapping[str, Callable[..., Any]]


def constant(value: Any) -> Callable[[], Any]:
    """A function without arguments, for table entries that are values."""
    return lambda: value


def churned_heun(churn: float = 0.0, low: float = 0.0, high: float = inf, scale: float = 1.0) -> Solver:
    """Heun's method; with `churn` > 0 the noise is first raised by that factor (2206.00364 algorithm 2)."""
    return churned(churn, low, high, scale)(heun()) if churn else heun()


def down_to(grid: Callable[..., Array]) -> Callable[..., Callable[..., Array]]:
    """The `grid` with the argument `end`."""

    def made(end: float | None = None) -> Callable[..., Array]:
        return partial(grid, end=end)

    return made


def adaptive_flow(rtol: float = 1e-5, atol: float = 1e-5, end: float | None = None) -> Callable[..., Array]:
    """The probability-flow ODE down to `end`."""
    return partial(probability_flow, rtol=rtol, atol=atol, end=end)


def scheduled_probability(schedule: Callable[..., schedules.Schedule]) -> Callable[..., probability.Probability]:
    """The probability of augmentation that goes by `schedule`, with its arguments."""

    @wraps(schedule)
    def made(**arguments: Any) -> probability.Probability:
        return probability.scheduled(schedule(**arguments))

    return made


SPACES: Table = {
    "linear": affine,
    "logit": logit,
}
PROCESSES: Table = {
    "vp": sde.vp,
    "subvp": sde.subvp,
    "ve": sde.ve,
    "edm": sde.edm,
    "cosine": sde.cosine,
    "rectified_flow": sde.rectified_flow,
    "vdm": lambda gamma_min=-13.3, gamma_max=5.0: sde.vdm(sde.linear_gamma(gamma_min, gamma_max)),
    "ddpm": lambda n=1000, beta_min=0.1, beta_max=20.0: sde.ddpm(sde.linear_betas(n, beta_min, beta_max)),
    "ddpm_cosine": lambda n=1000, offset=0.008: sde.ddpm(sde.cosine_betas(n, offset)),
    "discretize": sde.discretize,
    "ncsn": lambda n=1000, sigma_min=0.01, sigma_max=50.0: sde.ncsn(sde.geometric_sigmas(n, sigma_min, sigma_max)),
}
SOLVED: Table = {  # what samplers and likelihoods run on
    "trained": lambda trained: trained,
    **PROCESSES,
}
PREDICTIONS: Table = {
    "x0": constant(X0),
    "eps": constant(EPS),
    "score": constant(SCORE),
    "v": constant(V),
    "velocity": constant(VELOCITY),
    "edm_output": edm_output,
}
HEADS: Table = {
    "direct": constant(None),
    "level_posterior": constant(level_posterior),
}
TIMES: Table = {
    "uniform": constant(uniform),
    "uniform_log_snr": constant(uniform_log_snr),
    "lognormal": lognormal,
    "logit_normal": logit_normal,
    "steps": steps,
}
WEIGHTS: Table = {
    "ones": constant(ones),
    "eps_matching": constant(eps_matching),
    "likelihood": constant(likelihood),
    "vlb": vlb,
}
LABELS: Table = {
    "identity": constant(identity),
    "times_999": constant(times_999),
    "noise_level": constant(noise_level),
    "quarter_log_sigma": constant(quarter_log_sigma),
    "grid_index": constant(grid_index),
    "fractional_index": constant(fractional_index),
    "reversed_index": constant(reversed_index),
}
ROUNDED = "grid_index", "reversed_index"  # labels that know the times of a table only
SCALES: Table = {
    "one": constant(one),
    "unit_variance": unit_variance,
}
REDUCTIONS: Table = {
    "mean": constant(mean),
    "total": constant(total),
    "half_total": constant(half_total),
}
SCHEDULES: Table = {  # of weights, learning rates and probabilities
    "constant": schedules.constant,
    "linear": schedules.linear,
    "cosine": schedules.cosine,
    "exponential": schedules.exponential,
    "piecewise": schedules.piecewise,
}
OBJECTIVES: Table = {  # of critic and generator
    "minimax": constant(adversarial.minimax),
    "non_saturating": constant(adversarial.non_saturating),
    "smoothed": lambda label=0.9: adversarial.smoothed(label, adversarial.non_saturating),
    "hinge": constant(adversarial.hinge),
    "wasserstein": constant(adversarial.wasserstein),
    "least_squares": adversarial.squared,
    "relativistic": constant(adversarial.relativistic),
    "relativistic_average": constant(adversarial.relativistic_average),
}
PROBABILITIES: Table = {  # of augmentations
    "adaptive": probability.adaptive,
    **{name: scheduled_probability(schedule) for name, schedule in SCHEDULES.items()},
}
AUGMENTATIONS: Table = {  # of all that a critic sees
    "none": unaugmented,
    "ada": ada,
    "differentiable": differentiable,
}
LIKELIHOODS: Table = {
    "bernoulli": likelihoods.bernoulli,
    "binomial": likelihoods.binomial,
    "categorical": likelihoods.categorical,
    "discretized_logistic": likelihoods.discretized_logistic,
    "discretized_logistic_mixture": likelihoods.discretized_logistic_mixture,
    "gaussian": likelihoods.gaussian,
    "logit_laplace": likelihoods.logit_laplace,
}
BOUNDS: Table = {  # of a VAE, as losses, with an estimator of their gradients
    "elbo": constant(vae.elbo),
    "iwae": lambda samples=5: partial(importance.importance_weighted, samples=samples),
    "stl": lambda samples=1: partial(
        importance.importance_weighted, samples=samples, gradient=importance.sticking_the_landing
    ),
    "dreg": lambda samples=5: partial(
        importance.importance_weighted, samples=samples, gradient=importance.doubly_reparameterized
    ),
}
RECONSTRUCTIONS: Table = {  # of an autoencoder
    "l1": autoencoding.l1,
    "l2": autoencoding.l2,
    "categorical": lambda levels: autoencoding.nats(likelihoods.categorical(levels)),
    "logit_laplace": lambda: autoencoding.nats(likelihoods.logit_laplace()),
}
QUANTIZERS: Table = {  # of latents
    "vector": VectorQuantizer,
    "moving_average": MovingAverageQuantizer,
    "residual": ResidualQuantizer,
    "finite_scalar": FiniteScalarQuantizer,
    "lookup_free": LookupFreeQuantizer,
    "gumbel": GumbelQuantizer,
    "gaussian": GaussianBottleneck,
}
MODELS: Table = {
    "mlp": MLP,
    "unet": UNet,
    "ncsnpp": NCSNpp,
    "ddpm": DDPM,
    "ncsnv2_64": NCSNv2,
    "ncsnv2_128": ncsnv2_128,
    "ncsnv2_256": ncsnv2_256,
    "ncsnv1": NCSNv1,
    "wideresnet": WideResNet,
    "mlp_encoder": MLPEncoder,
    "mlp_decoder": MLPDecoder,
    "conv_encoder": ConvEncoder,
    "conv_decoder": ConvDecoder,
    "vdvae": VDVAE,
    "nvae": NVAE,
    "r3gan_generator": R3GANGenerator,
    "r3gan_critic": R3GANCritic,
    "mlp_generator": MLPGenerator,
    "mlp_critic": MLPCritic,
    "dcgan_generator": DCGANGenerator,
    "dcgan_critic": DCGANCritic,
    "resnet_generator": ResNetGenerator,
    "resnet_critic": ResNetCritic,
    "biggan_generator": BigGANGenerator,
    "mlp_autoencoder": mlp_autoencoder,
    "vqvae": vqvae,
    "vqvae2": VQVAE2,
    "dvae": dvae,
    "vqgan": vqgan,
    "patchgan": PatchGAN,
    "stylegan2_generator": StyleGAN2Generator,
    "stylegan2_critic": StyleGAN2Critic,
}
OPTIMIZERS: Table = {
    "adam": adam,
    "adamax": adamax,
}
AVERAGES: Table = {
    "none": constant(None),
    "constant": ema.constant,
    "warm": ema.warm,
    "half_life": ema.half_life,
}
BEST: Table = {  # checkpoints that are kept
    "none": constant(None),
    "lowest": best.lowest,
    "highest": best.highest,
}
GRIDS: Table = {
    "uniform": down_to(grids.uniform),
    "karras": lambda rho=7.0: partial(grids.karras, rho=rho),
    "geometric": constant(grids.geometric),
    "log_snr": down_to(grids.log_snr),
    "quadratic": constant(grids.quadratic),
    "indices": constant(grids.indices),
    "score_sde": lambda end=1e-3: partial(published.times, end=end),
}
STEPS: Table = {  # solvers that go along a grid
    "ddim": ddim,
    "heun": churned_heun,
    "dpmpp_2m": dpmpp_2m,
    "dpmpp_3m": dpmpp_3m,
    "dpmpp_singlestep": dpmpp_singlestep,
    "dpmpp_sde": dpmpp_sde,
    "dpmpp_2s_ancestral": dpmpp_2s_ancestral,
    "dpm_solver": dpm_solver,
    "dpm_multistep": dpm_multistep,
    "dpm2_ancestral": dpm2_ancestral,
    "unipc": unipc,
    "deis": deis,
    "lms": lms,
    "pndm": pndm,
    "ancestral": constant(ancestral()),
    "ancestral_large": constant(ancestral(large)),
    "euler_maruyama": euler_maruyama,
    "reverse_diffusion": lambda stochasticity=1.0: reverse_diffusion(stochasticity),
    "langevin": lambda snr=0.16, steps=1, norm=batch_mean: langevin(snr, steps, norm=norm),
    "annealed_langevin": lambda snr=0.16, steps=1: annealed_langevin(snr, steps),
    "predictor_corrector": predictor_corrector,
    "corrector_predictor": corrector_predictor,
    "stay": stay,
}
SOLVERS: Table = {
    **STEPS,
    "probability_flow": adaptive_flow,
    "score_sde": published.score_sde,
}
FINISHES: Table = {
    "clean": constant(clean),
    "as_it_is": constant(as_it_is),
    "last_mean": constant(last_mean),
    "denoising_step": published.denoising_step,
}
BINS: Table = {  # of the integers that a likelihood is of, where training adds no noise to them
    "centered": around,
    "score_sde": between,
}
LEVELS: Table = {  # from values around integers to integers
    "nearest": constant(nearest),
    "truncated": constant(quantize),
}
DIVERGENCES: Table = {
    "exact": exact,
    "hutchinson": lambda: hutchinson(),
}
NORMS: Table = {
    "batch_mean": constant(batch_mean),
    "each": constant(each),
}
NONLINEARITIES: Table = {
    "silu": constant(jax.nn.silu),
    "relu": constant(jax.nn.relu),
    "elu": constant(jax.nn.elu),
    "lrelu": constant(partial(jax.nn.leaky_relu, negative_slope=0.2)),
}
INITIALIZERS: Table = {
    "glorot": constant(resnet.glorot),
    "normal": resnet.normal,
    "orthogonal": constant(resnet.orthogonal),
}
SIGMAS: Table = {  # noise levels that networks are told by index, the largest first
    "geometric": lambda n=1000, sigma_min=0.01, sigma_max=50.0: tuple(
        sde.geometric_sigmas(n, sigma_min, sigma_max)[::-1].tolist()
    ),
}
ARGUMENTS: Mapping[str, Table] = {  # arguments that are functions themselves, given by name or as a call
    "sde": PROCESSES,
    "predictor": STEPS,
    "corrector": STEPS,
    "norm": NORMS,
    "nonlinearity": NONLINEARITIES,
    "kernel_init": INITIALIZERS,
    "probability": PROBABILITIES,
    "sigmas": SIGMAS,
    "quantizer": QUANTIZERS,
}

EXAMPLES = {"predictor": "reverse_diffusion", "corrector": "langevin", "sde": "vp", "n": 1000, "learning_rate": 1e-3}
PATHS = {  # of the sections that messages call by their last key
    key: f"{section}.{key}"
    for section, keys in default().items()
    if isinstance(keys, ConfigDict) and not is_call(keys)
    for key, value in keys.items()
    if is_call(value) and key != "sde"
}


def invoke(table: Table, section: ConfigDict, what: str, **context: Any) -> Any:
    """table[section.name](arguments of the section). `context` holds arguments that follow from elsewhere, handed on
    where the function takes them; the section may say otherwise. Arguments of `ARGUMENTS` are invoked themselves.
    Raises ValueError for what does not fit."""
    if section.name not in table:
        raise unknown(what, section.name, table)
    function = table[section.name]
    parameters = inspect.signature(function).parameters
    arguments = {key: value for key, value in context.items() if key in parameters}
    for key, value in section.items():
        if key == "name":
            continue
        if key not in parameters:
            raise unknown(f"argument of {what} {section.name}", key, parameters)
        where = f"{key} of {what} {section.name}"
        if key in ARGUMENTS and parameters[key].annotation is not str:
            named = call(value) if isinstance(value, str) else value
            if not is_call(named):
                raise ValueError(
                    f"{where} must name a function, such as {next(iter(ARGUMENTS[key]))!r}, got {value!r}."
                )
            arguments[key] = invoke(ARGUMENTS[key], named, key, **context)
            continue
        kind = parameters[key].annotation
        if schedules.Schedule in get_args(kind):
            if is_call(value):
                arguments[key] = invoke(SCHEDULES, value, where)
                continue
            kind = reduce(or_, (one for one in get_args(kind) if one is not schedules.Schedule))
        if kind is inspect.Parameter.empty and parameters[key].default is not inspect.Parameter.empty:
            kind = type(parameters[key].default)
        arguments[key] = expect(where, kind, value)
    missing = [k for k, p in parameters.items() if p.default is inspect.Parameter.empty and k not in arguments]
    if missing:
        flag = f"--config.{PATHS.get(what, what)}.{missing[0]}"
        raise ValueError(
            f"{what} {section.name} needs the argument {missing[0]!r}: give it, such as "
            f"{flag}={EXAMPLES.get(missing[0], 'VALUE')}."
        )
    return function(**arguments)
