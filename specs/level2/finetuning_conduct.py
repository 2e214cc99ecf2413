"""What fine-tuning batches do to the process around them, and that they hold every conversation."""

from __future__ import annotations

from hypothesis import strategies as st

from specs.compare import expect
from specs.imports import expect_import_without_traces
from specs.law import law
from specs.level2.finetuning import Row, expect_rows
from specs.probe import Probe

CRITERION = "finetuning"


@law()
def test_importing_fine_tuning_changes_nothing(probe: Probe) -> None:
    """Importing the module starts nothing, writes nothing, and changes no setting that others share.

    Kills: a seed, the number of threads, a precision or warning filters set while the module is imported, a
    data set downloaded.
    """
    expect_import_without_traces(probe, "nanochat.sft")


@law(examples=3, cases=[{"batch_size": 2}], batch_size=st.integers(1, 4))
def test_batches_change_no_setting(probe: Probe, batch_size: int) -> None:
    """Making batches changes no setting that all of the process share, and works in any thread.

    Kills: a seed, a default dtype or device, warning filters that are set for good, signals taken over.
    """
    made: list[Row] = [([1, 2 + n, 3], [0, 1, 1]) for n in range(5)]
    for changed in probe("training_conduct.shared_by_finetuning", rows=made, batch_size=batch_size):
        expect(False, f"making batches {changed}")


@law(
    examples=1,
    cases=[{"conversations": 2100, "batch_size": 64}],
    conversations=st.integers(100, 600),
    batch_size=st.integers(8, 64),
)
def test_every_conversation_of_many_is_learned(probe: Probe, conversations: int, batch_size: int) -> None:
    """Each conversation comes once, also of thousands.

    Kills: a limit on the conversations or batches that somebody set to try something out.
    """
    made: list[Row] = [([1, 2 + n % 40, n % 50], [0, 1, 1]) for n in range(conversations)]
    got = probe("finetuning.scripted", rows=made, batch_size=batch_size, form="iterator")
    expect_rows(got, made, batch_size)
