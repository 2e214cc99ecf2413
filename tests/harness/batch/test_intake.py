"""Whatever is handed in, a student gets a line that says what is wrong with it, and nothing escapes."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grader.batch import bundle, contents, intake, unpack
from grader.batch.intake import Taken

GOOD = {"nanochat/__init__.py": b"", "nanochat/gpt.py": b"x = 1\n"}


@pytest.fixture
def take(tmp_path: Path) -> Callable[[Path], Taken]:
    """Take one entry in, and check that nothing lies anywhere but in the tree."""
    trees = tmp_path / "results" / "trees"
    trees.mkdir(parents=True)

    def call(entry: Path) -> Taken:
        taken = intake.take_one("alice", entry, trees)
        assert [path.name for path in trees.iterdir()] == ([taken.tree] if taken.tree else [])
        return taken

    return call


def tar_entry(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", content: bytes = b"x = 1\n"
) -> tuple[tarfile.TarInfo, bytes]:
    """Return an entry of a tar archive."""
    one = tarfile.TarInfo(name)
    one.type, one.linkname = kind, link
    one.size = len(content) if kind == tarfile.REGTYPE else 0
    return one, content


def tarred(tmp_path: Path, *more: tuple[tarfile.TarInfo, bytes], good: dict[str, bytes] = GOOD) -> Path:
    """Write a tar archive with a good package and more."""
    file = tmp_path / "alice.tgz"
    with tarfile.open(file, "w:gz") as archive:
        for one, content in [*(tar_entry(name, content=text) for name, text in good.items()), *more]:
            archive.addfile(one, io.BytesIO(content) if one.isreg() else None)
    return file


def zipped(tmp_path: Path, more: dict[str, bytes], good: dict[str, bytes] = GOOD) -> Path:
    """Write a zip archive with a good package and more."""
    file = tmp_path / "alice.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in [*good.items(), *more.items()]:
            archive.writestr(name, content)
    return file


def folder(tmp_path: Path, files: dict[str, bytes] = GOOD) -> Path:
    """Write a folder."""
    top = tmp_path / "alice"
    for name, content in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    return top


def bundled(tmp_path: Path, *refs: str, files: dict[str, bytes] = GOOD, link: bool = False) -> Path:
    """Write a Git bundle of a repository on branch `work`."""
    top = folder(tmp_path / "repository", files)
    if link:
        (top / "nanochat" / "engine.py").symlink_to("/etc/passwd")
    settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=work"]
    for words in (
        ["init", "--quiet"],
        ["add", "."],
        ["commit", "--quiet", "-m", "work"],
        ["branch", "other"],
    ):
        subprocess.run(["git", *settings, *words], cwd=top, check=True)
    file = tmp_path / "alice.bundle"
    subprocess.run(["git", "bundle", "create", "--quiet", file, *refs], cwd=top, check=True)
    return file


def test_every_kind_of_entry_gives_the_same_tree(tmp_path: Path) -> None:
    trees = tmp_path / "trees"
    trees.mkdir()
    entries = [folder(tmp_path / "a"), zipped(tmp_path, {}), tarred(tmp_path)]
    if shutil.which("git"):
        entries.append(bundled(tmp_path, "HEAD"))
    inside = {f"alice-work/student/{name}": text for name, text in GOOD.items()}
    (tmp_path / "deep").mkdir()
    entries.append(
        zipped(tmp_path / "deep", {"alice-work/README.md": b"", "__MACOSX/nanochat/x.py": b""}, good=inside)
    )
    taken = [intake.take_one("alice", entry, trees) for entry in entries]
    assert {one.tree for one in taken} == {contents.tree_hash(GOOD)}, taken
    (tree,) = trees.iterdir()
    assert {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*.py")} == GOOD
    assert all(path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644) for path in tree.rglob("*"))


def test_modes_times_and_caches_do_not_count(tmp_path: Path, take: Callable[[Path], Taken]) -> None:
    top = folder(
        tmp_path, {**GOOD, "nanochat/__pycache__/gpt.pyc": b"1", "nanochat/old.pyc": b"2", "notes.txt": b""}
    )
    (top / "nanochat" / "gpt.py").chmod(0o755)
    os.utime(top / "nanochat" / "gpt.py", (0, 0))
    (top / ".venv").mkdir()
    (top / ".venv" / "python").symlink_to("/usr/bin/python3")
    (top / "data").symlink_to("/")
    assert take(top).tree == contents.tree_hash(GOOD)


OUTSIDE = [
    ("../evil.py", "it holds the name '../evil.py', which leads out of its folder"),
    ("nanochat/../../evil.py", "leads out of its folder"),
    ("/tmp/evil.py", "it holds the absolute name '/tmp/evil.py': pack a folder, not a place on a disk"),
    ("C:\\evil.py", "it holds the absolute name"),
    ("..\\evil.py", "leads out of its folder"),
]


@pytest.mark.parametrize(("name", "said"), OUTSIDE)
def test_names_that_lead_outside(tmp_path: Path, take: Callable[[Path], Taken], name: str, said: str) -> None:
    assert said in take(tarred(tmp_path, tar_entry(name))).refused
    assert said in take(zipped(tmp_path, {name: b""})).refused
    assert not (tmp_path.parent / "evil.py").exists()


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a device"),
    ],
)
def test_what_is_no_file(tmp_path: Path, take: Callable[[Path], Taken], kind: bytes, what: str) -> None:
    said = f"nanochat/engine.py is {what}: put the file itself there"
    assert take(tarred(tmp_path, tar_entry("nanochat/engine.py", kind, "/etc/passwd"))).refused == said
    # A link that a file is then written through: neither is followed.
    through = (tar_entry("x", tarfile.SYMTYPE, "/tmp"), tar_entry("x/evil.py"))
    assert take(tarred(tmp_path, *through)).tree
    assert not Path("/tmp/evil.py").exists()


def test_a_package_that_is_a_link(tmp_path: Path, take: Callable[[Path], Taken]) -> None:
    entry = tarred(tmp_path, tar_entry("nanochat", tarfile.SYMTYPE, "/etc"), good={})
    assert take(entry).refused == "nanochat is a symbolic link: put the file itself there"


def test_links_and_sockets_in_a_folder(tmp_path: Path, take: Callable[[Path], Taken]) -> None:
    top = folder(tmp_path)
    (top / "nanochat" / "engine.py").symlink_to("/etc/passwd")
    assert "nanochat/engine.py is a symbolic link" in take(top).refused
    (top / "nanochat" / "engine.py").unlink()
    os.mkfifo(top / "nanochat" / "engine.py")
    assert "nanochat/engine.py is neither a file nor a folder" in take(top).refused
    entry = tmp_path / "link"
    entry.symlink_to(top)
    assert "it is a symbolic link: put the folder or archive itself there" in take(entry).refused


def test_an_entry_that_is_no_file(
    tmp_path: Path, take: Callable[[Path], Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind("alice.zip")
        assert take(tmp_path / "alice.zip").refused == "it is neither a folder nor a file"


def test_a_link_in_a_zip_archive(tmp_path: Path, take: Callable[[Path], Taken]) -> None:
    entry = zipped(tmp_path, {})
    with zipfile.ZipFile(entry, "a") as archive:
        link = zipfile.ZipInfo("nanochat/engine.py")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert "nanochat/engine.py is a symbolic link" in take(entry).refused


def test_bombs(tmp_path: Path, take: Callable[[Path], Taken]) -> None:
    large = bytes(contents.MOST_BYTES + 1)
    said = "it unpacks to more than 64 MiB: hand in nanochat/ alone"
    assert take(zipped(tmp_path, {"nanochat/large.bin": large})).refused == said
    assert take(tarred(tmp_path, tar_entry("large.bin", content=large))).refused == said
    assert take(tarred(tmp_path, tar_entry(".git/large.bin", content=large))).refused == said
    with (tmp_path / "many.zip").open("wb") as file, zipfile.ZipFile(file, "w") as archive:
        for i in range(contents.MOST_FILES + 1):
            archive.writestr(f"{i}", b"")
    assert take(tmp_path / "many.zip").refused == "it holds more than 5,000 files: hand in nanochat/ alone"
    with (tmp_path / "huge.zip").open("wb") as file:
        file.truncate(contents.MOST_BYTES + 1)
    assert take(tmp_path / "huge.zip").refused.startswith("the archive is larger than 64 MiB")


def test_a_header_that_lies_about_its_size(tmp_path: Path, take: Callable[[Path], Taken]) -> None:
    entry = zipped(tmp_path, {"nanochat/large.bin": bytes(contents.MOST_BYTES + 1)})
    size = (contents.MOST_BYTES + 1).to_bytes(4, "little")
    entry.write_bytes(entry.read_bytes().replace(size, (10).to_bytes(4, "little")))
    assert "it is no whole zip archive" in take(entry).refused


def test_unpacking_has_limits(
    tmp_path: Path, take: Callable[[Path], Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = folder(tmp_path)

    def memory(_: Path) -> contents.Contents:
        bytes(2 * intake.MEMORY_BYTES)
        raise AssertionError("there was memory for it")

    def endless(_: Path) -> contents.Contents:
        while True:
            pass

    def ours(_: Path) -> contents.Contents:
        raise ZeroDivisionError("a slip")

    def gone(_: Path) -> contents.Contents:
        os._exit(5)

    monkeypatch.setattr(unpack, "read", memory)
    assert take(entry).refused == "unpacking it takes more than 512 MiB: hand in nanochat/ alone"
    monkeypatch.setattr(unpack, "read", endless)
    monkeypatch.setattr(intake, "PROCESSOR_SECONDS", 1)
    assert take(entry).refused.startswith("unpacking it took more than 1 s of processor time")
    monkeypatch.setattr(intake, "PROCESSOR_SECONDS", 30)
    monkeypatch.setattr(intake, "WALL_SECONDS", 0.5)
    assert take(entry).refused.startswith("it was not unpacked within 0.5 s")
    monkeypatch.setattr(intake, "WALL_SECONDS", 60)
    monkeypatch.setattr(unpack, "read", ours)
    assert take(entry).fault == "alice: ZeroDivisionError: a slip"
    monkeypatch.setattr(unpack, "read", gone)
    assert take(entry).fault.startswith("the process that read alice ended without a word")


def damaged(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Yield entries that are damaged, and what is said of them."""
    whole = {"zip": zipped(tmp_path, {}), "tgz": tarred(tmp_path)}
    for ending, kind in (("zip", "zip"), ("tgz", "tar")):
        for name, content in (
            ("empty", b""),
            ("text", b"no archive\n" * 100),
            ("half", whole[ending].read_bytes()[:-60]),
        ):
            file = tmp_path / f"{name}.{ending}"
            file.write_bytes(content)
            yield file, f"it is no whole {kind} archive"
    wrong = bytearray(whole["zip"].read_bytes())
    place = wrong.index(b"nanochat/gpt.py") + len(b"nanochat/gpt.py")
    wrong[place : place + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "wrong.zip").write_bytes(wrong)
    yield tmp_path / "wrong.zip", "it is no whole zip archive"


