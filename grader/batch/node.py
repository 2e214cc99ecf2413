"""A judge that a worker of a cluster starts beside itself: grades tasks from stdin, a line of JSON each.

A worker of Ray runs many threads and holds the connections of its cluster; neither may be near a fork or a
submission. So the worker only passes lines on. This process has one thread, no descriptor of the cluster and
nothing of Ray in its environment, and keeps a warm fork server for all tasks. It ends when stdin does.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys

from grader.batch.engine import Conditions, Grade, OpenServer, Task, answer, grade_task
from grader.sandbox import kernel
from grader.sandbox.launch import ForkServer


def main(grade: Grade = grade_task, open_server: OpenServer = ForkServer) -> int:
    """Grade each task on stdin and write what comes of it to stdout."""
    if sys.platform == "linux":
        kernel.end_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever prints must not print between the answers.
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        with contextlib.suppress(BrokenPipeError), open_server() as server:
            for line in sys.stdin.buffer:
                said = json.loads(line)
                found = answer(Task(**said["task"]), Conditions(**said["conditions"]), server, grade)
                answers.write(json.dumps(found, allow_nan=False).encode() + b"\n")
                answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
