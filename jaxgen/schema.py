"""What a configuration may say: every key with its default, the range of its numbers, and what a run may change."""

from typing import Any

from ml_collections import ConfigDict


def call(name: str, **arguments: Any) -> ConfigDict:
    """The function `name` with these arguments, as a section of a configuration."""
    return ConfigDict({"name": name, **arguments})


def default() -> ConfigDict:
    """Every key there is, with its default. Locked: an unknown key is an error."""
    config = ConfigDict(
        {
            "seed": 0,
            "family": "diffusion",  # or "classifier", of noisy images, which guides a diffusion model
            "data": {
                "dataset": "digits",  # embedded: digits, emoji32; a tfds name; or a folder of images
                "data_dir": None,  # where tfds keeps prepared data
                "center_crop": None,  # cut out the central square of this many pixels a side, before image_size
                "image_size": None,  # crop and resize to this many pixels a side
                "split": "train",
                "test_split": "test",
                "flip": False,  # random left-right mirroring
                "crop": 0,  # random shifts by up to this many pixels, over reflected borders
                "conditional": False,  # the network is told the class; a classifier learns it
                "dequantize": False,  # add U[0, 1) to the integer levels, anew at every step
                "space": call("linear"),  # from levels to model space
                "center": False,  # remove the mean of every pixel
            },
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
            "optimizer": call("adam", learning_rate=1e-3),
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
            "sampling": {
                "sde": call("trained"),  # or the continuous process behind the table of the training
                "solver": call("heun"),
                "grid": call("karras"),
                "steps": 18,  # times of the grid
                "finish": call("clean"),
                "levels": call("nearest"),  # or "truncated", as score_sde; without effect on data.dequantize
                "guidance": 1.0,  # weight of classifier-free guidance; 1 is the conditional model
                "guidance_interval": None,  # (low, high): guide only where sigma/alpha lies between
                "images": 64,  # in the picture drawn during training
                "batch_size": 256,
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
    )
    return config.lock()


# A run may go on with other values of these, except TELLING ones. A run that is made longer follows the schedule of its
# new length from there on: optimizer.decay_steps usually is train.steps.
HARMLESS = (
    *("train.steps", "train.log_every", "train.checkpoint_every", "train.sample_every"),
    *("train.keep", "train.keep_every", "train.max_skipped", "optimizer.decay_steps"),
)
HARMLESS_SECTIONS = ("sampling.", "likelihood.", "parallel.", "train.best.")
TELLING = ("parallel.dtype",)  # trains otherwise; a trained model may be used in any

SEEDS = 0, 2**32 - 1  # what a random key takes
AT_LEAST = {
    "data.crop": 0,
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
    "likelihood.draws": 1,
}
