"""A command in an interpreter of its own: `python -m grader.matrix COMMAND OPTIONS`, see `alone`."""

from __future__ import annotations

import argparse
import json
import sys

from grader.cli import obey
from grader.matrix import command

if __name__ == "__main__":
    name, options = sys.argv[1:]
    sys.exit(obey(argparse.Namespace(**json.loads(options), command=getattr(command, name))))