def test_damage(tmp_path: Path, take: Callable[[Path], Taken]) -> None:
    for entry, said in damaged(tmp_path):
        assert said in take(entry).refused, entry.name


def test_encrypted(tmp_path: Path, take: Callable[[Path], Taken]) -> None:
    entry = zipped(tmp_path, {})
    data = bytearray(entry.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.rindex(mark)
        data[at + place] |= 1
    entry.write_bytes(data)
    assert take(entry).refused == "nanochat/gpt.py is encrypted: pack it without a password"


def test_a_compression_nobody_knows(tmp_path: Path, take: Callable[[Path], Taken]) -> None:
    entry = zipped(tmp_path, {})
    data = bytearray(entry.read_bytes())
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        data[data.rindex(mark) + place] = 77
    entry.write_bytes(data)
    assert take(entry).refused.startswith("it is compressed in a way that cannot be read")


def test_names_that_are_not_utf_8(tmp_path: Path, take: Callable[[Path], Taken]) -> None:
    name = os.fsdecode(b"nanochat/caf\xe9.py")
    said = "the name 'nanochat/caf\\udce9.py' is not UTF-8"
    assert said in take(tarred(tmp_path, tar_entry(name))).refused
    top = folder(tmp_path)
    (top / name).write_text("")
    assert said in take(top).refused


def test_names_that_cannot_be_files(tmp_path: Path, take: Callable[[Path], Taken]) -> None:
    long = f"nanochat/{'x' * 300}.py"
    assert "cannot be written: File name too long" in take(zipped(tmp_path, {long: b""})).refused
    both = {"nanochat/gpt.py/more.py": b""}
    assert take(zipped(tmp_path, both)).refused == "nanochat/gpt.py/more.py is both a file and a folder"
    twice = tarred(tmp_path, tar_entry("nanochat/gpt.py"))
    assert take(twice).refused.startswith("it holds nanochat/gpt.py twice")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "it holds no folder nanochat/: it is empty"),
        ({"gpt.py": b""}, "it has gpt.py; put what is graded into a folder nanochat/"),
        ({"Nanochat/gpt.py": b""}, "it has 'Nanochat', and the name must be nanochat exactly"),
        ({"a/b/c/nanochat/gpt.py": b""}, "near its top: a/b/c/nanochat/gpt.py lies too deep"),
        ({"nanochat/gpt.txt": b""}, "nanochat/ holds no Python file"),
        (
            {"new/nanochat/gpt.py": b"", "old/nanochat/gpt.py": b""},
            "it holds 2 folders nanochat/ (new/nanochat/ and old/nanochat/): leave the one to be graded",
        ),
    ],
)
def test_packages_that_cannot_be_graded(
    tmp_path: Path, take: Callable[[Path], Taken], files: dict[str, bytes], said: str
) -> None:
    assert said in take(zipped(tmp_path, {}, good=files)).refused
    (tmp_path / "alice").mkdir()
    assert said in take(folder(tmp_path, files)).refused


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")


