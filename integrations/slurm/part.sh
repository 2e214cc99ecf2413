#!/bin/sh
# Grades one part of a class: sh part.sh I, with I from 1 to GRADER_SHARDS. Started again, it goes on where it was.
# GRADER_SUBMISSIONS and GRADER_OUT are folders that all nodes see, GRADER_RUN names this run of all parts.
set -eu
. "$(dirname "$0")/settings.sh"
: "${GRADER_SUBMISSIONS:?the folder of submissions}" "${GRADER_OUT:?the folder for results}" "${GRADER_RUN:?a name}"

# Its name says of how many: parts of another cut are never mixed with these.
part=$GRADER_OUT/parts/$1-of-$GRADER_SHARDS
mkdir -p "$part"
rm -f "$part/finished"
touch "$part/started"
code=0
grader batch "$GRADER_SUBMISSIONS" --shard "$1/$GRADER_SHARDS" --out "$part" --level "$GRADER_LEVEL" \
    --seed "$GRADER_SEED" --isolation "$GRADER_ISOLATION" --jobs "$GRADER_JOBS" || code=$?
# 3 may mean that the grader failed over somebody, who is held and earns neither points nor a zero: the part can be
# merged. It may also mean that nothing was begun; then this run has not written to the ledger.
if [ "$code" = 0 ] || { [ "$code" = 3 ] && [ -n "$(find "$part/ledger.sqlite" -newer "$part/started")" ]; }; then
    printf '%s\n' "$GRADER_RUN" > "$part/finished"
fi
exit "$code"
