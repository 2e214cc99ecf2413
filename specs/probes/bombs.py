"""Files that run code when they are read carelessly, in each of the forms that are read so: it leaves a mark.

Made with what writes such files: `torch.save` and `numpy.save` pickle what they do not know.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch


class Bomb:
    """Whoever unpickles it in full calls `go_off`."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return go_off, ()


def go_off() -> None:
    """Say that code from a file was run: on disk, for another process may be the one that runs it."""
    _mark().touch()


def went_off() -> bool:
    """Say whether code was run since this was last asked, and forget it."""
    answer = _mark().exists()
    _mark().unlink(missing_ok=True)
    return answer


def _mark() -> Path:
    return Path(tempfile.gettempdir(), "gone_off")


def pickled(file: Path) -> None:
    """Write a plain pickle: the global function, no arguments, call it, end."""
    file.write_bytes(f"c{__name__}\n{go_off.__name__}\n(tR.".encode())


def of_torch(file: Path) -> None:
    """Write a file of `torch.save`."""
    with file.open("wb") as opened:
        torch.save(Bomb(), opened)


def of_old_torch(file: Path) -> None:
    """Write a file of `torch.save` as it was before version 1.6."""
    with file.open("wb") as opened:
        torch.save(Bomb(), opened, _use_new_zipfile_serialization=False)


def of_numpy(file: Path) -> None:
    """Write a file of `numpy.save`."""
    with file.open("wb") as opened:
        np.save(opened, np.array([Bomb()], dtype=object), allow_pickle=True)


KINDS = (pickled, of_torch, of_old_torch, of_numpy)
