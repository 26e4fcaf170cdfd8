"""On a Slurm cluster, a job for each point of a sweep: python experiments/launch/slurm.py submit --nodes=4 train ...

Writes an sbatch file and submits it. One task a GPU; the tasks find each other through Slurm. Before the time limit
and on preemption the run is told, saves, and is put into the queue again, as after the loss of a node.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from job import Job, each, guard, jobs
from runner import PROGRESS, Runner, forwarding, runner

from jaxgen.commands.flags import whole

RULE = Path(__file__).with_name("runner.py")
NOTICE = 120  # seconds before the time limit


def parser() -> argparse.ArgumentParser:
    main = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = main.add_subparsers(dest="action", required=True)
    submit = commands.add_parser("submit", help="write and submit the job", allow_abbrev=False)
    submit.add_argument("--name", default="jaxgen")
    submit.add_argument("--nodes", type=whole(1), default=1)
    submit.add_argument(
        "--gpus", type=whole(0), default=1, help="of each node, with a task each; 0: one task, on the CPU"
    )
    submit.add_argument("--cpus", type=whole(1), default=4, help="of each task")
    submit.add_argument("--time", default="24:00:00", help="limit of one turn; the run goes on in the next")
    submit.add_argument("--partition")
    submit.add_argument("--account")
    submit.add_argument("--setup", default="", help="a shell command before the run, such as 'module load cuda'")
    submit.add_argument("--logs", help="folder that all nodes see (default: WORKDIR/logs)")
    submit.add_argument("--max_restarts", type=whole(0), default=20, help="in a row, without progress")
    submit.add_argument("jaxgen", nargs=argparse.REMAINDER, help="train --config=... --workdir=... [--sweep.KEY=a,b]")
    status = commands.add_parser("status", help="your jobs", allow_abbrev=False)
    stop = commands.add_parser("stop", help="end a job for good", allow_abbrev=False)
    stop.add_argument("--job", required=True, type=int, help="number of the job")
    for command in (submit, status, stop):
        command.add_argument("--dry_run", action="store_true", help="show the commands only")
    return main


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    return guard(lambda: act(args, runner(args.dry_run)))


def act(args: argparse.Namespace, system: Runner) -> int:
    if args.action == "status":
        return system.run(["squeue", "--me"])
    if args.action == "stop":  # without Requeue=0 the job would put itself into the queue again
        off = system.run(["scontrol", "update", f"JobId={args.job}", "Requeue=0"])
        return off or system.run(["scancel", str(args.job)])
    return each(jobs(args.jaxgen), lambda job: submit(job, args, system))


def submit(job: Job, args: argparse.Namespace, system: Runner) -> int:
    if args.logs is None and "://" in job.workdir:
        raise ValueError(f"--logs must name a folder of the cluster, because {job.workdir} is elsewhere.")
    logs = (Path(args.logs or Path(job.workdir) / "logs")).absolute()
    text = batch_file(job, args, logs, Path.cwd())
    path = logs / "job.sbatch"
    if args.dry_run:
        print(f"cat > {shlex.quote(str(path))} <<'END'\n{text}END")
    else:
        logs.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return system.run(["sbatch", str(path)])


def batch_file(job: Job, args: argparse.Namespace, logs: Path, folder: Path) -> str:
    """The sbatch file of a job that is run in `folder`.

    srun ends with the highest code, which is that of the peers it kills: each task therefore leaves its own. Restarts
    are counted from the last turn that lasted.
    """
    pattern = str(logs).replace("%", "%%")
    options = {
        "job-name": args.name,
        "nodes": args.nodes,
        "ntasks-per-node": args.gpus or 1,
        "gpus-per-node": args.gpus or None,
        "cpus-per-task": args.cpus,
        "time": args.time,
        "partition": args.partition,
        "account": args.account,
        "output": f"{pattern}/slurm.log",
        "open-mode": "append",
        "signal": f"B:TERM@{NOTICE}",  # to the shell below, which hands it on: it must know that it came
    }
    lines = [f"#SBATCH --{name}={shlex.quote(str(value))}" for name, value in options.items() if value is not None]
    if any("\n" in line for line in lines):
        raise ValueError("an option of the job holds a line break.")
    srun = ["srun", "--kill-on-bad-exit=1", f"--output={pattern}/%t.log", "--open-mode=append"]
    codes, lasted = shlex.quote(f"{logs}/codes"), shlex.quote(f"{logs}/lasted")
    task = (
        f"trap : TERM; {shlex.join([sys.executable, '-m', 'jaxgen', *job.arguments, '--distributed'])}; code=$?; "
        f'echo $code > {codes}/"$SLURM_PROCID"; exit $code'
    )
    verdict = f'{shlex.join([sys.executable, str(RULE)])} $(cat {codes}/* 2>/dev/null) "$code"'
    return "\n".join(
        [
            "#!/bin/bash",
            *lines,
            "#SBATCH --requeue",
            "",
            f"cd {shlex.quote(str(folder))} || exit",
            *([args.setup] if args.setup else []),
            "restarts=${SLURM_RESTART_COUNT:-0}",
            f'[ "$restarts" -gt 0 ] || rm -f {lasted}',
            f"rm -rf {codes}; mkdir -p {codes}",
            forwarding(shlex.join([*srun, "sh", "-c", task])),
            f"again=$({verdict}); code=$?",
            f'[ "$SECONDS" -lt {PROGRESS} ] || echo "$restarts" > {lasted}',
            f"in_a_row=$((restarts - $(cat {lasted} 2>/dev/null || echo 0)))",
            f'if [ "$again" ] && [ "$in_a_row" -lt {args.max_restarts} ]; then',
            '  scontrol requeue "$SLURM_JOB_ID"',
            "fi",
            'exit "$code"',
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
