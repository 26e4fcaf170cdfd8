"""The command line: jaxgen train | sample | restore | reconstruct | interpolate | evaluate | likelihood | convert |
prompts | sheet | ratings | info."""

import argparse
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dis import opmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from jaxgen.configuration import load
from jaxgen.io.location import location
from jaxgen.schema import SEEDS

if TYPE_CHECKING:
    from jaxgen.commands.asked import Asked

SEVERAL = "distributed", "coordinator", "num_processes", "process_id"  # a flag that is given makes one of several
SAMPLING = "steps", "guidance", "temperature", "top_k", "top_p"  # flags of the section of that name
ALWAYS = "metrics", "weights", "batch", "real", "image_size", "skip_bad"
FORMS = {  # of evaluate: the flag that tells, and those that mean something beside it
    "save_statistics": (),
    "fake": ("out", "captions"),
    "workdir": ("step", "num", "seed", "sampler", *SAMPLING, "classifier", "scale"),
}
SILENCE = 100  # seconds after which one of them is lost


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


class Parser(argparse.ArgumentParser):
    """Bad arguments are bad input like any other: one sentence. `more` is told at the end of the help."""

    more: Callable[[], str] | None = None

    def format_help(self) -> str:
        said = super().format_help()
        return said if self.more is None else f"{said}\n{self.more()}\n"

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see {self.prog} --help.")


def parser() -> argparse.ArgumentParser:
    """All commands and their flags."""
    main = Parser(prog="jaxgen", description="Generative models in JAX.", allow_abbrev=False)
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    def command(name: str, text: str) -> Parser:
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


def run(args: argparse.Namespace, overrides: list[str]) -> str:
    """The command of `args`: what it has to say at the end."""
    flags = {name: f"sampling.{name}" for name in SAMPLING}
    flags |= {name: f"likelihood.{name}" for name in ("divergence", "draws", "importance")}
    given = {key: getattr(args, flag, None) for flag, key in flags.items()}
    overrides = [f"{key}={value}" for key, value in given.items() if value is not None] + overrides

    if args.command == "train":
        from jaxgen.commands.train import train

        return train(load(args.config, overrides), args.workdir)
    if args.command == "convert":
        from jaxgen.commands.convert import convert

        return convert(args.source, args.checkpoint, load(args.config, overrides), args.workdir)
    if args.command == "ratings":
        from jaxgen.commands.ratings import ratings

        return ratings(args.files)
    if args.command == "prompts":
        from jaxgen.commands.metrics import files
        from jaxgen.commands.prompts import Made, prompts

        if (args.images is None) != (args.listed is None) or args.system is not None and args.images is None:
            raise ValueError("--images and --list go together, and --system with them: give both, or --run alone.")
        made = None if args.images is None else Made(args.images, args.listed, args.system)
        return prompts(
            args.folder, files(args.weights), args.vocabulary, made, args.references, args.candidates, args.seed
        )
    if args.command == "sheet":
        from jaxgen.commands.sheet import sheet

        return sheet(tuple(args.runs), args.out, args.num, args.seed)
    if args.command == "info":
        from jaxgen.commands.cost import target
        from jaxgen.commands.info import info_of_config, info_of_workdir

        place = target(args.mesh, args.device)
        if args.config:
            return info_of_config(load(args.config, overrides), place)
        return info_of_workdir(args.workdir, overrides, place)

    if args.command == "evaluate" and form(args, overrides) != "workdir":
        from jaxgen.commands.compare import compare, save

        if args.save_statistics is not None:
            return save(asked(args), args.save_statistics)
        return compare(args.fake, asked(args), location("evaluation") if args.out is None else args.out)

    from jaxgen.commands.model import guided, open_model

    if args.command == "likelihood":
        from jaxgen.commands.likelihood import likelihood

        models = (open_model(workdir, overrides, args.step) for workdir in args.workdir)
        return likelihood(models, args.split, args.num, args.seed)
    model = open_model(args.workdir, overrides, args.step, getattr(args, "sampler", None))
    if getattr(args, "classifier", None) is not None:
        model = guided(model, open_model(args.classifier, mesh=model.mesh), 1.0 if args.scale is None else args.scale)
    if args.command == "sample":
        from jaxgen.commands.sample import sample

        return sample(model, args.num, args.seed, args.label, args.out, args.strip)
    if args.command == "restore":
        from jaxgen.commands.problems import Problem
        from jaxgen.commands.restore import restore

        problem = Problem(args.task, args.mask, args.factor, args.std)
        return restore(model, problem, args.method, args.weight, args.images, args.num, args.seed, args.label, args.out)
    if args.command == "reconstruct":
        from jaxgen.commands.latent import reconstruct

        return reconstruct(model, args.split, args.num, args.seed, args.out)
    if args.command == "interpolate":
        from jaxgen.commands.latent import interpolate

        return interpolate(model, args.num, args.frames, args.seed, args.label, args.out)
    from jaxgen.commands.evaluate import evaluate

    return evaluate(model, asked(args), args.num or 1000, args.seed or 0)


