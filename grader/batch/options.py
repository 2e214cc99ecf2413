"""What several commands of a class take on the command line."""

from __future__ import annotations

import argparse
import re

from grader.arguments import positive, share
from grader.batch import cluster, local
from grader.batch.engine import Conditions, Engine
from grader.batch.grading import MakeEngine
from grader.run import UsageError, processors
from grader.sandbox.isolation import choose
from grader.sandbox.start import ISOLATIONS


def add_engine_options(command: argparse.ArgumentParser) -> None:
    """Add what says with what and how submissions are graded."""
    command.add_argument(
        "--jobs",
        type=positive,
        metavar="J",
        help="submissions that are graded at a time (default: one a processor, at most 2)",
    )
    command.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="this machine, or a Ray cluster (default: %(default)s)",
    )
    command.add_argument("--address", metavar="ADDRESS", help="of the Ray cluster")
    command.add_argument(
        "--gpu-share",
        type=share,
        metavar="F",
        help=f"the part of a GPU of the Ray cluster that one submission takes (default: {cluster.GPU_SHARE})",
    )
    command.add_argument(
        "--isolation", help=f"one of {', '.join(ISOLATIONS)} (default: strict; never less unless asked for)"
    )
    command.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where models run (default: %(default)s)"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object a line")
    command.add_argument("--debug", action="store_true", help="show the traceback of a fault of the grader")


def chosen_isolation(options: argparse.Namespace) -> str:
    """Return the isolation of a class: strict, or what is asked for. Raises UsageError and GraderFault."""
    asked = options.isolation or ("basic" if options.device == "cuda" else "strict")
    if asked not in ISOLATIONS:
        raise UsageError(
            f"--isolation {asked}: a class is graded in processes of the submissions' own; "
            f"there are {', '.join(ISOLATIONS)}"
        )
    return choose(asked, options.device)


def engine_maker(options: argparse.Namespace) -> MakeEngine:
    """Return what makes the engine that the options name. Raises UsageError."""
    if options.address and options.engine != "ray":
        raise UsageError("--address is that of a Ray cluster: give --engine ray, too")
    if options.gpu_share and (options.engine, options.device) != ("ray", "cuda"):
        raise UsageError("--gpu-share is for a Ray cluster with GPUs: give --engine ray --device cuda, too")
    jobs, gpu_share = options.jobs or processors(), options.gpu_share or cluster.GPU_SHARE

    def make(conditions: Conditions) -> Engine:
        if options.engine == "ray":
            return cluster.RayEngine(conditions, options.address, jobs, gpu_share=gpu_share)
        return local.LocalEngine(conditions, jobs)

    return make


def shard(text: str) -> tuple[int, int]:
    """Return which part of how many, for argparse."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"{text}: want I/N with 1 <= I <= N, such as 3/16")
    return int(found[1]), int(found[2])
