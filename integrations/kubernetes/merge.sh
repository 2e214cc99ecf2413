#!/bin/sh
# Puts the parts of a class together: results/ and gradebook.csv in GRADER_OUT. Refuses where a part is missing.
set -eu
. "$(dirname "$0")/settings.sh"
: "${GRADER_OUT:?the folder for results}" "${GRADER_RUN:?the name that the parts were graded under}"

set --
missing=
i=1
while [ "$i" -le "$GRADER_SHARDS" ]; do
    part=$GRADER_OUT/parts/$i-of-$GRADER_SHARDS
    # What an earlier run left is no part of this one: since then somebody may have handed in.
    if [ -f "$part/finished" ] && [ "$(cat "$part/finished")" = "$GRADER_RUN" ]; then
        set -- "$@" "$part"
    else
        missing="$missing $i"
    fi
    i=$((i + 1))
done
if [ -n "$missing" ]; then
    echo "merge.sh: of $GRADER_SHARDS parts these did not finish:$missing. Look at their logs, then start the" \
        "run again: it grades only what has no result yet." >&2
    exit 3
fi

fresh=$GRADER_OUT/.merging
rm -rf "$fresh"
grader merge "$fresh" "$@"
if [ -d "$GRADER_OUT/results" ]; then
    mv "$GRADER_OUT/results" "$GRADER_OUT/results-before-$(date -u +%Y%m%dT%H%M%S)-$$"
fi
mv "$fresh" "$GRADER_OUT/results"
grader report "$GRADER_OUT/results" --format csv --out "$GRADER_OUT/gradebook.csv"
