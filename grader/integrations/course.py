"""What a course decides, and what its folders for a platform say instead of the templates' placeholders."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

GIBIBYTES_PER_JOB = 3
"""Of memory: two for the submission, as the levels allow it, and one for its judge, torch and the files."""

ROOT_WITH_NAMESPACES = {
    "runAsUser": 0,
    "capabilities": {
        "drop": ["ALL"],
        "add": ["CHOWN", "DAC_OVERRIDE", "KILL", "SETGID", "SETPCAP", "SETUID", "SYS_ADMIN"],
    },
    "seccompProfile": {"type": "Unconfined"},
    "appArmorProfile": {"type": "Unconfined"},
}
"""What isolation strict needs of a container.

With all other capabilities dropped the reference is graded. Without CHOWN, SETGID, SETUID or SYS_ADMIN strict
does not work; SETPCAP takes capabilities from the submission for good, KILL ends processes of its user, and
DAC_OVERRIDE writes to a volume that is another's.
"""

NO_PRIVILEGES = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What is enough for isolation medium and basic."""


@dataclass(frozen=True)
class Course:
    """How a course is graded."""

    level: str
    """The number of a level, or all."""
    seed: int
    isolation: str
    jobs: int
    """Submissions or levels that one machine grades at a time."""
    minutes: int = 0
    """After how long the grading of one submission is given up, without a mark."""
    shards: int = 0
    """Into how many parts a class is cut; 0 where each submission comes alone."""
    install: str = ""
    """What pip installs the grader from."""
    image: str = ""
    """The container image that holds the grader."""

    def placeholders(self) -> dict[str, str]:
        """Return what stands for each placeholder of a template."""
        strict = self.isolation == "strict"
        return {
            "LEVEL": self.level,
            "ISOLATION": self.isolation,
            "JOBS": str(self.jobs),
            "SHARDS": str(self.shards),
            "MEMORY": str(GIBIBYTES_PER_JOB * self.jobs),
            "MINUTES": str(self.minutes),
            "TIMEOUT": str(self.minutes + 20),  # installing takes its time, too
            "IMAGE": flow(self.image),
            "SECURITY": flow(ROOT_WITH_NAMESPACES if strict else NO_PRIVILEGES),
            # The volume's files belong to a group that an ordinary user of the pod is in.
            "POD_SECURITY": flow({} if strict else {"fsGroup": NO_PRIVILEGES["runAsGroup"]}),
        }

    def settings(self) -> str:
        """Return `settings.sh`, which the scripts of all platforms read."""
        values = {
            "LEVEL": self.level,
            "SEED": self.seed,
            "ISOLATION": self.isolation,
            "JOBS": self.jobs,
            "MINUTES": self.minutes or None,
            "SHARDS": self.shards or None,
            "INSTALL": self.install or None,
        }
        lines = [f"GRADER_{name}={shlex.quote(str(one))}" for name, one in values.items() if one is not None]
        return "\n".join(["# How the course is graded.", *lines]) + "\n"

    def with_wheel(self) -> tuple[Course, Mapping[str, bytes]]:
        """Return the course that installs the wheel beside its scripts, and the wheel; else itself.

        Raises FileNotFoundError if a wheel is named that is not there.
        """
        if not self.install.endswith(".whl") or "://" in self.install:
            return self, {}
        wheel = Path(self.install)
        return replace(self, install=f"./{wheel.name}"), {wheel.name: wheel.read_bytes()}


def flow(value: Any) -> str:
    """Return a value on one line of YAML, of which JSON is a part."""
    return json.dumps(value)


def filled(template: str, course: Course) -> str:
    """Return a template with what the course says. Raises KeyError for a placeholder that nobody fills."""
    known = course.placeholders()
    return re.sub(r"@([A-Z_]+)@", lambda found: known[found[1]], template)
