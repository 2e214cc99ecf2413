"""A cheat earns what its honest part earns and no more, and neither the judge nor the machine is harmed."""

from __future__ import annotations

import pytest

from grader.sandbox.launch import ForkServer

from . import answers, escape, files, forging, looking, measuring, patching, report, resources, wire
from .cheat import ISOLATION, Cheat, Sources
from .scene import Outcome, Scene

pytestmark = pytest.mark.slow

CHEATS = [
    *answers.CHEATS,
    *escape.CHEATS,
    *files.CHEATS,
    *forging.CHEATS,
    *looking.CHEATS,
    *measuring.CHEATS,
    *patching.CHEATS,
    *report.CHEATS,
    *resources.CHEATS,
    *wire.CHEATS,
]


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.name.replace(" ", "-"))
def test_a_cheat_earns_no_more_than_its_honest_part(
    cheat: Cheat, isolation: str, scene: Scene, reference: Sources, server: ForkServer
) -> None:
    scene.write(cheat, reference)
    outcome = scene.grade(cheat, isolation, server)
    wrong = [*unearned(cheat, outcome), *scene.harm()]
    wrong += [harm for check in cheat.checks if (harm := check(scene, outcome))]
    if wrong and ISOLATION.index(isolation) < ISOLATION.index(cheat.stopped_at):
        pytest.xfail(f"stopped at {cheat.stopped_at}, not at {isolation}: {'; '.join(wrong)}")
    assert not wrong, wrong


def unearned(cheat: Cheat, outcome: Outcome) -> list[str]:
    """Return what is wrong with the verdicts."""
    if not outcome.verdicts:
        return [f"the judge gave no record (exit code {outcome.returncode}): {outcome.text[-500:]}"]
    wrong = [f"{name} is earned and should not be" for name in outcome.passed - cheat.earns]
    wrong += [f"{name} is not earned: {outcome.verdicts.get(name)}" for name in cheat.earns - outcome.passed]
    for name in cheat.only:
        verdict = outcome.verdicts.get(name, "missing")
        if verdict not in cheat.rest | {"passed"}:
            wrong.append(f"{name} is {verdict}, want one of {', '.join(sorted(cheat.rest))}")
    return wrong


def test_there_are_enough_cheats_and_no_name_twice() -> None:
    names = [cheat.name for cheat in CHEATS]
    assert len(names) == len(set(names)) >= 50


def test_every_cheat_tries_something_that_it_has_not_earned() -> None:
    for cheat in CHEATS:
        assert set(cheat.only) - cheat.earns or cheat.checks, cheat.name
        assert cheat.stopped_at in ISOLATION, cheat.name
