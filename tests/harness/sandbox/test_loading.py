"""`nanochat` comes from the submission, and from nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from specs.probes import loading, registry, setting


@pytest.fixture
def submission(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "submission"
    (folder / "nanochat").mkdir(parents=True)
    (folder / "nanochat" / "__init__.py").touch()
    setting.use(setting.Setting(folder))
    yield folder
    loading.leave()
    loading.listen(lambda *_: None)
    loading.refuse(())
    setting.use(None)


def test_a_submission_without_nanochat_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="no folder nanochat/"):
        loading.enter(tmp_path)


def test_files_of_the_submission_shadow_nothing(submission: Path) -> None:
    (submission / "colorsys.py").write_text("raise RuntimeError('shadowed')")
    (submission / "beside.py").write_text("here = True")
    (submission / "nanochat" / "gpt.py").write_text("import beside, colorsys\n")
    sys.modules.pop("colorsys", None)
    assert loading.imported("nanochat.gpt").beside.here
    assert sys.path[-1] == str(submission)


def test_an_installed_nanochat_is_not_taken(
    submission: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "installed" / "nanochat").mkdir(parents=True)
    (tmp_path / "installed" / "nanochat" / "__init__.py").write_text("raise RuntimeError('the wrong one')")
    monkeypatch.syspath_prepend(tmp_path / "installed")
    assert loading.imported("nanochat").__file__ == str(submission / "nanochat" / "__init__.py")


def test_a_nanochat_that_is_already_there_is_refused(
    submission: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nanochat", type(sys)("nanochat"))
    with pytest.raises(ImportError, match="already holds another nanochat"):
        loading.enter(submission)


def test_a_link_out_of_the_submission_is_refused(submission: Path, tmp_path: Path) -> None:
    (tmp_path / "answer.py").write_text("right = True")
    (submission / "nanochat" / "gpt.py").symlink_to(tmp_path / "answer.py")
    with pytest.raises(ImportError, match="outside the submission"):
        loading.imported("nanochat.gpt")


def test_a_module_that_is_swapped_for_one_from_outside_is_refused(submission: Path) -> None:
    (submission / "nanochat" / "gpt.py").write_text("import sys, json\nsys.modules[__name__] = json\n")
    with pytest.raises(ImportError, match="outside the submission"):
        loading.imported("nanochat.gpt")


@pytest.mark.usefixtures("submission")
def test_only_modules_of_nanochat_are_imported() -> None:
    with pytest.raises(ValueError, match="nanochat only, not 'os'"):
        loading.imported("os")


def test_every_import_is_announced_the_nested_ones_too(submission: Path) -> None:
    (submission / "nanochat" / "engine.py").write_text("from nanochat.tools import x\n")
    (submission / "nanochat" / "tools.py").write_text("x = 1\n")
    (submission / "nanochat" / "bad.py").write_text("1 / 0\n")
    (submission / "nanochat" / "full.py").write_text("raise MemoryError\n")
    heard: list[tuple[str, str]] = []
    loading.listen(lambda event, module: heard.append((event, module)))
    loading.imported("nanochat.engine")
    loading.imported("nanochat.engine")
    with pytest.raises(ZeroDivisionError):
        loading.imported("nanochat.bad")
    with pytest.raises(MemoryError):
        loading.imported("nanochat.full")
    assert heard == [
        ("importing", "nanochat"),
        ("imported", "nanochat"),
        ("importing", "nanochat.engine"),
        ("importing", "nanochat.tools"),
        ("imported", "nanochat.tools"),
        ("imported", "nanochat.engine"),
        ("importing", "nanochat.bad"),
        ("not imported", "nanochat.bad"),
        ("importing", "nanochat.full"),
    ]


def test_a_module_that_stopped_a_process_is_not_tried_again(submission: Path) -> None:
    (submission / "nanochat" / "engine.py").write_text(
        "try:\n    import nanochat.tools\nexcept Exception: pass\n"
    )
    (submission / "nanochat" / "tools.py").write_text("raise RuntimeError\n")
    loading.refuse(["nanochat.tools"])
    with pytest.raises(loading.StoppedBefore) as caught:
        loading.imported("nanochat.engine")
    assert caught.value.module == "nanochat.tools"


def test_a_module_that_is_not_python_says_where(submission: Path) -> None:
    (submission / "nanochat" / "gpt.py").write_text("x = 1\ndef broken(:\n")
    with pytest.raises(SyntaxError) as caught:
        loading.imported("nanochat.gpt")
    assert caught.value.lineno == 2


@pytest.mark.parametrize(
    "name", ["selftest.imported", "selftest.Any", "registry.probe", "os.system", "echo", "", "a.b.c"]
)
def test_only_what_is_marked_is_a_probe(name: str) -> None:
    with pytest.raises(registry.UnknownProbe, match="no probe is called"):
        registry.find(name)


def test_a_probe_is_found_and_run() -> None:
    assert registry.find("selftest.echo")(value=3) == 3
    assert registry.run("selftest.size", {"value": "four"}) == 4
    assert "selftest.call" in registry.probe_names()
