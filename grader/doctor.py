"""`grader doctor`: what this machine offers, which isolation results, and what would give more."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

import psutil  # type: ignore[import-untyped]  # psutil ships no types

from grader.sandbox import isolation
from grader.sandbox.isolation import Trial
from grader.sandbox.start import ISOLATIONS

_ASK_TORCH = """
import json, torch
gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
print(json.dumps({"torch": torch.__version__, "CUDA": torch.version.cuda, "GPU": gpu}))
"""
_LONGEST_IMPORT_SECONDS = 120
_NO_GPU = "none that torch sees"


@dataclass(frozen=True)
class Diagnosis:
    """What was found."""

    machine: dict[str, str]
    isolation: list[Trial]
    strongest: str
    """The level that `grader run` takes here when not told."""
    with_gpu: list[Trial]
    """The same levels with CUDA's driver; empty where torch sees no GPU."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    doctor = commands.add_parser("doctor", help="say what this machine offers and which isolation results")
    doctor.set_defaults(command=doctor_command)
    doctor.add_argument("--json", action="store_true", help="print what was found as JSON")
    doctor.add_argument("--debug", action="store_true", help="show the traceback of a fault of the grader")


def doctor_command(options: argparse.Namespace) -> int:
    """`grader doctor`: exit code 0 if a submission can be held at all, 3 if not."""
    found = examine()
    sys.stdout.write(json.dumps(asdict(found), indent=2) + "\n" if options.json else page(found))
    return 0 if found.strongest != "none" else 3


def examine() -> Diagnosis:
    """Look at the machine and try each level of isolation."""
    trials = [isolation.tried(level) for level in ISOLATIONS]
    strongest = next((trial.isolation for trial in trials if trial.works), "none")
    memory = f"{psutil.virtual_memory().total / 2**30:.1f} GiB"
    machine = {
        "system": f"{platform.system()} {platform.release()} on {platform.machine()}",
        "processors": str(
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        ),
        "memory": memory,
        "Python": platform.python_version(),
        **_torch(),
        **{name: metadata.version(name) for name in ("numpy", "hypothesis")},
        **isolation.facts(),
        "bubblewrap": shutil.which("bwrap") or "not installed (and not needed)",
    }
    seen = machine.get("GPU", _NO_GPU) != _NO_GPU
    with_gpu = [isolation.tried(level, "cuda") for level in ISOLATIONS] if seen else []
    return Diagnosis(machine, trials, strongest, with_gpu)


def page(found: Diagnosis) -> str:
    """Return what was found as text."""
    width = max(map(len, found.machine))
    lines = [f"{name:<{width}}  {what}" for name, what in found.machine.items()]
    lines.append("")
    for trial in found.isolation:
        what = isolation.DESCRIPTIONS[trial.isolation]
        lines.append(f"{trial.isolation:<7} {'works' if trial.works else 'does not work'}: {what}")
        if not trial.works:
            lines += [f"        because: {trial.why_not}", f"        {isolation.remedy(trial.isolation)}"]
    for trial in found.with_gpu:
        works = "works" if trial.works else f"does not work: {trial.why_not}"
        lines.append(f"{trial.isolation:<7} with --device cuda {works}")
    lines += ["", f"`grader run` takes isolation {found.strongest} here."]
    if found.with_gpu:
        lines.append(f"With --device cuda it takes {isolation.choose(None, 'cuda')}.")
    return "\n".join(lines) + "\n"


def _torch() -> dict[str, str]:
    """Ask a fresh Python, because importing torch here would take it into every later process."""
    try:
        result = subprocess.run(
            [sys.executable, "-I", "-c", _ASK_TORCH],
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST_IMPORT_SECONDS,
        )
        said: dict[str, Any] = json.loads(result.stdout)
    except (subprocess.TimeoutExpired, OSError, ValueError):
        return {"torch": "cannot be imported: run setup.sh again"}
    return {
        "torch": said["torch"],
        "CUDA": said["CUDA"] or "not in this build of torch",
        "GPU": said["GPU"] or _NO_GPU,
    }
