"""Write levelN.ipynb: the cells of levelN.py, and the outputs of running them on the reference.

    python notebooks/build.py [levelN ...]

Without names it writes all of them. Two runs on the same machine write the same bytes: nothing of the run but
its outputs is stored, neither times nor versions nor paths. The outputs are those of a CPU.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from jupyter_client.manager import start_new_kernel

FOLDER = Path(__file__).resolve().parent
SUBMISSION = "reference"
CELL_SECONDS = 120

CELL_LINE = re.compile(r"^# %% (?P<text>\[markdown\] )?(?P<name>[\w-]+)\n", re.MULTILINE)

RUNS_THE_SUBMISSION = ("-experiment", "-acceptance", "setup-cell", "scripted-model")
"""How names of cells end whose output depends on the submission: it may print and warn, pictures of broken
code look otherwise, and the set-up names folder and device. nbval must not compare these: their assertions
decide, and nothing else."""

Cell = dict[str, Any]
"""A cell as nbformat 4.5 stores it. Its source is one string, which is legal, and short to compare."""


def cells(source: str) -> list[Cell]:
    """Return the cells of a source text, without outputs. ValueError if two have the same name."""
    found = list(CELL_LINE.finditer(source))
    names = [match["name"] for match in found]
    if len(set(names)) != len(names):
        raise ValueError(f"names of cells must differ, got {names}")
    ends = [match.start() for match in found[1:]] + [len(source)]
    return [
        _cell(match["name"], bool(match["text"]), source[match.end() : end].strip("\n"))
        for match, end in zip(found, ends, strict=True)
    ]


def _cell(name: str, is_text: bool, source: str) -> Cell:
    if is_text:
        text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in source.splitlines())
        return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}
    metadata = {"tags": ["nbval-ignore-output"]} if name.endswith(RUNS_THE_SUBMISSION) else {}
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": name,
        "metadata": metadata,
        "outputs": [],
        "source": source,
    }


def run(code_cells: list[Cell], submission: str) -> None:
    """Run code cells in a fresh kernel and store their outputs in them. RuntimeError if one raises."""
    environment = {**os.environ, "NANOCHAT_SUBMISSION": submission, "CUDA_VISIBLE_DEVICES": ""}
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(FOLDER), env=environment)
    try:
        for number, cell in enumerate(code_cells, start=1):
            reply = client.execute_interactive(
                cell["source"],
                timeout=CELL_SECONDS,
                output_hook=lambda message, to=cell["outputs"]: _store(message, to),
            )
            if reply["content"]["status"] != "ok":
                traceback = reply["content"].get("traceback", [])
                raise RuntimeError("\n".join([f"cell {cell['id']} failed", *traceback]))
            cell["execution_count"] = number
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _store(message: dict[str, Any], outputs: list[Cell]) -> None:
    """Append what a message of the kernel shows, if it shows anything; pieces of one stream become one."""
    kind, content = message["msg_type"], message["content"]
    if kind == "stream" and outputs and outputs[-1].get("name") == content["name"]:
        outputs[-1]["text"] += content["text"]
    elif kind == "stream":
        outputs.append({"name": content["name"], "output_type": kind, "text": content["text"]})
    elif kind == "display_data":
        outputs.append({"data": content["data"], "metadata": content["metadata"], "output_type": kind})


def notebook(cells: list[Cell]) -> str:
    """Return the text of a notebook of cells, for whatever kernel is called python3."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(made, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def sources() -> list[Path]:
    """Return the sources of all notebooks."""
    return sorted(FOLDER.glob("level[0-9]*.py"))


def build(source: Path) -> None:
    """Build the notebook of a source beside it."""
    path = source.with_suffix(".ipynb")
    path.touch()  # the set-up finds the repository by it
    made = cells(source.read_text(encoding="utf-8"))
    run([cell for cell in made if cell["cell_type"] == "code"], SUBMISSION)
    path.write_text(notebook(made), encoding="utf-8")
    print(f"{path.name}: {len(made)} cells, {path.stat().st_size / 1024:.0f} KiB")


def main(names: list[str]) -> int:
    """Build the notebooks of these names, all if there are none; 2 if there is no such source."""
    chosen = [FOLDER / f"{name}.py" for name in names] or sources()
    if unknown := [path.stem for path in chosen if path not in sources()]:
        known = ", ".join(path.stem for path in sources())
        print(f"there is no notebook {', '.join(unknown)}; there are {known}", file=sys.stderr)
        return 2
    for source in chosen:
        build(source)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
