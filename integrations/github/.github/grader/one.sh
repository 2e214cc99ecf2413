#!/bin/sh
# Grades one submission: sh one.sh SUBMISSION RESULTS, where SUBMISSION is a folder and RESULTS a new one.
# Exit code 0: graded, or rejected with a reason that concerns the student. Any other: there is no mark, and no zero.
set -eu
. "$(dirname "$0")/settings.sh"

class=$(mktemp -d)
trap 'rm -rf "$class"' EXIT
# `grader batch` grades a folder full of submissions: this one is its only one. Links stay links.
cp -R -P "$1" "$class/submission"
# Before the platform's own limit, because platforms may take theirs for a zero.
timeout -k 30 "$((GRADER_MINUTES * 60))" grader batch "$class" --out "$2" --level "$GRADER_LEVEL" \
    --seed "$GRADER_SEED" --isolation "$GRADER_ISOLATION" --jobs "$GRADER_JOBS" || {
    code=$?
    echo "one.sh: no mark: the grader ended with $code (124: it took over $GRADER_MINUTES minutes)" >&2
    exit "$code"
}
