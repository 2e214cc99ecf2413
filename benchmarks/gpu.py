"""Level 3 on a GPU: verdicts in both dtypes, and what generation holds by CUDA's own allocator.

    python benchmarks/gpu.py [--jobs 4] [--out FILE]

Needs a GPU. Prints a Markdown report; results that are kept lie beside this file, with date and versions.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import itertools
import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from grader import levels
from grader.alternates import alternates

ROOT = Path(__file__).parents[1]
CONFIG = {
    "sequence_len": 1024,
    "vocab_size": 4096,
    "n_layer": 8,
    "n_head": 8,
    "n_kv_head": 4,
    "n_embd": 512,
}
ROWS, PROMPT, TOKENS = 4, 64, 200


def main() -> None:
    """Run everything and print the report."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "submissions", nargs="*", help="folders (default: the reference, student/ and every alternate)"
    )
    options.add_argument("--jobs", type=int, default=4, help="submissions graded at a time")
    options.add_argument("--isolation", default="basic", help="as for `grader run` (default: %(default)s)")
    options.add_argument("--out", type=Path, help="also write the report there")
    arguments = options.parse_args()
    report = arguments.out.open("w", encoding="utf-8") if arguments.out else None
    # The short part first, and each line kept as soon as it is there: a run may be cut off.
    for line in itertools.chain(header(), memory(), verdicts(arguments)):
        for file in filter(None, (sys.stdout, report)):
            print(line, file=file, flush=True)


def header() -> list[str]:
    """Say where and when this was measured."""
    import torch

    return [
        "# Level 3 on a GPU",
        "",
        f"{datetime.date.today()}, {torch.cuda.get_device_name()}, torch {torch.__version__}, "
        f"Python {platform.python_version()}. Made by `python benchmarks/gpu.py`.",
        "",
    ]


def verdicts(arguments: argparse.Namespace) -> Iterator[str]:
    """Grade the submissions in both dtypes, and yield a row for each as it ends."""
    correct = map(str, alternates(levels.read(3).files))
    names = arguments.submissions or ["reference", "student", *correct]
    yield from ("| submission | dtype | points | not passed | seconds |", "|---|---|---|---|---|")
    with ThreadPoolExecutor(arguments.jobs) as pool:
        runs = {
            pool.submit(grade, name, dtype, arguments.isolation): (name, dtype)
            for name in names
            for dtype in ("float32", "bfloat16")
        }
        for run in as_completed(runs):
            yield row(*runs[run], run.result())


def row(name: str, dtype: str, record: dict[str, Any]) -> str:
    """Return one row of the table, and tell which properties a correct program did not pass."""
    level = record["levels"][0]
    for law in (law for c in level["criteria"] for law in c["properties"]):
        if law["verdict"] != "passed" and name != "student":
            print(f"{name} {dtype} {law['id']}: {law['verdict']}: {law['message']}", file=sys.stderr)
    broken = [c["id"] for c in level["criteria"] if c["verdict"] != "passed"]
    points, seconds = f"{level['points']:g} of {level['max_points']:g}", f"{record['seconds']:.1f}"
    return f"| {Path(name).name} | {dtype} | {points} | {', '.join(broken) or 'none'} | {seconds} |"


def grade(submission: str, dtype: str, isolation: str) -> dict[str, Any]:
    """Return the record of one run on the GPU."""
    command = [sys.executable, "-m", "grader", "run", "--level", "3", "--json", "--device", "cuda"]
    result = subprocess.run(
        [*command, "--dtype", dtype, "--submission", submission, "--isolation", isolation],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if result.returncode not in (0, 1):
        raise SystemExit(f"{submission} {dtype}: {result.stderr}")
    record: dict[str, Any] = json.loads(result.stdout)
    return record


def memory() -> list[str]:
    """Say what generations in a row add, and how the peak compares with the formula."""
    lines = [
        "What CUDA's allocator holds after each of six generations "
        f"({ROWS} rows, a prompt of {PROMPT}, {TOKENS} tokens), beyond the model; and the peak during the "
        "last, against 2 x layers x rows x key/value heads x slots x head size x bytes.",
        "",
        "| dtype | after each, beyond the first, bytes | peak, bytes | cache by the formula | ratio |",
        "|---|---|---|---|---|",
    ]
    sys.path += [str(ROOT), str(ROOT / "reference")]
    for dtype in ("float32", "bfloat16"):
        held, peak, formula = generations(dtype)
        after = ", ".join(f"{value - held[0]:+,}" for value in held)
        lines.append(f"| {dtype} | {after} | {peak:,} | {formula:,} | {peak / formula:.2f} |")
    return [*lines, ""]


def generations(dtype: str) -> tuple[list[int], int, int]:
    """Generate six times; return what was held after each, the last peak, and the cache by the formula."""
    import torch
    from nanochat.engine import Engine
    from nanochat.gpt import GPT, GPTConfig

    from specs.probes.byte_tokenizer import ByteTokenizer

    model = GPT(GPTConfig(**CONFIG))
    model.init_weights()
    model.to("cuda", getattr(torch, dtype))
    engine, held = Engine(model, ByteTokenizer()), []
    for seed in range(6):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        engine.generate_batch(list(range(32, 32 + PROMPT)), num_samples=ROWS, max_tokens=TOKENS, seed=seed)
        gc.collect()
        held.append(torch.cuda.memory_allocated())
        peak = torch.cuda.max_memory_allocated() - before
    head = CONFIG["n_embd"] // CONFIG["n_head"]
    itemsize = getattr(torch, dtype).itemsize
    slots = PROMPT + TOKENS
    formula = 2 * CONFIG["n_layer"] * ROWS * CONFIG["n_kv_head"] * slots * head * itemsize
    return held, peak, formula


if __name__ == "__main__":
    main()
