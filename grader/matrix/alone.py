"""Runs a command again in a fresh interpreter in which torch will start no threads: forks of it are safe."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from grader.sandbox.warm import FORKABLE

Command = Callable[[argparse.Namespace], int]
HERE = "NANOGRADER_ALONE"
"""Set in the fresh interpreter."""


def alone(command: Command) -> Command:
    """Return a command that does what `command` does, in an interpreter of its own."""

    def again(options: argparse.Namespace) -> int:
        if os.environ.get(HERE):
            return command(options)
        given = {name: plain(value) for name, value in vars(options).items() if name != "command"}
        said = [sys.executable, "-m", "grader.matrix", command.__name__, json.dumps(given)]
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        # The interpreter must find this very grader, from whatever folder.
        paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        ours = {**FORKABLE, HERE: "1", "PYTHONPATH": os.pathsep.join(paths)}
        process = subprocess.Popen(said, env={**os.environ, **ours})
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # the terminal has told it, too: it says so, and ends its forks
                continue

    again.__name__ = command.__name__
    return again


def plain(value: object) -> object:
    """Return an option as JSON can hold it."""
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value
