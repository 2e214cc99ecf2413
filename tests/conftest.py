"""Options of the graded tests, and the probe that they use. The harness's own tests need neither."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from specs.law import Law
    from specs.probe import Probe


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("grader", "grading a submission in this process, for a debugger")
    group.addoption("--submission", default="student", metavar="DIR", help="folder that holds nanochat/")
    group.addoption("--device", default="cpu", choices=("cpu", "cuda"), help="where models run")
    group.addoption(
        "--dtype", default="float32", choices=("float32", "bfloat16"), help="what models compute in"
    )
    group.addoption("--seed", default=0, type=int, help="chooses the inputs, as for `grader run`")


@pytest.fixture(scope="session")
def probe(request: pytest.FixtureRequest) -> Iterator[Probe]:
    """A probe that calls the submission in this process; torch is imported here and not before."""
    from grader.run import UsageError, find_submission
    from grader.sandbox.local import LocalProbe

    option = request.config.getoption
    try:
        folder = find_submission(option("--submission"))
    except UsageError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    with LocalProbe(folder, option("--device"), option("--dtype")) as local:
        yield local


def law_of(item: pytest.Item) -> Law | None:
    """Return the property that a test is, or None for a test of the grader."""
    return getattr(getattr(item, "obj", None), "law", None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every property the inputs that `grader run` draws for the same seed."""
    laws = [law for law in map(law_of, items) if law]
    if not laws:
        return
    from grader.seeding import make_repeatable, sow

    make_repeatable()
    for law in laws:
        sow(law, config.getoption("--seed"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Show the law in words, the smallest input, and the command for it, below a property that fails."""
    report: pytest.TestReport = yield
    law = law_of(item)
    if law and call.when == "call" and report.failed:
        from grader.describe import describe_case

        option = item.config.getoption
        report.sections.insert(0, ("law", f"{law.id}: {law.title}"))
        if law.case:
            values = ", ".join(f"{name}={value}" for name, value in describe_case(law.case).items())
            report.sections.insert(1, ("smallest input", values))
        words = ["pytest", f"{os.path.relpath(item.path)}::{item.name}"]
        words += ["--submission", option("--submission"), "--seed", str(option("--seed"))]
        report.sections.append(("again", shlex.join(words)))
    return report
