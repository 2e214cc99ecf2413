"""What every engine promises, asked of each of them; Ray where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # psutil ships no types
import pytest

from grader.batch import cluster, contents, key, local
from grader.batch.engine import Conditions, Engine, Task
from tests.harness.background import Background

from . import toy

CONDITIONS = Conditions(0, "basic")
RAY = importlib.util.find_spec("ray") is not None
with_ray = pytest.param("ray", marks=[pytest.mark.slow, pytest.mark.skipif(not RAY, reason="no Ray here")])

MakeEngine = Callable[[], Engine]
# Ray's own processes and files.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def toy_judge(level_folder: Path) -> tuple[str, ...]:
    """Return how a judge of the toy level is started."""
    return (str(Path(toy.__file__)), str(level_folder), "node")


@pytest.fixture(params=["local", with_ray])
def make_engine(
    request: pytest.FixtureRequest, level_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeEngine]:
    """Return what makes an engine with two workers; close what it made."""
    made: list[Engine] = []
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")

    def make() -> Engine:
        engine: Engine = (
            local.LocalEngine(CONDITIONS, 2)
            if request.param == "local"
            else cluster.RayEngine(CONDITIONS, jobs=2, judge=toy_judge(level_folder))
        )
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.close()


def tasks_of(folder: Path, **kinds: str) -> list[Task]:
    """Return a task for each submission, written to a folder."""
    return [Task(name, name, str(toy.submission(folder, name, kind)), 9) for name, kind in kinds.items()]


def test_each_task_has_one_outcome(make_engine: MakeEngine, tmp_path: Path) -> None:
    tasks = tasks_of(tmp_path, a="right", b="half", c="wrong", d="fault", e="lost", f="right")
    outcomes = list(make_engine().grade(tasks))
    assert sorted(one.task.key for one in outcomes) == list("abcdef")
    points = {one.task.key: one.report.levels[0].points for one in outcomes if one.report}
    assert points == {"a": 100, "b": 40, "c": 0, "f": 100}
    faults = {one.task.key: one.fault for one in outcomes if one.fault}
    assert faults["d"] == "GraderFault: no process can be had"
    assert faults["e"].startswith("the process that graded it was lost")


def test_reports_say_nothing_of_where_they_were_made(make_engine: MakeEngine, tmp_path: Path) -> None:
    (outcome,) = make_engine().grade(tasks_of(tmp_path, a="wrong"))
    assert outcome.report is not None
    assert outcome.report.submission == ""
    assert str(tmp_path) not in str(outcome.report)


def test_no_process_is_left(make_engine: MakeEngine, background: Background, tmp_path: Path) -> None:
    # What other tests share may run all along.
    before = set(psutil.Process().children(recursive=True))
    engine = make_engine()
    grading = engine.grade(tasks_of(tmp_path, a="right", b="slow", c="slow", d="slow"))
    next(grading)
    mine = set(psutil.Process().children(recursive=True)) - before
    assert mine
    engine.close()
    left = psutil.wait_procs(list(mine), timeout=15)[1]
    assert [one for one in left if not background.runs(one)] == []


def test_an_engine_grades_again(make_engine: MakeEngine, tmp_path: Path) -> None:
    engine = make_engine()
    for turn in ("one", "two"):
        (outcome,) = engine.grade(tasks_of(tmp_path / turn, a="half"))
        assert outcome.report is not None
    assert list(engine.grade([])) == []


def test_what_a_worker_of_ray_does(level_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function that runs in a worker, called here: it needs no Ray."""
    monkeypatch.setenv("RAY_SECRET", "x")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    judge = toy_judge(level_folder)
    code = key.judging_code()

    def ask(kind: str, code: str = code) -> dict[str, Any]:
        files = {"nanochat/answer.py": f"{kind} alice".encode()}
        task = {"key": "k", "tree": contents.tree_hash(files), "folder": "/elsewhere", "level": 9}
        return cluster.grade_on_node(judge, task, vars(CONDITIONS), files, code)

    try:
        assert ask("half")["levels"][0]["points"] == 40
        first = cluster._judges[(*judge, "")]._process
        assert "RAY_SECRET" not in psutil.Process(first.pid).environ()
        assert ask("right")["levels"][0]["points"] == 100
        assert cluster._judges[(*judge, "")]._process is first, "one judge for many tasks"
        assert ask("lost") == {"fault": "the process that graded it was lost"}
        assert ask("wrong")["levels"][0]["points"] == 0
        assert ask("right", "another")["fault"].startswith("the node has another grader than the driver")
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
        assert ask("half")["levels"][0]["points"] == 40
        other = cluster._judges[(*judge, "1")]._process
        assert psutil.Process(other.pid).environ()["CUDA_VISIBLE_DEVICES"] == "1", "a judge for each GPU"
    finally:
        for last in cluster._judges.values():
            last._questions.close()
            assert last._process.wait(timeout=15) == 0
            last._answers.close()
        cluster._judges.clear()


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    from grader.run import UsageError

    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'nanograder\[cluster\]'"):
        cluster.RayEngine(CONDITIONS)


@pytest.mark.slow
@pytest.mark.skipif(not RAY, reason="no Ray here")
def test_a_node_that_is_lost_costs_nothing(level_folder: Path, tmp_path: Path) -> None:
    import ray  # type: ignore[import-not-found, unused-ignore]  # optional
    from ray.cluster_utils import Cluster  # type: ignore[import-not-found, unused-ignore]

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    doomed = nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    try:
        engine = cluster.RayEngine(CONDITIONS, nodes.address, judge=toy_judge(level_folder))
        tasks = tasks_of(tmp_path, **{f"student{i}": "slow" for i in range(12)})
        grading = engine.grade(tasks)
        outcomes = [next(grading)]
        nodes.remove_node(doomed, allow_graceful=False)
        outcomes += grading
        assert sorted(one.task.key for one in outcomes) == sorted(task.key for task in tasks)
        assert [one.fault for one in outcomes] == [""] * 12
        engine.close()
    finally:
        ray.shutdown()
        nodes.shutdown()


@pytest.mark.slow
@pytest.mark.skipif(not RAY, reason="no Ray here")
def test_submissions_share_a_gpu(level_folder: Path, tmp_path: Path) -> None:
    """Ray takes the number of GPUs of a node on trust, so that this needs none."""
    import ray  # type: ignore[import-not-found, unused-ignore]  # optional
    from ray.cluster_utils import Cluster  # type: ignore[import-not-found, unused-ignore]

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "num_gpus": 1})
    try:
        on_gpu = Conditions(0, "basic", device="cuda")
        engine = cluster.RayEngine(on_gpu, nodes.address, judge=toy_judge(level_folder), gpu_share=0.5)
        grading = engine.grade(tasks_of(tmp_path, **{f"student{i}": "slow" for i in range(6)}))
        outcomes, left = [next(grading)], ray.available_resources()
        assert left.get("GPU", 0) < 0.5, "two submissions at a time fill the GPU"
        assert left["CPU"] == 2, "and leave two of the four processors free"
        outcomes += grading
        assert [one.fault for one in outcomes] == [""] * 6
        engine.close()
    finally:
        ray.shutdown()
        nodes.shutdown()
