"""What a configuration may say: every key with its default, the range of its numbers, and what a run may change."""

from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict


def call(name: str, **arguments: Any) -> ConfigDict:
    """The function `name` with these arguments, as a section of a configuration."""
    return ConfigDict({"name": name, **arguments})


def default(family: str = "diffusion") -> ConfigDict:
    """Every key that a configuration of `family` has, with its default. Locked: an unknown key is an error. Raises
    ValueError for a family that there is not."""
    if family not in FAMILIES:
        raise ValueError(f"unknown family {family!r}: expected one of {', '.join(FAMILIES)}.")
    return ConfigDict({"seed": 0, "family": family, **common(), **FAMILIES[family]()}).lock()


def common() -> dict[str, Any]:
    """What a run of any family has."""
    return {
        "data": {
            "dataset": "digits",  # embedded: digits, emoji32; a tfds name; or a folder of images
            "data_dir": None,  # where tfds keeps prepared data
            "center_crop": None,  # cut out the central square of this many pixels a side, before image_size
            "image_size": None,  # crop and resize to this many pixels a side
            "split": "train",
            "test_split": "test",
            "flip": False,  # random left-right mirroring
            "crop": 0,  # random shifts by up to this many pixels, over reflected borders
            "shift": 0,  # the same over empty borders (level 0)
            "shift_rate": 1.0,  # share of the images that "shift" moves
            "conditional": False,  # the networks are told the class; a classifier learns it
            "dequantize": False,  # add U[0, 1) to the integer levels, anew at every step
            "space": call("linear"),  # from levels to model space
            "center": False,  # remove the mean of every pixel
        },
        "ema": call("constant", decay=0.999),
        "train": {
            "steps": 1000,
            "batch_size": 128,  # over all devices
            "log_every": 50,
            "checkpoint_every": 500,
            "sample_every": 500,  # 0: no pictures during training
            "keep": 2,  # checkpoints, the latest ones
            "keep_every": 0,  # and for good those at multiples of this, which are saved in any case; 0: none
            "best": call("none"),  # and the best: "lowest" or "highest", with metric="loss" and keep=1
            "max_skipped": 10,  # steps in a row that loss or gradients not finite may skip; 0: skip none, go on
        },
        "parallel": {
            "mapping": "jit",  # or "pmap"
            "data": -1,  # the mesh: parts of the batch, by
            "fsdp": 1,  # parts of the batch and of the state; -1 is what the other leaves
            "rules": (),  # of what is sharded: (regular expression on a leaf's path, dimension or None), ...
            "accumulate": 1,  # gradients are averaged over this many parts of a batch
            "remat": False,  # activations inside the blocks of a network are computed again for its gradient
            "dtype": "float32",  # that networks compute in, or "bfloat16"; parameters and losses stay float32
            "fused": 1,  # steps a dispatch
        },
    }


def diffusion() -> dict[str, Any]:
    """A score model; a classifier of noisy images, which guides one, has the same sections."""
    return {
        "model": call("mlp"),
        "sde": call("vp"),
        "loss": {
            "objective": "denoising",  # or "bound", the variational bound on the integers in bits/dim
            "head": call("direct"),  # from the network's output to the prediction
            "prediction": call("eps"),
            "times": call("uniform"),
            "weight": call("ones"),  # this and reduce follow from the times under the objective "bound"
            "label": call("quarter_log_sigma"),  # what the network is told of time
            "scale_in": call("unit_variance"),
            "reduce": call("mean"),
            "drop_condition": 0.0,  # probability of training without the class, for guidance
        },
        "optimizer": adam(),
        "sampling": {
            "sde": call("trained"),  # or the continuous process behind the table of the training
            "solver": call("heun"),
            "grid": call("karras"),
            "steps": 18,  # times of the grid
            "finish": call("clean"),
            "levels": call("nearest"),  # or "truncated", as score_sde; without effect on data.dequantize
            "guidance": 1.0,  # weight of classifier-free guidance; 1 is the conditional model
            "guidance_interval": None,  # (low, high): guide only where sigma/alpha lies between
            **drawn(),
        },
        "likelihood": {
            "sde": call("trained"),  # as in sampling
            "divergence": call("hutchinson"),
            "bins": call("centered"),  # of the levels, or "score_sde"; without effect on data.dequantize
            "rtol": 1e-5,
            "atol": 1e-5,
            "draws": 1,  # of noise (dequantization, time) an image, averaged
        },
    }


