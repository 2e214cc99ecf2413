"""Which bugs a seed chooses, and that the choice of one does not depend on the others."""

from __future__ import annotations

import hmac
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.bugs import variant
from grader.bugs.bug import Bug
from grader.bugs.choose import ChoiceError, by_name, by_seed, rank, seed_of
from grader.bugs.pattern import Edit, PatternError

CRITERIA = ("rotary", "cache", "tools")
PLACES = 12
SOURCES = {"m.py": "\n".join(f"def f{i}(x):\n    return x + {i}\n\n" for i in range(PLACES))}
SECRET = b"a secret of the course"


def bug(name: str, place: int, criterion: str, **changes: object) -> Bug:
    """Return a bug that edits the function f`place`."""
    return Bug(
        id=name,
        level=3,
        criterion=criterion,
        title=name,
        story=name,
        hint=name,
        source=name,
        symptom="silent",
        classic=False,
        expected=(),
        edits=(Edit("m.py", f"f{place}", (f"__x + {place}",), "__x - ${by}"),),
        difficulty=1,
        witness="none",
        parameters={"by": ("1", "2", "3")},
        **changes,  # type: ignore[arg-type]  # the fields with defaults, as a test names them
    )


BUGS = [bug(f"bug-{i}", i, CRITERIA[i % 3]) for i in range(PLACES)]


def ids(bugs: tuple[Bug, ...]) -> set[str]:
    return {one.id for one in bugs}


@given(st.text(max_size=20), st.integers(1, 4))
def test_each_criterion_gets_as_many_as_asked_for(seed: str, each: int) -> None:
    choice = by_seed(BUGS, SOURCES, seed, each)
    for criterion in CRITERIA:
        assert sum(one.criterion == criterion for one in choice.bugs) == each
    assert not choice.passed_over
    assert not choice.missing
    assert [one.id for one in choice.bugs] == [one.id for one in BUGS if one.id in ids(choice.bugs)]
    for one in choice.bugs:
        assert one.choice == one.bound(seed).choice != {}


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_the_order_of_the_catalogue_does_not_matter(seed: int, random: object) -> None:
    shuffled = list(BUGS)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random
    assert ids(by_seed(shuffled, SOURCES, str(seed), 2).bugs) == ids(
        by_seed(BUGS, SOURCES, str(seed), 2).bugs
    )


def test_a_new_bug_moves_no_other_one() -> None:
    """It is in the variants where its rank is the smallest of its criterion, and changes no other variant."""
    entered = 0
    for seed in map(str, range(200)):
        before = by_seed(BUGS[:-1], SOURCES, seed).bugs
        after = by_seed(BUGS, SOURCES, seed).bugs
        if BUGS[-1].id in ids(after):
            entered += 1
            assert len(ids(before) - ids(after)) == 1
        else:
            assert after == before
    # Four of the bugs are of its criterion: a quarter of 200, and 50 is more than six deviations from 10.
    assert 25 <= entered <= 75


def test_seeds_choose_differently_and_every_bug_is_chosen() -> None:
    chosen = [frozenset(ids(by_seed(BUGS, SOURCES, str(seed)).bugs)) for seed in range(200)]
    assert set().union(*chosen) == {one.id for one in BUGS}
    assert len(set(chosen)) > 40, "4 ** 3 variants of one bug each are possible"


def test_what_a_seed_chooses_is_pinned() -> None:
    """On every machine and every Python: handed-out variants must be makeable again."""
    choice = by_seed(BUGS, SOURCES, "7")
    assert [(one.id, one.choice) for one in choice.bugs] == [
        ("bug-2", {"by": "3"}),
        ("bug-6", {"by": "1"}),
        ("bug-7", {"by": "2"}),
    ]


def first_two(bugs: list[Bug], seed: str) -> tuple[Bug, Bug]:
    """Return the two bugs with the smallest ranks."""
    order = sorted(bugs, key=lambda one: rank(seed, one.id))
    return order[0], order[1]


