"""A collapse is named, and nothing else is."""

import math

import pytest

from jaxgen.train.health import collapses

HEALTHY = {
    "loss/critic": 0.9,
    "loss/generator": 0.002,
    "logits/real": 0.8,
    "logits/fake": -0.4,
    "fake_std": 0.95,
    "perplexity": 40.0,
    "active_units": 0.5,
    "rate": 12.0,
    "grad_norm/critic": 0.0,
}


@pytest.mark.parametrize(
    ("change", "named", "says"),
    [
        ({"loss/critic": 2e-4, "logits/real": 9.0, "logits/fake": -11.0}, "loss/critic", "20 apart"),
        ({"fake_std": 0.003}, "fake_std", "nearly the same image"),
        ({"perplexity": 1.0}, "perplexity", "one code"),
        ({"perplexity/top": 1.02}, "perplexity/top", "one code"),
        ({"active_units": 0.0}, "active_units", "no latent variable"),
        ({"rate": 1e-4}, "rate", "no latent variable"),
    ],
)
def test_each_collapse_is_named_by_its_metric(change, named, says):
    """Breaks if a run that has collapsed goes on for hours without a word."""
    found = collapses({**HEALTHY, **change})
    assert list(found) == [named] and says in found[named]


@pytest.mark.parametrize(
    "metrics",
    [
        HEALTHY,
        {},
        {name: math.nan for name in HEALTHY},
        {"loss/critic": 1e-4, "logits/real": 0.1, "logits/fake": 0.1},  # Wasserstein before it has learned anything
        {"loss": 1e-4},  # a denoiser that is good
    ],
)
def test_a_healthy_run_hears_nothing(metrics):
    """Breaks if users learn to overlook the warnings."""
    assert collapses(metrics) == {}
