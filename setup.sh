#!/bin/sh
# Sets up .venv with everything that grading and the tests need. Safe to run again.
# PYTHON chooses the interpreter (3.11 or later).
set -eu
cd "$(dirname "$0")"

python=${PYTHON:-$(command -v python3.11 || command -v python3 || true)}
if [ -z "$python" ] || ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "setup: nanograder needs Python 3.11 or later, got '${python:-none}': set PYTHON to one" >&2
    exit 3
fi

# What was installed last, so that a second call costs nothing.
wanted=$(cat pyproject.toml setup.sh; echo "$python"; pwd)
if [ -x .venv/bin/grader ] && [ "$wanted" = "$(cat .venv/installed 2>/dev/null)" ]; then
    exit 0
fi

echo "setup: creating .venv (torch is large: the first time takes minutes)" >&2
if ! "$python" -m venv .venv 2>/dev/null; then
    # Debian's Python comes without ensurepip; pip can then install itself into the environment.
    "$python" -m venv --without-pip .venv
    "$python" -m pip --python .venv/bin/python install --quiet pip
fi
.venv/bin/python -m pip install --quiet torch==2.13.0
.venv/bin/python -m pip install --quiet --editable '.[dev]'
printf '%s\n' "$wanted" > .venv/installed
