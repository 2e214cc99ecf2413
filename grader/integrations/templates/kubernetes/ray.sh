#!/bin/sh
# The head of a Ray cluster that lives as long as this class is graded, and the driver, which alone writes results.
set -eu
. "$(dirname "$0")/settings.sh"
: "${GRADER_SUBMISSIONS:?the folder of submissions}" "${GRADER_OUT:?the folder for results}"

# No processors of its own: submissions are graded by the workers. The dashboard would be one more open door.
ray start --head --port=6379 --num-cpus=0 --object-store-memory=200000000 \
    --include-dashboard=false --disable-usage-stats
code=0
grader batch "$GRADER_SUBMISSIONS" --engine ray --address auto --out "$GRADER_OUT/results" --level "$GRADER_LEVEL" \
    --seed "$GRADER_SEED" --isolation "$GRADER_ISOLATION" || code=$?
ray stop > /dev/null
case $code in
    0 | 3) grader report "$GRADER_OUT/results" --format csv --out "$GRADER_OUT/gradebook.csv" ;;
esac
exit "$code"
