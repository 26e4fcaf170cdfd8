"""On TPUs of Google Kubernetes Engine, through xpk: python experiments/launch/gke.py run --cluster=... train ...

create a cluster · image: build and push what runs there · run: one workload for each point of a sweep · list · stop a
workload · delete the cluster. The processes find each other through GKE; a lost or preempted slice is started again.
"""

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from job import Job, each, guard, jobs
from runner import STOPPED, Runner, forwarding, runner
from source import CHECKOUT, check, unchanged

from jaxgen.commands.flags import whole

HERE = Path(__file__).parent
GRACE = 120  # seconds in which a run that is told to stop may save


def parser() -> argparse.ArgumentParser:
    main = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = main.add_subparsers(dest="action", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.add_argument("--dry_run", action="store_true", help="show the commands only")
        return sub

    create = command("create", "Make a cluster of TPU slices. It costs money until it is deleted.")
    capacity = create.add_mutually_exclusive_group(required=True)
    capacity.add_argument("--spot", action="store_true")
    capacity.add_argument("--on_demand", action="store_true")
    capacity.add_argument("--reservation", help="the name of one")
    image = command("image", "Build the image of this checkout, and push it.")
    image.add_argument("--image", required=True, help="REGION-docker.pkg.dev/PROJECT/REPOSITORY/jaxgen:TAG")
    run = command("run", "Start a workload.")
    run.add_argument("--image", required=True, help="the one that was pushed")
    run.add_argument("--max_restarts", type=whole(0), default=20)
    found = command("list", "The workloads of the cluster.")
    stop = command("stop", "End a workload; it saves.")
    delete = command("delete", "Delete the cluster and all its machines.")
    for sub in (create, run, found, stop, delete):
        sub.add_argument("--cluster", required=True)
        sub.add_argument("--zone", required=True)
        sub.add_argument("--project", required=True)
    for sub in (create, run):
        sub.add_argument("--tpu", required=True, help="type of a slice, such as v5litepod-16")
        sub.add_argument("--slices", type=whole(1), default=1)
    for sub in (run, stop):
        sub.add_argument("--workload", required=True, help="its name; of a sweep, NAME-0, NAME-1, ...")
    run.add_argument("jaxgen", nargs=argparse.REMAINDER, help="train --config=... --workdir=gs://... [--sweep.KEY=a,b]")
    return main


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    return guard(lambda: act(args, runner(args.dry_run)))


def act(args: argparse.Namespace, system: Runner) -> int:
    if args.action == "image":
        build = ["docker", "build", f"--tag={args.image}", f"--file={HERE / 'Dockerfile'}", str(CHECKOUT)]
        return system.run(build) or system.run(["docker", "push", args.image])
    where = [f"--cluster={args.cluster}", f"--zone={args.zone}", f"--project={args.project}"]
    if args.action == "create":
        capacity = f"--reservation={args.reservation}" if args.reservation else "--spot" if args.spot else "--on-demand"
        slices = [f"--tpu-type={args.tpu}", f"--num-slices={args.slices}"]
        return system.run(["xpk", "cluster", "create", *where, *slices, capacity])
    if args.action == "delete":
        return system.run(["xpk", "cluster", "delete", *where])
    if args.action == "list":
        return system.run(["xpk", "workload", "list", *where])
    if args.action == "stop":
        return system.run(["xpk", "workload", "delete", *where, f"--workload={args.workload}"])
    todo = jobs(args.jaxgen)
    names = [args.workload] if len(todo) == 1 else [f"{args.workload}-{index}" for index in range(len(todo))]
    named = dict(zip(todo, names, strict=True))
    return each(todo, lambda job: system.run([*workload(job, named[job], args), *where]))


def workload(job: Job, name: str, args: argparse.Namespace) -> list[str]:
    """`xpk workload create` without its cluster. xpk restarts what ended with 127 .. 255, and here with STOPPED."""
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,37}[a-z0-9])?", name):
        raise ValueError(f"a workload is named by at most 39 small letters, digits and hyphens, got {name!r}.")
    if "://" not in job.workdir:
        raise ValueError(f"--workdir must be gs://BUCKET/..., got {job.workdir}: a container forgets its files.")
    check(job)
    same = unchanged(CHECKOUT, ("configs", "jaxgen"), "build the image again, with another tag")
    inside = forwarding(shlex.join(["jaxgen", *job.arguments, "--distributed"]))
    return [
        *("xpk", "workload", "create", f"--workload={name}", f"--docker-image={args.image}"),
        *(f"--tpu-type={args.tpu}", f"--num-slices={args.slices}"),
        *(f"--max-restarts={args.max_restarts}", f"--restart-on-exit-codes={STOPPED}"),
        f"--termination-grace-period-seconds={GRACE}",
        f'--command={same}; {inside}; exit "$code"',
    ]


if __name__ == "__main__":
    sys.exit(main())