@pytest.mark.parametrize("is_first", [True, False])
def test_conflicting_bugs_are_never_chosen_together(is_first: bool) -> None:
    one, other = first_two(BUGS, "7")
    holder, named = (one, other) if is_first else (other, one)
    bugs = [replace(each, conflicts=(named.id,)) if each is holder else each for each in BUGS]
    choice = by_seed(bugs, SOURCES, "7", 4)
    assert one.id in ids(choice.bugs)
    assert other.id not in ids(choice.bugs)
    assert [(each.id, each.reason) for each in choice.passed_over] == [
        (other.id, f"it conflicts with {one.id}")
    ]
    assert choice.missing == ((other.criterion, 1),)


def test_bugs_that_edit_the_same_place_are_never_chosen_together() -> None:
    one, other = first_two(BUGS, "7")
    bugs = [replace(each, edits=one.edits) if each is other else each for each in BUGS]
    choice = by_seed(bugs, SOURCES, "7", 4)
    assert other.id not in ids(choice.bugs)
    assert choice.passed_over[0].reason == f"it edits the same place as {one.id}"
    assert variant.with_bugs(SOURCES, choice.bugs) != SOURCES


def test_a_bug_that_breaks_another_criterion_is_not_chosen_beside_its_bugs() -> None:
    first, _ = first_two(BUGS, "7")
    other = next(name for name in CRITERIA if name != first.criterion)
    bugs = [replace(each, disturbs=(other,)) if each is first else each for each in BUGS]
    choice = by_seed(bugs, SOURCES, "7")
    assert first.id not in ids(choice.bugs)
    assert choice.passed_over[0].reason == f"it also breaks {other}"
    alone = [each for each in bugs if each.criterion != other]
    assert first.id in ids(by_seed(alone, SOURCES, "7").bugs)


def test_a_bug_that_does_not_fit_is_no_overlap() -> None:
    stale = replace(BUGS[0], edits=(Edit("m.py", "f0", ("__x * 9",), "__x"),))
    with pytest.raises(PatternError, match="must match"):
        by_seed([stale], SOURCES, "7")


def test_bugs_by_name_are_bound_by_the_seed_or_take_their_first_choices() -> None:
    names = ["bug-4", "bug-1"]
    assert [one.id for one in by_name(BUGS, SOURCES, names, None).bugs] == ["bug-1", "bug-4"]
    assert all(one.choice == {"by": "1"} for one in by_name(BUGS, SOURCES, names, None).bugs)
    drawn = {by_name(BUGS, SOURCES, ["bug-1"], str(seed)).bugs[0].choice["by"] for seed in range(30)}
    assert drawn == {"1", "2", "3"}
    assert by_name(BUGS, SOURCES, [], "7").bugs == ()


def test_names_that_do_not_exist_or_do_not_go_together_are_refused() -> None:
    with pytest.raises(ChoiceError, match="there is no bug bug-99; there are bug-0, bug-1"):
        by_name(BUGS, SOURCES, ["bug-99"], "7")
    same = replace(BUGS[1], edits=BUGS[0].edits)
    with pytest.raises(ChoiceError, match="bug-1 cannot be added: it edits the same place as bug-0"):
        by_name([BUGS[0], same], SOURCES, ["bug-0", "bug-1"], "7")


def test_the_seed_of_a_student_needs_the_secret() -> None:
    seed = seed_of("alice", SECRET, "2026", 3)
    message = b"nanograder\0" + b"3\0" + b"2026\0" + b"alice"
    assert seed == hmac.digest(SECRET, message, "sha256").hex()
    assert seed == "7c76d73162783151c7dd44005d63c719ade8b2dc3a69f7db7411ae9f95acc0ce"
    assert seed == seed_of(" alice ", SECRET, "2026", 3)
    others = {
        seed_of("bob", SECRET, "2026", 3),
        seed_of("alice", SECRET + b"!", "2026", 3),
        seed_of("alice", SECRET, "2027", 3),
        seed_of("alice", SECRET, "2026", 4),
    }
    assert len(others | {seed}) == 5
    # One letter, written in two ways.
    assert seed_of("Zoe\u0301", SECRET, "", 3) == seed_of("Zo\u00e9", SECRET, "", 3)


def test_a_short_secret_and_a_nameless_student_are_refused() -> None:
    with pytest.raises(ValueError, match="the secret has 5 bytes and must have at least 16"):
        seed_of("alice", b"short", "", 3)
    with pytest.raises(ValueError, match="no name"):
        seed_of("  ", SECRET, "", 3)
