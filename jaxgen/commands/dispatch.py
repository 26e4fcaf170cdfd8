"""From the flags of a command to what it does; only the modules of that command are imported."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxgen.configuration import load
from jaxgen.io.location import location

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

    if args.command == "evaluate":
        which, wanted = form(args, overrides), asked(args)
        if which != "workdir":
            from jaxgen.commands.compare import compare, save

            if which == "save_statistics":
                return save(wanted, args.save_statistics)
            return compare(args.fake, wanted, location("evaluation") if args.out is None else args.out)

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

    return evaluate(model, wanted, args.num or 1000, args.seed or 0)


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


def asked(args: argparse.Namespace) -> "Asked":
    """What `jaxgen evaluate` is to measure. Raises ValueError for names that no metric or network has."""
    from jaxgen.commands.asked import Asked, check, names
    from jaxgen.commands.metrics import files
    from jaxgen.evaluate.stream.captions import read_captions

    named, weights = names(args.metrics), files(args.weights)
    captions = None if args.captions is None else read_captions(args.captions)
    found = Asked(named, args.real, weights, args.batch, args.image_size, args.skip_bad, captions)
    check(found)
    return found
