"""The commands of jaxgen and their flags."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from jaxgen.io.location import location
from jaxgen.schema import SEEDS

SILENCE = 100  # seconds after which one of several processes is lost


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """The type of a flag: an integer from `low` to `high`."""

    def number(text: str) -> int:
        value = int(text)
        if value < low or high is not None and value > high:
            bounds = f"at least {low}" if high is None else f"in {low} .. {high}"
            raise argparse.ArgumentTypeError(f"must be {bounds}, got {value}")
        return value

    number.__name__ = "integer"
    return number


def filled(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """`kind` of a text that is not empty, which as a path would be the folder that the command is started in."""

    def value(text: str) -> Any:
        if not text:
            raise argparse.ArgumentTypeError("must not be empty")
        return kind(text)

    return value


class Parser(argparse.ArgumentParser):
    """Bad arguments are bad input like any other: one sentence. `more` is told at the end of the help."""

    more: Callable[[], str] | None = None

    def format_help(self) -> str:
        said = super().format_help()
        return said if self.more is None else f"{said}\n{self.more()}\n"

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see {self.prog} --help.")


class Command(Parser):
    """No text or path that is given to a command may be empty."""

    def __init__(self, *given: Any, **options: Any):
        super().__init__(*given, **options)
        for kind, read in ((None, str), (Path, Path), (location, location)):
            self.register("type", kind, filled(read))


def parser() -> argparse.ArgumentParser:
    """All commands and their flags."""
    main = Parser(prog="jaxgen", description="Generative models in JAX.", allow_abbrev=False)
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Command)

    def command(name: str, text: str) -> Command:
        return commands.add_parser(
            name,
            help=text,
            description=text,
            allow_abbrev=False,
            epilog="--config.SECTION.KEY=VALUE sets one value of the configuration, --config.SECTION=NAME a function.",
        )

    def shared(sub: argparse.ArgumentParser) -> None:
        several = sub.add_argument_group("several processes, each started with the same command")
        several.add_argument("--distributed", action="store_true", help="find the others: on TPU, GKE, Slurm, Open MPI")
        several.add_argument("--coordinator", metavar="HOST:PORT", help="where process 0 runs, where nothing tells")
        several.add_argument("--num_processes", type=whole(1), metavar="N", help="and how many there are")
        several.add_argument("--process_id", type=whole(0), metavar="I", help="and which is this: 0 .. N - 1")
        several.add_argument(
            "--timeout",
            type=whole(1),
            help=f"seconds of silence after which a process is lost, and the others end with 75 (default {SILENCE})",
        )

    def trained(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--workdir", required=True, type=location)
        sub.add_argument("--step", type=whole(0), help="checkpoint (default: the latest)")

    def sampling(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--sampler",
            help="solver in place of the configured one: heun, ddim, dpmpp_2m, ...; where that is score_sde, with grid "
            "log_snr down to the same end and finish clean, unless --config.sampling.grid or finish say otherwise",
        )
        sub.add_argument("--steps", type=whole(2), help="times of the sampling grid")
        sub.add_argument("--guidance", type=float, help="weight of classifier-free guidance; 1 is none")
        sub.add_argument("--temperature", type=float, help="of what is drawn: below 1 nearer to the likeliest")
        sub.add_argument("--top_k", type=whole(1), metavar="K", help="draw pixels among the K likeliest values")
        sub.add_argument("--top_p", type=float, metavar="P", help="and among the likeliest of probability P together")

    def judged(sub: argparse.ArgumentParser) -> None:
        judge = "classifier of noisy images that guides it"
        sub.add_argument("--classifier", type=location, metavar="WORKDIR", help=judge)
        sub.add_argument("--scale", type=float, help="of the classifier's gradient (default 1)")

    train = command("train", "Train a model, or go on with a run.")
    train.add_argument("--config", required=True, help="Python file with get_config()")
    train.add_argument("--workdir", required=True, type=location)
    shared(train)

    sample = command("sample", "Draw images from a trained model.")
    trained(sample)
    sample.add_argument("--num", type=whole(1), default=64, help="how many (default 64)")
    sampling(sample)
    judged(sample)
    sample.add_argument("--seed", type=whole(*SEEDS), default=0)
    sample.add_argument("--label", help="class or classes, by number or name: 3 or 3,5; default: all in turn")
    sample.add_argument("--out", default="samples.png", help="a .png grid, an .npz of integer levels, or a folder/")
    sample.add_argument("--strip", metavar="PNG", help="also show the way from noise to image")
    shared(sample)

    restore = command("restore", "Fill in what is missing of images: pixels, colours, detail.")
    trained(restore)
    restore.add_argument("--task", required=True, help="inpaint, colorize, superres or deblur")
    restore.add_argument("--method", default="pigdm", help="pigdm (default), dps or replacement")
    restore.add_argument(
        "--mask",
        default="left",
        help="inpaint: left, right, top, bottom, box, random, or an image file, dark where unknown",
    )
    restore.add_argument("--factor", type=whole(2), default=2, help="superres: pixels a side of a mean (default 2)")
    restore.add_argument("--std", type=float, default=1.0, help="deblur: of the Gaussian, in pixels (default 1)")
    restore.add_argument("--weight", type=float, help="of the guidance by pigdm, of the steps of dps (default 1)")
    restore.add_argument("--images", type=Path, help="a folder of images; default: the configured test split")
    restore.add_argument("--num", type=whole(1), default=8, help="how many (default 8)")
    sampling(restore)
    restore.add_argument("--seed", type=whole(*SEEDS), default=0)
    restore.add_argument("--label", help="class or classes that a conditional model is told; default: the images' own")
    restore.add_argument("--out", default="restored.png", help="a .png: a row an image, given, seen and restored")

    reconstruct = command("reconstruct", "Show images beside what a model with an encoder makes of them.")
    trained(reconstruct)
    reconstruct.add_argument("--split", help="default: the configured test split")
    reconstruct.add_argument("--num", type=whole(1), default=32, help="how many (default 32)")
    reconstruct.add_argument("--seed", type=whole(*SEEDS), default=0)
    reconstruct.add_argument("--out", default="reconstructions.png", help="a .png: pairs, the given image left")

    interpolate = command("interpolate", "Show the way from one image to another through the latent variables.")
    trained(interpolate)
    interpolate.add_argument("--num", type=whole(1), default=8, help="rows (default 8)")
    interpolate.add_argument("--frames", type=whole(2), default=9, help="images a row (default 9)")
    interpolate.add_argument("--seed", type=whole(*SEEDS), default=0)
    interpolate.add_argument("--label", help="class or classes, by number or name: 3 or 3,5; default: all in turn")
    interpolate.add_argument("--out", default="interpolations.png", help="a .png: a row each")

    evaluate = command("evaluate", "Measure a trained model, or images against others; writes report and metrics.json.")
    evaluate.add_argument("--workdir", type=location, help="of a model, which draws samples: eval/STEP/ is written")
    evaluate.add_argument("--step", type=whole(0), help="checkpoint (default: the latest)")
    evaluate.add_argument(
        "--fake", metavar="IMAGES", help="measure these in place of a model: a folder, an .npz file, or tfds NAME:SPLIT"
    )
    evaluate.add_argument(
        "--real",
        metavar="IMAGES",
        help="compare with these, or with their statistics in an .npz file; default: the training data of the model",
    )
    evaluate.add_argument(
        "--out",
        type=location,
        metavar="DIR",
        help="write the report on --fake there, beside features_*.npz of --real, which other commands use again "
        "(default evaluation)",
    )
    evaluate.add_argument(
        "--captions", type=Path, metavar="TXT", help="those that --fake was drawn for, one a line, one image each"
    )
    evaluate.add_argument(
        "--metrics", default="fd,prdc,nn", help="see below; of a model also bpd, reconstruction (default fd,prdc,nn)"
    )
    evaluate.add_argument(
        "--weights", action="append", default=[], metavar="NAME=PATH", help="file of a network, see below; repeated"
    )
    evaluate.more = listing
    evaluate.add_argument("--num", type=whole(2), help="samples of the model (default 1000)")
    sampling(evaluate)
    judged(evaluate)
    evaluate.add_argument("--seed", type=whole(*SEEDS), help="of the samples of the model (default 0)")
    evaluate.add_argument("--batch", type=whole(1), help="images a network sees at a time (default 50; videos 8)")
    evaluate.add_argument("--image_size", type=whole(1), help="cut and resample images of folders and tfds data to it")
    evaluate.add_argument("--skip_bad", action="store_true", help="leave out damaged files of a folder, naming each")
    evaluate.add_argument(
        "--save_statistics",
        type=location,
        metavar="NPZ",
        help="write the statistics of --real there and measure nothing; later commands take the file as --real",
    )
    shared(evaluate)

    likelihood = command("likelihood", "Bits per dimension of a trained model.")
    likelihood.add_argument("--workdir", required=True, type=location, action="append", help="given again: another row")
    likelihood.add_argument("--step", type=whole(0), help="checkpoint (default: the latest)")
    likelihood.add_argument("--split", help="one or more, such as train,test; default: the configured test split")
    likelihood.add_argument("--divergence", help="exact or hutchinson")
    likelihood.add_argument("--num", type=whole(2), help="images (default: all)")
    likelihood.add_argument("--draws", type=whole(1), help="draws of noise an image, averaged")
    likelihood.add_argument("--importance", type=whole(1), metavar="K", help="of importance-weighted bounds")
    likelihood.add_argument("--seed", type=whole(*SEEDS), default=0)
    shared(likelihood)

    convert = command("convert", "Make a work directory of a published checkpoint.")
    convert.add_argument("--from", dest="source", required=True, help="whose checkpoint it is: score_sde")
    convert.add_argument("--checkpoint", required=True, type=Path)
    convert.add_argument("--config", required=True, help="the configuration it was trained with")
    convert.add_argument("--workdir", required=True, type=location)

    ratings = command("ratings", "Say what people prefer, from the files that side-by-side sheets gave.")
    ratings.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a downloaded ratings-*.json")

    prompts = command("prompts", "Score images of a list of prompts by CLIP, or make a run of such a folder.")
    prompts.add_argument("--run", dest="folder", required=True, type=Path, help="of a manifest.json and its images")
    prompts.add_argument("--images", type=Path, metavar="DIR", help="make the run of these, in the order of the list")
    prompts.add_argument("--list", dest="listed", type=Path, metavar="FILE", help="PartiPrompts.tsv, CSV of DrawBench")
    prompts.add_argument("--system", help="what made --images (default: the name of their folder)")
    prompts.add_argument(
        "--weights", action="append", default=[], metavar="clip=PATH", help="ViT-B-32.pt is that of CLIPScore"
    )
    prompts.add_argument("--vocabulary", type=Path, help="bpe_simple_vocab_16e6.txt.gz, tokenizer.json or merges.txt")
    prompts.add_argument("--references", type=Path, metavar="TSV", help="Prompt<tab>Reference lines, of RefCLIPScore")
    prompts.add_argument("--candidates", type=whole(2), default=100, help="texts of R-precision (default 100)")
    prompts.add_argument("--seed", type=whole(*SEEDS), default=0, help="that draws these")

    sheet = command("sheet", "Write a page on which people compare the images of two runs side by side.")
    sheet.add_argument("runs", nargs=2, type=Path, metavar="RUN", help="folders of the same prompts and seeds")
    sheet.add_argument("--out", default=Path("sheet.html"), type=Path, help="the page (default sheet.html)")
    sheet.add_argument("--num", type=whole(1), help="prompts, drawn at random (default: all)")
    sheet.add_argument("--seed", type=whole(*SEEDS), default=0, help="of order and sides")

    info = command("info", "Parameters, FLOPs per step, and what the configuration means.")
    source = info.add_mutually_exclusive_group(required=True)
    source.add_argument("--workdir", type=location)
    source.add_argument("--config")
    info.add_argument("--mesh", metavar="data:N,fsdp:M", help="predict a step on devices that need not be here")
    info.add_argument("--device", help="which they are: v5e (default), v5p, h100 or h200")
    return main


def listing() -> str:
    """What --metrics and --weights of `jaxgen evaluate` may name."""
    from jaxgen.commands.metrics import listing

    return listing()