def form(args: argparse.Namespace, overrides: Sequence[str]) -> str:
    """Which of FORMS `jaxgen evaluate` has. Raises ValueError where a flag would do nothing in it."""
    given = {name for name, value in vars(args).items() if value is not None and value is not False and value != []}
    found = next((name for name in FORMS if name in given), None)
    if found is None:
        raise ValueError("give --workdir of a model, or --fake images, or --real with --save_statistics.")
    known = {found, *FORMS[found], *ALWAYS, *SEVERAL, "timeout", "command"}
    other = [f"--{name}" for name in vars(args) if name in given - known]
    if found != "workdir":
        other += [f"--config.{override}" for override in overrides]
    elif args.real is None:
        other += [f"--{name}" for name in ("image_size", "skip_bad") if name in given]
    if "scale" in given and "classifier" not in given:
        other.append("--scale")
    if other:
        beside = " without --real" * (other[0] in ("--image_size", "--skip_bad"))
        beside = " without --classifier" if other[0] == "--scale" else beside
        raise ValueError(f"{other[0]} does nothing beside --{found}{beside}: leave it out.")
    return found


def listing() -> str:
    """What --metrics and --weights of `jaxgen evaluate` may name."""
    from jaxgen.commands.metrics import listing

    return listing()


def asked(args: argparse.Namespace) -> "Asked":
    """What `jaxgen evaluate` is to measure."""
    from jaxgen.commands.asked import Asked
    from jaxgen.commands.metrics import files
    from jaxgen.evaluate.stream.captions import read_captions

    captions = None if args.captions is None else read_captions(args.captions)
    weights = files(args.weights)
    return Asked(args.metrics, args.real, weights, args.batch, args.image_size, args.skip_bad, captions)


def split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """(other arguments, "section.key=value" of every --config.section.key=value)."""
    prefix = "--config."
    overrides = [argument[len(prefix) :] for argument in argv if argument.startswith(prefix)]
    return [argument for argument in argv if not argument.startswith(prefix)], overrides


def together(args: argparse.Namespace, overrides: list[str]) -> str | None:
    """`run` as one of several processes, of which the first has something to say. One that fails ends here."""
    from jaxgen.parallel import multihost

    timeout = args.timeout or SILENCE
    multihost.initialize(args.coordinator, args.num_processes, args.process_id, timeout)
    if args.command != "train":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # JAX takes it for a notice, which only training heeds
    try:
        said = run(args, overrides)
    except (Exception, KeyboardInterrupt) as error:
        code = explain(ConnectionError(multihost.LOST) if multihost.is_loss(error) else error)
        if code is None:
            traceback.print_exc()
        multihost.leave(code or 1, timeout)
    return said if multihost.is_main() else None


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. 0: done; 2: bad input, one sentence on the standard error; 75: another process was lost, and the
    same command goes on; 130: interrupted."""
    try:
        arguments, overrides = split(sys.argv[1:] if argv is None else argv)
        args = parser().parse_args(arguments)
        given = [getattr(args, flag, None) for flag in SEVERAL]
        several = any(value is not None and value is not False for value in given)
        if not several and getattr(args, "timeout", None) is not None:
            raise ValueError("--timeout is of several processes: give --distributed or --coordinator too, or drop it.")
        with sentences():
            said = together(args, overrides) if several else run(args, overrides)
    except (Exception, KeyboardInterrupt) as error:
        code = explain(error)
        if code is None:
            raise
        return code
    if said is not None:
        print(said)
    return 0


@contextmanager
def sentences() -> Iterator[None]:
    """Warnings that are for users are one sentence each, told once."""
    usual, told = warnings.showwarning, set()

    def say(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        sentence = " ".join(str(message).split())
        if category is not UserWarning:
            usual(message, category, *where, **more)
        elif sentence not in told:
            told.add(sentence)
            print(f"warning: {sentence}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = say
        yield


def explain(error: BaseException) -> int | None:
    """The exit code of a command that ended in `error`, told in one sentence; None for a bug, shown in full."""
    if isinstance(error, KeyboardInterrupt):
        code, sentence = 130, "interrupted."
    elif isinstance(error, OSError) or isinstance(error, ValueError) and ours(error):
        code, sentence = os.EX_TEMPFAIL if isinstance(error, ConnectionError) else 2, str(error)
    else:
        return None
    print(f"jaxgen: {' '.join(sentence.split())}", file=sys.stderr)
    return code


def ours(error: BaseException) -> bool:
    """Whether a `raise` statement of jaxgen made `error`; anything else that fails is a bug, and shown in full."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] != "jaxgen":
        return False
    return trace.tb_frame.f_code.co_code[trace.tb_lasti] == opmap["RAISE_VARARGS"]


if __name__ == "__main__":
    sys.exit(main())
