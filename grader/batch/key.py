"""What a result depends on, as a hash: where nothing of it has changed, nothing is graded again."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import grader
from grader import levels
from grader.run import versions

SHOWN = ("hints", "hint_stages", "visibility", "counterexample")
"""Keys of a level's file that say what is shown."""


@dataclass(frozen=True)
class Setting:
    """All that a result depends on, apart from the submission and the level."""

    specification: str
    """Hash of the properties, probes, oracles and level files."""
    seed: int
    environment: str
    """What the submission ran on and how it was held, as JSON."""
    grader: str
    """Hash of the modules that judge."""


def setting_for(seed: int, isolation: str, device: str, dtype: str) -> Setting:
    """Return the setting of gradings that begin now, on this machine."""
    environment = {
        **versions(),
        "machine": platform.machine(),
        "system": platform.system(),
        "isolation": isolation,
        "device": device,
        "dtype": dtype,
    }
    return Setting(specification(), seed, json.dumps(environment, sort_keys=True), judging_code())


def key_of(tree: str, level: int, setting: Setting) -> str:
    """Return the key of a result."""
    return hashlib.sha256(json.dumps([tree, level, asdict(setting)], sort_keys=True).encode()).hexdigest()


def specification() -> str:
    """Return the hash of what must hold: the level files and all code below their folder."""
    code = hash_of_files(levels.FOLDER.rglob("*.py"))
    plans = [what_counts(path.read_text(encoding="utf-8")) for path in sorted(levels.FOLDER.rglob("*.toml"))]
    return hashlib.sha256(json.dumps([code, plans]).encode()).hexdigest()


def what_counts(text: str) -> str:
    """Return the file of a level without what changes no result: comments, hints, and what students see."""

    def without(value: Any) -> Any:
        if isinstance(value, list):
            return [without(one) for one in value]
        if isinstance(value, dict):
            return {key: without(one) for key, one in value.items() if key not in SHOWN}
        return value

    table = without(tomllib.loads(text))
    weighed = [one for one in table.pop("property", ()) if one.keys() != {"id"}]
    return json.dumps([table, weighed], sort_keys=True)


@functools.cache
def judging_code() -> str:
    """Return the hash of the modules that grade one submission; what is made of results is not among them."""
    folder = Path(str(grader.__file__)).parent
    return hash_of_files([*folder.glob("*.py"), *(folder / "sandbox").glob("*.py")])


def hash_of_files(files: Iterable[Path]) -> str:
    """Return the SHA-256 of files: of their names and contents."""
    listed = sorted((str(path.name), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files)
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()
