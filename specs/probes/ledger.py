"""Counts the bytes of tensors, on any device: an allocation ledger, and on a GPU its allocator as well.

Theory of operation. `Ledger` is a dispatch mode: torch shows it every operation that reaches a kernel,
also those of autograd and those under inference mode, with what it returns. The storage of each returned
tensor is entered once, by a weak reference. Storages are what memory is: a view, an expanded or a transposed
tensor shares one and adds nothing, and a view of one row keeps all rows alive. A storage's Python object
lives exactly as long as its memory, so the end of the weak reference is the release of the memory.

Blind spots: memory that a kernel takes and gives back within one operation, and what torch does not own
(NumPy copies, lists of numbers); properties look for those from outside the process and by tracemalloc.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch types this class in part
    """While entered, counts the bytes of every storage that operations make or change.

    Storages of the tensors `known` are left out: parameters that existed before.
    """

    def __init__(self, known: Iterable[torch.Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self._known = {id(storage): storage for storage in map(storage_of, known) if storage is not None}
        self._entries: dict[int, tuple[weakref.ref[torch.UntypedStorage], int]] = {}
        self._live = 0
        self._peak = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation and enter the storages of its outputs."""
        answer = func(*args, **(kwargs or {}))
        # What changes a tensor in place, as resize_ does, returns it as well.
        self._enter_all((answer,))
        self._peak = max(self._peak, self._live)
        return answer

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Torch would wrap every call of the method above, and import torch._dynamo for it: 0.9 s.
        return False

    def live_bytes(self) -> int:
        """Return the bytes of all entered storages that are alive now."""
        for reference, _ in list(self._entries.values()):
            storage = reference()
            if storage is not None:
                # Its size may have changed by a call that is no operation, as storage.resize_ is none.
                self._enter_bytes(storage)
        return self._live

    def sizes(self) -> list[tuple[weakref.ref[torch.UntypedStorage], int]]:
        """Return the entered storages that are alive now, and their bytes."""
        self.live_bytes()
        return list(self._entries.values())

    def peak_bytes(self) -> int:
        """Return the most bytes that were alive at once since the last `mark`, seen after each operation."""
        return max(self._peak, self.live_bytes())

    def mark(self) -> None:
        """Begin a new peak."""
        self._peak = self.live_bytes()

    def _enter_all(self, values: Iterable[Any]) -> None:
        # Operators return tensors and lists of tensors, no deeper; torch's own tree_leaves takes as long as
        # the small operations that are counted here.
        for value in values:
            if isinstance(value, torch.Tensor):
                self._enter_storage(value)
            elif isinstance(value, list | tuple):
                self._enter_all(value)

    def _enter_storage(self, tensor: torch.Tensor) -> None:
        storage = storage_of(tensor)
        if storage is not None and id(storage) not in self._known:
            self._enter_bytes(storage)

    def _enter_bytes(self, storage: torch.UntypedStorage) -> None:
        # An id is reused only after its object is gone, and then its entry is gone too.
        key, size = id(storage), storage.nbytes()
        entry = self._entries.get(key)
        if entry is None:
            entry = (weakref.ref(storage, lambda _: self._release(key)), 0)
        elif entry[1] == size:
            return
        self._entries[key] = (entry[0], size)
        self._live += size - entry[1]

    def _release(self, key: int) -> None:
        _, entered = self._entries.pop(key)
        self._live -= entered


def storage_of(tensor: torch.Tensor) -> torch.UntypedStorage | None:
    """Return the storage of a tensor that has memory, else None (sparse, or on the meta device)."""
    if tensor.layout is not torch.strided or tensor.device.type == "meta":
        return None
    return tensor.untyped_storage()


@functools.cache
def frozen_before() -> bool:
    """Say whether this process set its heap aside before anything was counted in it.

    Asked once: counting visits every object that was set aside, 16 ms in a process that holds torch.
    """
    # A process that froze after importing torch holds far more; Python 3.12 begins with some hundred.
    return gc.get_freeze_count() > 10_000


class Collector:
    """While entered, `collect` frees the cyclic garbage made since, in microseconds.

    Everything older is set aside first (`gc.freeze`): a full collection of a process that holds torch takes
    a tenth of a second. A submission that switches Python's collector off leaves its garbage lying about, so
    then none is collected.
    """

    def __enter__(self) -> Self:
        """Set everything that exists aside."""
        self._was_frozen = frozen_before()
        self._was_enabled = gc.isenabled()
        gc.enable()
        gc.freeze()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Put everything back, unless it was set aside before."""
        if not self._was_frozen:
            gc.unfreeze()
        if not self._was_enabled:
            gc.disable()

    def collect(self) -> None:
        """Free the garbage, as Python would have done sooner or later."""
        if gc.isenabled():
            gc.collect()


Readings = dict[str, list[int] | None]


@dataclass
class Meter:
    """While entered, reads the bytes held: by the ledger, and by the allocator where there is a GPU.

    The allocator's count is of the bytes asked for, without its rounding to 512, above what was held at
    the start.
    """

    known: Sequence[torch.Tensor] = ()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __enter__(self) -> Self:
        """Start both counts at zero."""
        self.ledger = Ledger(self.known)
        self._collector = Collector()
        self._allocated_before = 0
        if self.on_gpu:
            # The first matrix product of a process allocates a workspace that stays.
            for dtype in (torch.float32, torch.bfloat16):
                square = torch.ones(16, 16, device=self.device, dtype=dtype)
                (square @ square).sum().item()
            del square
        self._collector.__enter__()
        self._allocated_before = self._allocated("current")
        self._counting = contextlib.ExitStack()
        self._counting.enter_context(self.ledger)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Stop counting."""
        self._counting.close()
        self._collector.__exit__(kind, error, where)

    @property
    def on_gpu(self) -> bool:
        """Say whether there is an allocator to read."""
        return self.device.type == "cuda"

    def measure(self) -> tuple[int, int | None]:
        """Return the bytes held now: (ledger, allocator or None).

        A collection frees storages and makes none smaller: one that code which hears of it has emptied counts
        as it was before.
        """
        before = self.ledger.sizes()
        self._collector.collect()
        emptied = sum(
            size - storage.nbytes() for reference, size in before if (storage := reference()) is not None
        )
        return self.ledger.live_bytes() + emptied, self._allocated("current") if self.on_gpu else None

    def mark(self) -> None:
        """Begin a new peak."""
        self._collector.collect()
        self.ledger.mark()
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)

    def measure_peak(self) -> tuple[int, int | None]:
        """Return the most bytes held since the last `mark`: (ledger, allocator or None)."""
        return self.ledger.peak_bytes(), self._allocated("peak") if self.on_gpu else None

    def _allocated(self, what: str) -> int:
        if not self.on_gpu:
            return 0
        torch.cuda.synchronize(self.device)
        stats = torch.cuda.memory_stats(self.device)
        asked_for = stats.get(f"requested_bytes.all.{what}", stats[f"allocated_bytes.all.{what}"])
        return int(asked_for) - self._allocated_before


def readings(measured: Iterable[tuple[int, int | None]]) -> Readings:
    """Return measurements in the form in which the judge reads them: one list for each instrument."""
    pairs = list(measured)
    allocator = [allocated for _, allocated in pairs if allocated is not None]
    return {"ledger": [counted for counted, _ in pairs], "allocator": allocator or None}
