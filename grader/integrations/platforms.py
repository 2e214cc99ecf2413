"""Which files each platform gets, and from which templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from grader.integrations.course import Course, filled

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Platform:
    """A platform that a class can be graded on."""

    title: str
    scripts: str
    """The folder that holds `settings.sh` and what reads it."""
    files: Mapping[str, str]
    """Template of each file, by its path."""
    isolation: str = "strict"
    """What is taken unless another is asked for; never less than works."""


PLATFORMS = {
    "github": Platform(
        "a workflow of GitHub Actions that grades each push, with GitHub Classroom's points",
        ".github/grader",
        {
            ".github/workflows/grade.yml": "github/grade.yml",
            ".github/grader/README.md": "github/README.md",
            ".github/grader/one.sh": "shared/one.sh",
        },
    ),
    "gradescope": Platform(
        "an autograder for Gradescope",
        ".",
        {
            "setup.sh": "gradescope/setup.sh",
            "run_autograder": "gradescope/run_autograder",
            "README.md": "gradescope/README.md",
            "one.sh": "shared/one.sh",
        },
        # As root in a container that may make no namespaces, strict cannot work.
        isolation="medium",
    ),
    "slurm": Platform(
        "an array of jobs for Slurm, and a job that merges its parts",
        ".",
        {
            "submit.sh": "slurm/submit.sh",
            "part.sbatch": "slurm/part.sbatch",
            "merge.sbatch": "slurm/merge.sbatch",
            "README.md": "slurm/README.md",
            "part.sh": "shared/part.sh",
            "merge.sh": "shared/merge.sh",
        },
    ),
    "kubernetes": Platform(
        "an indexed job for Kubernetes and one that merges its parts, or a Ray cluster",
        ".",
        {
            "grade.sh": "kubernetes/grade.sh",
            "parts.yaml": "kubernetes/parts.yaml",
            "merge.yaml": "kubernetes/merge.yaml",
            "ray.yaml": "kubernetes/ray.yaml",
            "ray.sh": "kubernetes/ray.sh",
            "README.md": "kubernetes/README.md",
            "part.sh": "shared/part.sh",
            "merge.sh": "shared/merge.sh",
        },
    ),
}


def contents(platform: Platform, course: Course) -> dict[str, bytes]:
    """Return the files of a course for a platform, by path. Raises FileNotFoundError for a missing wheel."""
    course, wheels = course.with_wheel()
    files = {
        path: filled((TEMPLATES / template).read_text(encoding="utf-8"), course).encode()
        for path, template in platform.files.items()
    }
    beside = {"settings.sh": course.settings().encode(), **wheels}
    return files | {str(PurePosixPath(platform.scripts, name)): one for name, one in beside.items()}


def write(files: Mapping[str, bytes], out: Path) -> None:
    """Write files below a folder; what begins as a script can be run. Raises OSError."""
    for name, content in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if content.startswith(b"#!"):
            path.chmod(0o755)
