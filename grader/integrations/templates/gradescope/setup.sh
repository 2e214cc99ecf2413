#!/bin/sh
# Gradescope runs this once, as root, when it builds the container. GRADESCOPE_ROOT stands for /autograder in tests.
set -eu
root=${GRADESCOPE_ROOT:-/autograder}
cd "$root/source"
. ./settings.sh

# Ubuntu 22.04, which Gradescope offers, comes with Python 3.10.
recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
python=
for one in ${PYTHON:-} python3.13 python3.12 python3.11 python3; do
    if recent "$one"; then python=$one && break; fi
done
if [ -z "$python" ]; then
    apt-get install -y python3.11
    python=python3.11
fi
if ! "$python" -m venv "$root/venv"; then
    # Ubuntu keeps what `venv` needs in a package of its own.
    apt-get install -y "$(basename "$python")-venv"
    "$python" -m venv --clear "$root/venv"
fi
"$root/venv/bin/python" -m pip install "$GRADER_INSTALL"
# What the build can hold a submission with, for the log: what counts is tried again with each submission.
"$root/venv/bin/grader" doctor
