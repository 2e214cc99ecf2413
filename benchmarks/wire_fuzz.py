"""Reads many frames that a submission may send; says how they ended, how long they took, how large they got.

Run it from the root of the repository: python benchmarks/wire_fuzz.py [frames] [seed]. Data goes to stdout.
A crash is a traceback and exit code 1, with the payload in it; a frame that takes more than a second, or
more memory than the bound of the tests, is counted and is exit code 1 too.
"""

from __future__ import annotations

import collections
import random
import sys
import time
import tracemalloc
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.harness.cheats import wire_fuzz  # noqa: E402  # found by the line above

SLOW_SECONDS = 1.0
ALLOCATED = 40
ALWAYS = 64 << 10
MEASURED = 10
"""One frame in this many is read with its memory traced, which takes several times as long."""


def main(count: int, seed: int) -> int:
    """Fuzz, print the figures, and return the exit code."""
    chance = random.Random(seed)
    ended: collections.Counter[str] = collections.Counter()
    slowest, most, over = 0.0, 0.0, 0
    start = time.perf_counter()
    for number in range(count):
        payload = wire_fuzz.payload(chance)
        traced = number % MEASURED == 0
        if traced:
            tracemalloc.start()
        began = time.perf_counter()
        try:
            ended[wire_fuzz.judged(payload)] += 1
        except BaseException:
            print(f"frame {number} of seed {seed}: {payload!r}", file=sys.stderr)
            raise
        slowest = max(slowest, time.perf_counter() - began)
        if traced:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            most = max(most, peak)
            over += peak > ALLOCATED * len(payload) + ALWAYS
    streams = sum(
        wire_fuzz.read_all(
            wire_fuzz.pieces(chance, wire_fuzz.stream(chance, [wire_fuzz.payload(chance)] * 3))
        )[1]
        for _ in range(count // 10)
    )
    print(f"{count:,} frames with seed {seed} in {time.perf_counter() - start:.1f} s")
    for how, times in ended.most_common():
        print(f"  {how:<12}{times:>10,}")
    print(f"{count // 10:,} streams of three frames, of which {streams:,} were refused")
    print(
        f"slowest frame: {slowest * 1e3:.2f} ms; most memory for one: {most / 1024:.0f} KiB; "
        f"over the bound: {over}"
    )
    return int(over > 0 or slowest > SLOW_SECONDS)


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:3]]
    sys.exit(main(*given, *[100_000, 0][len(given) :]))
