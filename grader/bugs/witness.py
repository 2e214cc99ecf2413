"""One witness in a process of its own: `python -m grader.bugs.witness DIR NAME`.

DIR holds `nanochat/`. Prints what the witness found as JSON, or what was raised; the numbers are complete, so
two outcomes may be compared by `differ`.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

MARGIN = 1e-3
"""A hundred times what a refactoring of float32 code moves the numbers of any witness."""


def main(arguments: list[str]) -> int:
    """Run one witness and print what it found."""
    # Before torch is imported: a witness must not depend on how many threads there are.
    os.environ["OMP_NUM_THREADS"] = "1"
    folder, name = arguments
    print(json.dumps(outcome(name, imported(Path(folder)))))
    return 0


def imported(folder: Path) -> dict[str, ModuleType]:
    """Return the modules of the `nanochat` in `folder`, by name. Raises RuntimeError if they are others."""
    from grader.bugs import witnesses

    folder = folder.resolve()
    sys.path.insert(0, str(folder))
    modules = {name: importlib.import_module(f"nanochat.{name}") for name in witnesses.MODULES}
    for name, module in modules.items():
        if not Path(module.__file__ or "").is_relative_to(folder):
            raise RuntimeError(f"nanochat.{name} came from {module.__file__}, want one below {folder}")
    return modules


def outcome(name: str, modules: dict[str, ModuleType]) -> dict[str, Any]:
    """Return {"found": value}, or {"raised": name of the exception} if the witness did not come to an end."""
    from grader.bugs import witnesses

    try:
        return {"found": witnesses.run(name, modules)}
    except Exception as error:  # noqa: BLE001  # whatever broken code raises is its outcome
        return {"raised": type(error).__name__}


def differ(one: Any, other: Any, margin: float = MARGIN) -> bool:
    """Say whether two plain values differ: in form, in text, or in a number by more than the margin."""
    if isinstance(one, dict) and isinstance(other, dict):
        return set(one) != set(other) or any(differ(one[key], other[key], margin) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) != len(other) or any(differ(a, b, margin) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float):
        if not (math.isfinite(one) and math.isfinite(other)):
            return str(one) != str(other)
        return abs(one - other) > margin * max(1.0, abs(one))
    return type(one) is not type(other) or one != other


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
