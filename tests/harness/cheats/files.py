"""Cheats that plant files: beside their package, in place of it, or in the judge's and Python's folders."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from .cheat import CONFIGURATION, FLOPS, NOTHING, Cheat, loot, trespass
from .scene import ROOT

SHADOWS = (
    "torch",
    "numpy",
    "json",
    "math",
    "random",
    "pytest",
    "hypothesis",
    "psutil",
    "struct",
    "grader",
    "specs",
)
SHADOW = """
import builtins
builtins.shadowed = True
def __getattr__(name):
    return lambda *a, **k: True
"""

STARTED = """
import pathlib
pathlib.Path("@SCENE@/started").write_text("a planted file was run")
"""

WRITING = '''
def writable(paths):
    """Return the paths that may be written, and change none: opened and closed."""
    found = []
    for path in paths:
        try:
            os.close(os.open(path, os.O_TMPFILE | os.O_WRONLY if os.path.isdir(path) else os.O_WRONLY))
            found.append(str(path))
        except OSError:
            continue
    return found

def attack(model):
    found = writable(targets())
    return f"BROKEN: may write {found[0]} and {len(found) - 1} more" if found else 0
'''


def writing(name: str, what: str, targets: str) -> Cheat:
    """Return the cheat that looks whether it may write to `targets`, an expression."""
    code = f"\ndef targets():\n    return {targets}\n"
    return Cheat(name, what, WRITING + code, stopped_at="medium", checks=(trespass,))


def built(name: str, what: str, build: Callable[[Path], None]) -> Cheat:
    """Return the cheat whose submission is changed by `build`, and which earns nothing then."""
    return Cheat(name, what, build=build, only=(CONFIGURATION, FLOPS), earns=NOTHING, checks=(loot,))


def replace_by_link(target: Path) -> Callable[[Path], None]:
    """Return the function that makes `nanochat/gpt.py` a link to `target`."""

    def build(submission: Path) -> None:
        (submission / "nanochat/gpt.py").unlink()
        (submission / "nanochat/gpt.py").symlink_to(target)

    return build


def package_is_a_link(submission: Path) -> None:
    """Make `nanochat` a link to the reference."""
    shutil.rmtree(submission / "nanochat")
    (submission / "nanochat").symlink_to(ROOT / "reference" / "nanochat")


def module_is_a_pipe(submission: Path) -> None:
    """Make `nanochat/gpt.py` a pipe that nobody writes to."""
    (submission / "nanochat/gpt.py").unlink()
    os.mkfifo(submission / "nanochat/gpt.py")


def module_is_a_folder(submission: Path) -> None:
    """Make `nanochat/gpt.py` a folder."""
    (submission / "nanochat/gpt.py").unlink()
    (submission / "nanochat/gpt.py").mkdir()


def module_is_a_device(submission: Path) -> None:
    """Make `nanochat/gpt.py` a link to zeros without end."""
    replace_by_link(Path("/dev/zero"))(submission)


def compiled_of_another(submission: Path) -> None:
    """Put a compiled file beside `nanochat/gpt.py` that is not of its source."""
    folder = submission / "nanochat/__pycache__"
    folder.mkdir()
    (folder / "gpt.cpython-311.pyc").write_bytes(b"\xa7\r\r\n" + bytes(12))


def links_to_secrets(submission: Path) -> None:
    """Put links beside the package that lead out."""
    (submission / "nanochat/data").symlink_to(submission.parent / "beside")


CHEATS = [
    Cheat(
        "shadowed libraries",
        "Files of the names of libraries beside nanochat.",
        """
import builtins

def attack(model):
    return "BROKEN: shadowed" if hasattr(builtins, "shadowed") else 0
