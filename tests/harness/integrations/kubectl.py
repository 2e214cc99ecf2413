"""`kubectl` as far as grade.sh asks for it: runs the pods of each job at once, without a cluster.

`python kubectl.py FOLDER ARGUMENTS...`, where FOLDER is the volume of the class, and keeps what is made.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped, unused-ignore]  # its stubs are a package of their own

CLASS = Path(sys.argv[1])
OBJECTS = CLASS / "objects"


def main(words: list[str]) -> int:
    """Obey one command."""
    OBJECTS.mkdir(exist_ok=True)
    with (CLASS / "calls").open("a") as calls:
        calls.write(f"{' '.join(words)}\n")
    if words[:2] == ["create", "-f"]:
        for one in yaml.safe_load_all(sys.stdin.read()):
            create(one)
    elif words[0] == "create":
        create_from_files(
            [word for word in words[1:] if not word.startswith("--") and word != "generic"], words
        )
    elif words[0] == "get":
        kind, name = words[1].split("/")
        if not (OBJECTS / kind / name).exists():
            print(f'Error from server (NotFound): "{name}" not found', file=sys.stderr)
            return 1
        print(json.loads((OBJECTS / kind / name).read_text())["state"], end="")
    elif words[0] == "logs":
        print(json.loads((OBJECTS / words[1]).read_text())["log"], end="")
    elif words[0] == "delete":
        for word in words[1:]:
            (OBJECTS / word).unlink()
    return 0


def create_from_files(what: list[str], words: list[str]) -> None:
    """Make a configuration map or a secret."""
    kind, name = what
    files = [word.removeprefix("--from-file=") for word in words if word.startswith("--from-file=")]
    named = [one.split("=") if "=" in one else (one, one) for one in files]
    put(kind, name, {key: Path(file).read_text() for key, file in named})


def create(made: dict[str, Any]) -> None:
    """Make an object; of a job that ends by itself, run the pods."""
    name = made["metadata"]["name"]
    if made["kind"] != "Job" or name.startswith("nanograder-workers"):
        put(made["kind"].lower(), name, made)
        return
    spec = made["spec"]
    done = [
        pod(spec["template"]["spec"], index)
        for index in range(spec.get("completions", 1))
        if str(index) != os.environ.get("LOST")
    ]
    failed = any(one.returncode for one in done) or len(done) < spec.get("completions", 1)
    state = "FailureTarget Failed" if failed else "SuccessCriteriaMet Complete"
    put("job", name, {"state": state, "log": "".join(one.stdout + one.stderr for one in done)})


def pod(spec: dict[str, Any], index: int) -> subprocess.CompletedProcess[str]:
    """Run the only container of a pod."""
    (container,) = spec["containers"]
    volumes = {one["name"]: one for one in spec["volumes"]}
    scripts = volumes["scripts"]["configMap"]["name"]
    folder = CLASS / scripts
    folder.mkdir(exist_ok=True)
    for name, text in json.loads((OBJECTS / "configmap" / scripts).read_text()).items():
        (folder / name).write_text(text)
    places = {"/class": str(CLASS), "/scripts": str(folder)}
    assert {one["mountPath"] for one in container["volumeMounts"]} >= {*places}
    env = {"JOB_COMPLETION_INDEX": str(index), "PATH": os.environ["PATH"]}
    for one in container["env"]:
        env[one["name"]] = placed(one["value"], places) if "value" in one else secret(one["valueFrom"])
    command = [placed(word, places) for word in container["command"]]
    return subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, check=False)


def placed(text: str, places: dict[str, str]) -> str:
    """Return a text with the folders that stand for the volumes."""
    for inside, here in places.items():
        text = text.replace(inside, here)
    return text


def secret(source: dict[str, Any]) -> str:
    """Return a value of a secret."""
    wanted = source["secretKeyRef"]
    return str(json.loads((OBJECTS / "secret" / wanted["name"]).read_text())[wanted["key"]])


def put(kind: str, name: str, content: dict[str, Any]) -> None:
    """Keep an object; refuse one of a name that is taken."""
    (OBJECTS / kind).mkdir(exist_ok=True)
    with (OBJECTS / kind / name).open("x") as file:
        json.dump(content, file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
