"""What the metrics of a training say of its health: a collapse, named."""

from collections.abc import Mapping

SEPARATED = 0.01  # a critic's loss below which it makes no mistakes
APART = 0.5  # and the distance of its logits above which that is not because it knows nothing
ONE_IMAGE = 0.02  # spread of the fakes over the batch, relative to that of the data
ONE_CODE = 1.1  # perplexity of a codebook
NOTHING = 0.01  # nats that latent variables say of an image


def collapses(metrics: Mapping[str, float]) -> dict[str, str]:
    """{metric: a sentence on the collapse it shows}, of the metrics that the losses here report. Empty for a healthy
    training, and for metrics that are not there or not finite."""
    found: dict[str, str] = {}
    gap = metrics.get("logits/real", 0.0) - metrics.get("logits/fake", 0.0)
    for name, value in metrics.items():
        kind, _, detail = name.partition("/")
        if kind == "loss" and "critic" in detail.split("+") and abs(value) < SEPARATED and gap > APART:
            found[name] = (
                f"{name} is {value:.2g} while its logits are {gap:.2g} apart: the critic tells data from fakes without "
                "mistakes, so the generator learns little; strengthen a gradient penalty, augment, or slow the critic."
            )
        elif name == "fake_std" and value < ONE_IMAGE:
            found[name] = (
                f"{name} is {value:.2g}: the generator makes nearly the same image from every latent variable; lower "
                "its learning rate or strengthen a gradient penalty."
            )
        elif "perplexity" in name.split("/") and value < ONE_CODE:
            found[name] = (
                f"{name} is {value:.3g}: one code of the codebook stands for everything; restart dead codes, lower the "
                "commitment, or take a quantizer without a codebook."
            )
        elif name == "active_units" and value == 0 or name == "rate" and value < NOTHING:
            found[name] = (
                f"{name} is {value:.2g}: no latent variable says anything of its image; lower the weight of the KL "
                "divergence, let it rise from 0, or give it free bits."
            )
    return found