def gan() -> dict[str, Any]:
    """A generator and a critic. A weight is a number, a schedule of the step such as call("cosine", start=0.05,
    end=0.005, steps=200_000), or None: not there."""
    return {
        "generator": {
            "network": call("mlp_generator"),
            "optimizer": call("adam", learning_rate=2e-4, b1=0.0, b2=0.99),
            "every": 1,  # it moves at every n-th step
            "lazy": 1,  # its penalties on gradients do, in moves of their own; all else belongs to every move
        },
        "critic": {
            "network": call("mlp_critic"),
            "optimizer": call("adam", learning_rate=2e-4, b1=0.0, b2=0.99),
            "every": 1,
            "lazy": 1,
        },
        "augment": call("none"),  # of all that the critic sees; of what it compares, under a consistency loss
        "loss": {
            "objective": call("relativistic"),
            "r1": None,  # weights of the penalties on the critic's gradient, which may be lazy,
            "r2": None,
            "gradient_penalty": None,
            "one_sided": None,
            "zero_centred": None,
            "dragan": None,
            "lecam": None,  # of what else the critic pays,
            "consistency": None,
            "fake_consistency": None,
            "path_length": None,  # of the penalty on the generator's gradient, which may be lazy,
            "feature_matching": None,  # and of what else the generator pays
            "orthogonal": None,
        },
        "sampling": {
            "truncation": 1.0,  # of the latent variables towards their middle; 1: none, as BigGAN half its threshold
            "standing": 0,  # batches by which batch statistics are measured anew before sampling; 0: running ones
            **drawn(),
        },
    }


def vae() -> dict[str, Any]:
    """An encoder and a decoder around one latent vector. Weights as of a `gan`."""
    return {
        "encoder": call("mlp_encoder"),
        "decoder": call("mlp_decoder"),
        "loss": {
            "likelihood": call("categorical"),  # of an image given the latent variables
            "estimator": call("elbo"),  # or "iwae", "dreg", "stl" with samples=K
            "beta": None,  # weight of the KL divergence
            "capacity": None,  # nats that the KL divergence is held at
            "free_bits": None,  # nats a latent dimension that cost nothing
            "total_correlation": None,  # weight of the total correlation in it
        },
        "optimizer": adam(),
        "sampling": {"output": "sample", **drawn()},  # of the likelihood, or its "mean"
        "likelihood": {"importance": 64, "draws": 1},  # samples of the importance-weighted bound; draws of noise
    }


def hierarchical_vae() -> dict[str, Any]:
    """A ladder of latent variables in one network."""
    return {
        "model": call("vdvae"),
        "loss": {
            "likelihood": call("discretized_logistic_mixture"),
            "beta": None,  # weight of the KL divergences
            "balance": None,  # step until which they are balanced between groups
            "spectral": None,  # weight of the spectral norms of the kernels
        },
        "optimizer": adam(),
        "sampling": {"output": "sample", "temperature": 1.0, **drawn()},
        "likelihood": {"importance": 64, "draws": 1},
    }


def autoencoder() -> dict[str, Any]:
    """An encoder, a quantizer and a decoder in one network, and perhaps a critic of what comes out."""
    return {
        "model": call("vqvae", quantizer=call("moving_average")),
        "critic": {
            "network": call("none"),
            "optimizer": adam(),
            "start": 0,  # the step from which it judges
        },
        "loss": {
            "reconstruction": call("l2"),
            "quantizer": 1.0,  # weights: of the quantizer's own loss,
            "perceptual": None,  # of the distance between features,
            "adversarial": None,  # of the critic's verdict, in balance with what the image costs
            "features": call("none"),  # that images are to share
            "objective": call("hinge"),  # of the critic
        },
        "optimizer": adam(),
        "sampling": drawn(),
    }


def flow() -> dict[str, Any]:
    """An invertible network from pixels, with noise that makes a density of their integers, to a known distribution."""
    return {
        "model": call("realnvp"),
        "dequantizer": call("uniform"),  # the noise: U[0, 1), or a network that draws it, variational dequantization
        "base": call("normal"),  # what the latent variables are distributed as, or "logistic"
        "loss": {
            "noise": 0.0,  # standard deviation, in model space, of Gaussian noise on the images instead
            "drop_condition": 0.0,  # probability of training without the class, for guidance
        },
        "optimizer": adam(),
        "sampling": {
            "temperature": 1.0,  # scale of the latent variables
            "guidance": 1.0,  # weight of guidance away from a weaker model; 1 is the model itself
            "attention_temperature": 1.0,  # of that weaker model
            "denoise": True,  # where loss.noise is the noise of what is modelled, by the score of the model
            **drawn(),
        },
        "likelihood": {"importance": 20, "draws": 1},  # draws of the noise in the importance-weighted bound; averaged
    }


