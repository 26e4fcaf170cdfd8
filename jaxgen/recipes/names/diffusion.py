"""The names in what a diffusion model is: its process, its loss, its likelihood."""

from jaxgen import sde
from jaxgen.data.transforms import around, between, nearest, quantize
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
from jaxgen.losses.denoising import eps_matching, half_total, likelihood, mean, ones, total, vlb
from jaxgen.losses.times import logit_normal, lognormal, steps, uniform, uniform_log_snr
from jaxgen.prediction import EPS, SCORE, VELOCITY, X0, V, edm_output
from jaxgen.recipes.names.table import Table, constant

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
