#!/bin/sh
# Grades a class as an array of @SHARDS@ jobs and merges it: sh submit.sh SUBMISSIONS OUT [OPTIONS OF SBATCH...]
# All nodes must see both folders and this one. `grader` must be on PATH here: the jobs get this environment.
set -eu
if [ $# -lt 2 ] || [ ! -d "$1" ]; then
    echo "usage: sh submit.sh SUBMISSIONS OUT [OPTIONS OF SBATCH...]: SUBMISSIONS is a folder" >&2
    exit 2
fi
command -v grader > /dev/null || { echo "submit.sh: there is no grader on PATH: activate its environment" >&2; exit 2; }
mkdir -p "$2/logs"
GRADER_SCRIPTS=$(cd "$(dirname "$0")" && pwd)
GRADER_SUBMISSIONS=$(cd "$1" && pwd)
GRADER_OUT=$(cd "$2" && pwd)
GRADER_RUN=$(date -u +%Y%m%dT%H%M%S)-$$
export GRADER_SCRIPTS GRADER_SUBMISSIONS GRADER_OUT GRADER_RUN
shift 2
. "$GRADER_SCRIPTS/settings.sh"

array=$(sbatch --parsable --export=ALL --array="1-$GRADER_SHARDS" --output="$GRADER_OUT/logs/part-%A-%a.txt" \
    "$@" "$GRADER_SCRIPTS/part.sbatch")
array=${array%%;*}  # a cluster's name may follow
# afterany, not afterok: where somebody is held a part ends with 3, and the others still get their marks. A part
# that did not get to its end is noticed by merge.sh.
sbatch --parsable --export=ALL --dependency="afterany:$array" --output="$GRADER_OUT/logs/merge-%j.txt" \
    "$@" "$GRADER_SCRIPTS/merge.sbatch"
echo "submit.sh: run $GRADER_RUN; when both jobs are over, see $GRADER_OUT/gradebook.csv and logs/" >&2
