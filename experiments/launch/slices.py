"""Slices of Cloud TPU as queued resources: the commands of gcloud, and what they say."""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from runner import Runner

GONE = "FAILED", "SUSPENDING", "SUSPENDED", "DELETING"  # states of a queued resource that never trains again
DELETED = "DELETING", ""  # states of one that somebody deletes, or has deleted
POLL = 30.0  # seconds
PATIENCE = 10  # times in a row that gcloud may fail to say what there is


def where(args: argparse.Namespace) -> list[str]:
    return [f"--zone={args.zone}", *([f"--project={args.project}"] if args.project else [])]


def gcloud(verb: str, args: argparse.Namespace, *more: str) -> list[str]:
    return ["gcloud", "compute", "tpus", "queued-resources", verb, args.name, *where(args), *more]


def on(worker: str, command: str, args: argparse.Namespace) -> list[str]:
    """`command` on one host or "all" at once. By tpu-vm, which ends as the command does: queued-resources ssh ends with
    0 also where it reached no host."""
    node = f"{args.name}-node"
    place = ["gcloud", "compute", "tpus", "tpu-vm", "ssh", node, *where(args), f"--worker={worker}"]
    return [*place, f"--command={command}"]


def ssh(worker: str, command: str, args: argparse.Namespace, system: Runner) -> int:
    return system.run(on(worker, command, args))


def options(args: argparse.Namespace, tpu: str, software: str, tier: str | None, account: str | None) -> list[str]:
    """Of a request for a slice; no tier is on demand."""
    asked = [f"--node-id={args.name}-node", f"--accelerator-type={tpu}", f"--runtime-version={software}"]
    return [*asked, *([f"--{tier}"] if tier else []), *([f"--service-account={account}"] if account else [])]


def request(asked: Sequence[str], args: argparse.Namespace, system: Runner) -> int:
    return system.run(gcloud("create", args, *asked))


def describe(args: argparse.Namespace, system: Runner) -> dict[str, Any]:
    """The queued resource as gcloud knows it; {} if there is none. Raises ConnectionError if gcloud does not say."""
    for again in range(PATIENCE):
        if again:
            system.sleep(POLL)
        answer = system.read(gcloud("describe", args, "--format=json"))
        if not answer.code:
            return json.loads(answer.text or "{}")
        if "NOT_FOUND" in answer.error:
            return {}
        print(answer.error, file=sys.stderr, flush=True)
    raise ConnectionError(f"gcloud does not say what is with {args.name} ({answer.error[-300:]}): {bill(args)}")


def bill(args: argparse.Namespace) -> str:
    """What is to be done about a slice that nobody waits for."""
    ends = shlex.join(["python", "experiments/launch/tpu_vm.py", "delete", f"--name={args.name}", *where(args)])
    return f"it may be there, or still arrive, and costs money until you end it with: {ends}"


def state(args: argparse.Namespace, system: Runner) -> str:
    """Of the queued resource: ACTIVE when its hosts are there; "" if there is none."""
    return describe(args, system).get("state", {}).get("state", "")


def like(found: dict[str, Any], args: argparse.Namespace) -> list[str]:
    """The options of a request for another slice like the one found."""
    try:
        node = found["tpu"]["nodeSpec"][0]["node"]
        tpu, software = node["acceleratorType"], node["runtimeVersion"]
    except (KeyError, IndexError) as error:
        raise ValueError(
            f"expected a slice {args.name} as `create` makes them, but gcloud names no {error}."
        ) from error
    scheduling = node.get("schedulingConfig", {})
    tiers = {
        "spot": "spot" in found or scheduling.get("spot") or scheduling.get("preemptible"),
        "reserved": "reservationName" in found or scheduling.get("reserved"),
    }
    tier = next((name for name, is_it in tiers.items() if is_it), None)
    return options(args, tpu, software, tier, node.get("serviceAccount", {}).get("email"))


def wait(args: argparse.Namespace, system: Runner) -> int:
    """Until the slice is there: 0; 1 if it will not come."""
    said = None
    try:
        while True:
            found = state(args, system)
            if args.dry_run or found == "ACTIVE":
                return 0
            if found != said:
                print(f"{args.name} is {found or 'not there'}", flush=True)
                said = found
            if found in GONE:
                print(f"{args.name} will not come; remove what is left of it: {bill(args).rpartition(': ')[2]}")
            if found in GONE or not found:
                return 1
            system.sleep(POLL)
    except KeyboardInterrupt:
        print(f"{args.name} is no longer waited for: {bill(args)}", flush=True)
        raise


def scp(files: Sequence[str], args: argparse.Namespace) -> list[str]:
    return ["gcloud", "compute", "tpus", "tpu-vm", "scp", *files, f"{args.name}-node:", *where(args), "--worker=all"]


def delete(args: argparse.Namespace, system: Runner) -> int:
    return system.run(gcloud("delete", args, "--force", "--quiet"))