def autoregressive() -> dict[str, Any]:
    """A network of which every output sees what comes before it in the image."""
    return {
        "model": call("gated_pixelcnn"),
        "tokenizer": call("none"),  # the images are, or those of a trained autoencoder: "trained" with workdir=...
        "loss": {
            "likelihood": call("categorical"),
            "drop_condition": 0.0,  # probability of training without the class, for guidance
        },
        "optimizer": adam(),
        "sampling": filtered(),
        "likelihood": {"draws": 1},
    }


def next_scale() -> dict[str, Any]:
    """A network that predicts codes over scales, all of a scale at once, of a trained autoencoder."""
    return {
        "model": call("var"),
        "tokenizer": call("none"),  # "trained" with workdir=...
        "loss": {"drop_condition": 0.0},  # probability of training without the class, for guidance
        "optimizer": adam(),
        "sampling": filtered(),  # guidance grows from 1 at the first scale to its weight at the last
        "likelihood": {"draws": 1},
    }


def filtered() -> dict[str, Any]:
    """What is drawn of the levels."""
    return {
        "temperature": 1.0,
        "top_k": None,  # draw among the k likeliest values,
        "top_p": None,  # and among the likeliest that together have this probability
        "guidance": 1.0,  # weight of classifier-free guidance; 1 is the conditional model
        **drawn(),
    }


def adam() -> ConfigDict:
    return call("adam", learning_rate=1e-3)


def drawn() -> dict[str, Any]:
    """How many images at once."""
    return {"images": 64, "batch_size": 256}  # in the picture drawn during training; in memory


FAMILIES: dict[str, Callable[[], dict[str, Any]]] = {
    "diffusion": diffusion,
    "classifier": diffusion,
    "gan": gan,
    "vae": vae,
    "hierarchical_vae": hierarchical_vae,
    "autoencoder": autoencoder,
    "flow": flow,
    "autoregressive": autoregressive,
    "next_scale": next_scale,
}


# A run may go on with other values of these, except TELLING ones. A run that is made longer follows the schedule of its
# new length from there on: optimizer.decay_steps usually is train.steps.
HARMLESS = (
    *("train.steps", "train.log_every", "train.checkpoint_every", "train.sample_every"),
    *("train.keep", "train.keep_every", "train.max_skipped"),
    *(f"{player}optimizer.decay_steps" for player in ("", "generator.", "critic.")),
    "tokenizer.workdir",  # where it is now; the checkpoints hold its variables
)
HARMLESS_SECTIONS = ("sampling.", "likelihood.", "parallel.", "train.best.")
TELLING = ("parallel.dtype",)  # trains otherwise; a trained model may be used in any

OPTIONAL = {  # the types of keys whose default is None
    "data.center_crop": int,
    "data.image_size": int,
    "loss.free_bits": float,
    "loss.balance": int,
    "sampling.top_k": int,
    "sampling.top_p": float,
}
SEEDS = 0, 2**32 - 1  # what a random key takes
AT_LEAST = {
    "data.center_crop": 1,
    "data.image_size": 1,
    "data.crop": 0,
    "loss.free_bits": 0,
    "loss.noise": 0,
    "loss.balance": 0,
    "sampling.temperature": 0,
    "data.shift": 0,
    "data.shift_rate": 0.0,
    "train.steps": 1,
    "train.batch_size": 1,
    "train.log_every": 0,
    "train.checkpoint_every": 0,
    "train.sample_every": 0,
    "train.keep": 1,
    "train.keep_every": 0,
    "train.max_skipped": 0,
    "parallel.accumulate": 1,
    "parallel.fused": 1,
    "sampling.steps": 2,
    "sampling.images": 1,
    "sampling.batch_size": 1,
    "sampling.standing": 0,
    "sampling.top_k": 1,
    "likelihood.draws": 1,
    "likelihood.importance": 1,
    "generator.every": 1,
    "generator.lazy": 1,
    "critic.every": 1,
    "critic.lazy": 1,
    "critic.start": 0,
}
