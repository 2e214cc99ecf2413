"""What is required of importing a module of the submission, whichever level it belongs to."""

from __future__ import annotations

from specs.compare import broken
from specs.probe import Probe


def expect_import_without_traces(probe: Probe, module: str) -> None:
    """Require that importing `module` changes nothing in the process around it. Raises LawBroken."""
    for changed in probe("importing.traces", module=module):
        broken(f"importing {module} changed {changed}")