@needs_git
def test_bundles(tmp_path: Path, take: Callable[[Path], Taken]) -> None:
    assert take(bundled(tmp_path, "work")).tree == contents.tree_hash(GOOD)


@needs_git
def test_a_bundle_without_a_choice(tmp_path: Path, take: Callable[[Path], Taken]) -> None:
    assert "has 2 branches and no HEAD, main or master" in take(bundled(tmp_path, "work", "other")).refused


@needs_git
def test_a_bundle_with_a_link(tmp_path: Path, take: Callable[[Path], Taken]) -> None:
    assert "nanochat/engine.py is a symbolic link" in take(bundled(tmp_path, "HEAD", link=True)).refused


@needs_git
def test_a_bundle_that_is_none(tmp_path: Path, take: Callable[[Path], Taken]) -> None:
    (tmp_path / "alice.bundle").write_bytes(b"none")
    assert take(tmp_path / "alice.bundle").refused.startswith("git cannot read the bundle: ")


@needs_git
def test_a_bundle_runs_nothing(
    tmp_path: Path, take: Callable[[Path], Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what the tree says about filters nor what the grader's own user has set is run."""
    canary = tmp_path / "canary"
    home = tmp_path / "home"
    home.mkdir()
    command = f"touch {canary}; cat"
    (home / ".gitconfig").write_text(f'[filter "x"]\nsmudge = "{command}"\n[core]\nfsmonitor = "{command}"\n')
    entry = bundled(tmp_path, "HEAD", files={**GOOD, ".gitattributes": b"*.py filter=x\n"})
    monkeypatch.setenv("HOME", str(home))
    assert take(entry).tree == contents.tree_hash(GOOD)
    assert not canary.exists()


def test_a_bundle_without_git(
    tmp_path: Path, take: Callable[[Path], Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "alice.bundle").write_bytes(b"")
    monkeypatch.setattr(bundle.shutil, "which", lambda _: None)
    assert (
        "git is not installed where it is graded: hand in a zip file"
        in take(tmp_path / "alice.bundle").refused
    )


def test_who_handed_in_what(tmp_path: Path) -> None:
    for name in ("bob.tar.gz", "carol.ZIP", "dan.rar", ".hidden", "eve.v2"):
        (tmp_path / name).touch()
    for name in ("alice", "carol", "x.y"):
        (tmp_path / name).mkdir()
    listed = {student: [path.name for path in paths] for student, paths in intake.listed(tmp_path).items()}
    assert listed == {
        "alice": ["alice"],
        "bob": ["bob.tar.gz"],
        "carol": ["carol", "carol.ZIP"],
        "dan": ["dan.rar"],
        "eve": ["eve.v2"],
        "x.y": ["x.y"],
    }
    (tmp_path / "trees").mkdir()
    taken = {one.student: one.refused for one in intake.take(intake.listed(tmp_path), tmp_path / "trees")}
    assert taken["carol"] == "there are 2 entries of this name (carol, carol.ZIP): leave one"
    assert taken["dan"].startswith("dan.rar is neither a folder nor an archive that can be read (.tar.gz, ")


def test_names_of_entries_cannot_steer_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[31m\nb").mkdir()
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    assert list(intake.listed(tmp_path)) == ["a\\x1b[31m\\nb", "caf\N{REPLACEMENT CHARACTER}"]


def test_what_a_kill_left_is_cleared_away(tmp_path: Path) -> None:
    folder(tmp_path / ".incoming-7")
    folder(tmp_path / "tree")
    intake.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_shards_are_parts_of_the_class(tmp_path: Path) -> None:
    entries = {f"student{i}": [tmp_path] for i in range(10)}
    parts = [intake.shard(entries, (i, 3)) for i in (1, 2, 3)]
    assert sorted(name for part in parts for name in part) == sorted(entries)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
