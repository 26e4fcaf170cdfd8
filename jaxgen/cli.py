"""The command line: jaxgen train | sample | restore | reconstruct | interpolate | evaluate | likelihood | convert |
prompts | sheet | ratings | info."""

import argparse
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dis import opmap
from typing import Any

from jaxgen.commands.dispatch import SEVERAL, run
from jaxgen.commands.flags import SILENCE, parser


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
        code = os.EX_TEMPFAIL if isinstance(error, ConnectionError) else 2
        sentence = refused(error) if isinstance(error, OSError) else str(error)
    else:
        return None
    print(f"jaxgen: {' '.join(sentence.split())}", file=sys.stderr)
    return code


def refused(error: OSError) -> str:
    """What the operating system did not allow, and where."""
    path = error.filename if error.filename2 is None else error.filename2  # of a rename, the name that was asked for
    if path is None:
        return error.strerror or str(error)
    if isinstance(error, FileNotFoundError):
        return f"there is no file {path}: correct the path."
    if isinstance(error, IsADirectoryError):
        return f"expected a file at {path}, found a folder: correct the path."
    return f"{path} cannot be read or written ({error.strerror}): allow it, make room, or take another path."


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
