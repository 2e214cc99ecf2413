"""Files that run code when they are read carelessly, in each of the forms that are read so: they set a flag.

Made with what writes such files: `torch.save` and `numpy.save` pickle what they do not know.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

_gone_off = False


class Bomb:
    """Whoever unpickles it in full calls `go_off`."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return go_off, ()


def go_off() -> None:
    """Say that code from a file was run."""
    global _gone_off
    _gone_off = True


def went_off() -> bool:
    """Say whether code was run since this was last asked, and forget it."""
    global _gone_off
    answer, _gone_off = _gone_off, False
    return answer


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
