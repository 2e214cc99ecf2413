"""The ledger counts what is known in advance: bytes alive, bytes at the peak, and what is freed."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from specs.probes.ledger import Collector, Ledger, Meter, frozen_before, readings

KIB = 1024


def block(kibibytes: int = 1) -> torch.Tensor:
    """Return a float32 tensor of so many KiB."""
    return torch.zeros(kibibytes * 256)


def test_counts_a_tensor_until_it_is_dropped() -> None:
    with Ledger() as ledger:
        a = block(3)
        assert ledger.live_bytes() == 3 * KIB
        b = block(2)
        assert ledger.live_bytes() == 5 * KIB
        del a
        assert ledger.live_bytes() == 2 * KIB
        del b
        assert ledger.live_bytes() == 0
        assert ledger.peak_bytes() == 5 * KIB
        ledger.mark()
        assert ledger.peak_bytes() == 0


MAKERS: list[tuple[str, Callable[[torch.Tensor], torch.Tensor], int]] = [
    ("empty", lambda _: torch.empty(512), 2),
    ("tensor of a list", lambda _: torch.tensor([0.0] * 256), 1),
    ("arange", lambda _: torch.arange(128), 1),
    ("new_zeros", lambda x: x.new_zeros(512), 2),
    ("empty_like", torch.empty_like, 1),
    ("clone", lambda x: x.clone(), 1),
    ("cat", lambda x: torch.cat([x, x]), 2),
    ("stack", lambda x: torch.stack([x, x, x]), 3),
    ("repeat", lambda x: x.repeat(4), 4),
    ("repeat_interleave", lambda x: x.view(16, 16).repeat_interleave(2, dim=1), 2),
    ("pad", lambda x: F.pad(x, (0, 256)), 2),
    ("to another dtype", lambda x: x.to(torch.bfloat16).to(torch.float64), 2),
    ("contiguous of a transpose", lambda x: x.view(16, 16).t().contiguous(), 1),
    ("index", lambda x: x[torch.arange(256)], 1),
    ("matrix product", lambda x: x.view(16, 16) @ x.view(16, 16), 1),
    ("a view of NumPy's memory", lambda _: torch.from_numpy(np.zeros(256, np.float32)).view(16, 16), 1),
    ("a view", lambda x: x.view(16, 16), 0),
    ("expand", lambda x: x[None].expand(100, 256), 0),
    ("a slice", lambda x: x[3:5], 0),
    ("in place", lambda x: x.add_(1), 0),
    ("nothing new", lambda x: x.contiguous(), 0),
    ("on the meta device", lambda _: torch.zeros(1 << 20, device="meta"), 0),
]


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize(("make", "kibibytes"), [m[1:] for m in MAKERS], ids=[m[0] for m in MAKERS])
def test_counts_what_operations_make(
    make: Callable[[torch.Tensor], torch.Tensor], kibibytes: int, context: Callable[[], torch.no_grad]
) -> None:
    with context(), Ledger() as ledger:
        x = block()
        made = make(x)
        assert ledger.live_bytes() == KIB * (1 + kibibytes)
        if kibibytes == 0:
            return
        del made
        assert ledger.live_bytes() == KIB


def test_a_small_view_keeps_the_whole_storage() -> None:
    with Ledger() as ledger:
        view = block(8)[:1]
        assert ledger.live_bytes() == 8 * KIB
        del view
        assert ledger.live_bytes() == 0


def test_a_resized_storage_counts_at_its_new_size() -> None:
    with Ledger() as ledger:
        x = block()
        x.resize_(1024)
        assert ledger.live_bytes() == 4 * KIB
        x.untyped_storage().resize_(0)
        assert ledger.live_bytes() == 0
        assert ledger.peak_bytes() == 4 * KIB


def test_memory_that_numpy_still_reads_is_alive() -> None:
    with Ledger() as ledger:
        array = block(2).numpy()
        assert ledger.live_bytes() == 2 * KIB
        del array
        assert ledger.live_bytes() == 0


def test_the_peak_sees_what_is_gone_again() -> None:
    with Ledger() as ledger:
        held = block(4)
        ledger.mark()
        held = held + held + held
        assert ledger.live_bytes() == 4 * KIB
        # The first tensor, the first sum and the second.
        assert ledger.peak_bytes() == 12 * KIB


def test_parameters_that_are_known_do_not_count() -> None:
    model = torch.nn.Linear(16, 16)
    with torch.no_grad(), Ledger(model.parameters()) as ledger:
        answer = model(torch.ones(1, 16))
        assert ledger.live_bytes() == answer.numel() * 4
        del answer
    with torch.no_grad(), Ledger() as ledger:
        model.weight.t()
        assert ledger.live_bytes() == 16 * 16 * 4


def test_a_backward_pass_frees_its_graph() -> None:
    model = torch.nn.Linear(64, 64, bias=False)
    with Ledger(model.parameters()) as ledger:
        loss = model(torch.ones(8, 64)).relu().sum()
        assert ledger.live_bytes() > 2 * 8 * 64 * 4
        loss.backward()
        del loss
        assert ledger.live_bytes() == 64 * 64 * 4
        model.zero_grad(set_to_none=True)
        assert ledger.live_bytes() == 0


def test_counts_inside_a_generator() -> None:
    @torch.inference_mode()
    def blocks() -> Iterator[int]:
        held = []
        for i in range(4):
            held.append(block())
            yield i

    with Ledger() as ledger:
        generator = blocks()
        assert [ledger.live_bytes() for _ in generator] == [KIB, 2 * KIB, 3 * KIB, 4 * KIB]
        assert ledger.live_bytes() == 0
        generator = blocks()
        next(generator)
        generator.close()
        assert ledger.live_bytes() == 0


def test_many_short_lives_leave_no_entry() -> None:
    with Ledger() as ledger:
        for _ in range(500):
            block()
        assert ledger.live_bytes() == 0
        assert not ledger._entries
        assert ledger.peak_bytes() == KIB


class Ring:
    """Holds a tensor and itself."""

    def __init__(self) -> None:
        self.held = block()
        self.itself = self


def test_a_collector_frees_cycles_and_leaves_python_as_it_was() -> None:
    gc.unfreeze()
    with Ledger() as ledger, Collector() as collector:
        Ring()
        assert ledger.live_bytes() == KIB
        collector.collect()
        assert ledger.live_bytes() == 0
        gc.disable()
        Ring()
        collector.collect()
        assert ledger.live_bytes() == KIB
        gc.enable()
        collector.collect()
        assert ledger.live_bytes() == 0
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_a_collector_leaves_frozen_what_was_frozen() -> None:
    gc.freeze()
    frozen_before.cache_clear()
    with Collector() as collector:
        collector.collect()
    assert gc.get_freeze_count() > 0
    gc.unfreeze()
    frozen_before.cache_clear()


def test_a_meter_reads_now_and_at_the_peak() -> None:
    with Meter() as meter:
        measured = [meter.measure()]
        x = block(2)
        meter.mark()
        block(6)
        measured += [meter.measure(), meter.measure_peak()]
        del x
    assert readings(measured) == {"ledger": [0, 2 * KIB, 8 * KIB], "allocator": None}


def test_what_is_emptied_when_a_meter_looks_counts_as_before() -> None:
    held, gone = block(4), block(2)

    def hide(*_: object) -> None:
        held.untyped_storage().resize_(0)

    with Meter() as meter:
        held, gone = held + 1, gone + 1
        gc.callbacks.append(hide)
        try:
            measured = [meter.measure()]
        finally:
            gc.callbacks.remove(hide)
        del gone
        measured.append(meter.measure())
    assert readings(measured) == {"ledger": [6 * KIB, 0], "allocator": None}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="reads a GPU's allocator")
def test_a_meter_reads_the_allocator_of_a_gpu() -> None:
    device = torch.device("cuda")
    with Meter(device=device) as meter:
        x = torch.zeros(300, device=device)
        y = x @ x
        assert meter.measure() == (1204, 1204)
        del y
        meter.mark()
        x + x
        assert meter.measure() == (1200, 1200)
        assert meter.measure_peak() == (2400, 2400)
        del x
        assert meter.measure() == (0, 0)