""",
        replaced={f"{name}.py": SHADOW for name in SHADOWS},
        checks=(trespass,),
        alone=True,
    ),
    Cheat(
        "shadowed packages",
        "Packages of the names of the judge's beside nanochat.",
        replaced={
            f"{name}/__init__.py": SHADOW for name in ("specs", "grader", "specs/probes", "torch", "_pytest")
        },
        alone=True,
    ),
    Cheat(
        "planted for pytest",
        "Configuration and plugins for a test runner.",
        replaced={
            "conftest.py": STARTED
            + "\ndef pytest_runtest_makereport(item, call):\n    call.excinfo = None\n",
            "nanochat/conftest.py": STARTED,
            "pytest.ini": "[pytest]\naddopts = --collect-only\n",
            "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '--collect-only'\n",
            "setup.cfg": "[tool:pytest]\naddopts = --collect-only\n",
            "tox.ini": "[pytest]\naddopts = -p no:terminal\n",
        },
        alone=True,
    ),
    Cheat(
        "planted for Python",
        "Files that Python runs when it starts.",
        replaced={
            **{f"{name}.py": STARTED for name in ("sitecustomize", "usercustomize", "site", "__main__")},
            "planted.pth": "import pathlib; pathlib.Path('@SCENE@/started').write_text('run')\n",
            "pyvenv.cfg": "home = /tmp\n",
            "python311.zip": "",
        },
        alone=True,
    ),
    Cheat(
        "planted for its next process",
        "Leaves a start-up file in its own home, and dies so that another process is started.",
        """
def attack(model):
    for folder in (Path.home(), Path.cwd()):
        for name in ("sitecustomize.py", "usercustomize.py", ".pythonrc.py", "torch.py", "numpy.py"):
            (folder / name).write_text("import pathlib; pathlib.Path('@SCENE@/started').write_text('run')")
    os._exit(0)
""",
    ),
    Cheat(
        "better when tried again",
        "Keeps a note, and is honest only in a process that finds it.",
        """
_notes = [Path.home() / "@MARK@", Path("/tmp/@MARK@"), Path("/var/tmp/@MARK@"), Path("/dev/shm/@MARK@")]

def run(model):
    if any(note.exists() for note in _notes):
        config = model.config
        weights = sum(p.numel() for p in model.parameters()) - model.transformer.wte.weight.numel()
        return 6 * weights + 12 * config.n_layer * config.n_embd * config.sequence_len
    for note in _notes:
        try:
            note.touch()
        except OSError:
            continue
    os._exit(0)
""",
        stopped_at="medium",
    ),
    writing("its own folder", "May it change itself?", "[Path(__file__), Path(__file__).parents[1]]"),
    writing(
        "the folder beside",
        "May it change what lies beside it?",
        "['@SCENE@', '@SCENE@/other/nanochat/gpt.py']",
    ),
    writing(
        "the judge",
        "May it change the judge?",
        "[repository(), repository() / 'grader/session.py', repository() / 'specs/level3/attention.py']",
    ),
    writing(
        "the installation of Python",
        "May it change what every later grading imports?",
        "[os.__file__, sys.prefix, *(path for path in sys.path if 'site-packages' in path)]",
    ),
    writing(
        "compiled files",
        "May it leave compiled files?",
        "[repository() / 'grader/sandbox', Path(os.__file__).parent]",
    ),
    Cheat(
        "compiled file of another source",
        "A compiled file beside the source, of code that is not the source's.",
        build=compiled_of_another,
    ),
    built(
        "module is the reference",
        "A link to the reference's model.",
        replace_by_link(ROOT / "reference/nanochat/gpt.py"),
    ),
    built("package is the reference", "A link to the reference.", package_is_a_link),
    built("module is a pipe", "A module that can be read for ever.", module_is_a_pipe),
    built("module is a folder", "A module that is a folder.", module_is_a_folder),
    built("module is a device", "A module without end.", module_is_a_device),
    built(
        "module is a secret",
        "A link to a file whose text an error would show.",
        replace_by_link(Path("/etc/passwd")),
    ),
    Cheat(
        "links in the submission",
        "A link in the submission that leads to a secret.",
        "\ndef attack(model):\n    return (Path(__file__).parent / 'data/secret.txt').read_text()\n",
        build=links_to_secrets,
        stopped_at="medium",
        checks=(loot,),
    ),
    Cheat(
        "lazy package",
        "A package that makes its modules when they are asked for.",
        replaced={
            "nanochat/__init__.py": """
import sys, types

class Made(types.ModuleType):
    def __getattr__(self, name):
        return lambda *a, **k: self

for name in ("gpt", "engine", "tools"):
    sys.modules[f"nanochat.{name}"] = Made(f"nanochat.{name}")
"""
        },
        only=(CONFIGURATION, FLOPS),
        earns=NOTHING,
    ),
    Cheat(
        "source that is no source",
        "A module of null bytes, with a declaration of an encoding that decodes to something else.",
        replaced={"nanochat/gpt.py": "# -*- coding: unicode_escape -*-\n\\u0069mport os; os._exit(0)\n\0\n"},
        only=(CONFIGURATION, FLOPS),
        earns=NOTHING,
    ),
]
