#!/bin/sh
# Grades the class on the volume claim `nanograder`: sh grade.sh, or sh grade.sh ray. The submissions lie in
# submissions/ of that volume; out/results and out/gradebook.csv come of it.
set -eu
cd "$(dirname "$0")"
case ${1:-shards} in shards | ray) ;; *) echo "usage: sh grade.sh [ray]" >&2; exit 2 ;; esac
# Part of the names of all objects, for a job cannot be changed: two runs share nothing but the volume.
run=$(date -u +%Y%m%dt%H%M%S)

create() { sed "s/run0/$run/g" "$1" | kubectl create -f -; }

finish() {  # wait for a job, and say whether it succeeded
    unanswered=0
    while [ "$unanswered" -lt 30 ]; do
        states=$(kubectl get "job/$1" -o 'jsonpath={.status.conditions[?(@.status=="True")].type}') ||
            unanswered=$((unanswered + 1))
        case " $states " in
            *" Complete "*) return 0 ;;
            *" Failed "*) return 1 ;;
        esac
        sleep "${GRADER_POLL_SECONDS:-10}"
    done
    echo "grade.sh: $1 cannot be asked for" >&2
    return 1
}

kubectl create configmap "nanograder-scripts-$run" \
    --from-file=settings.sh --from-file=part.sh --from-file=merge.sh --from-file=ray.sh
if [ "${1:-}" = ray ]; then
    # Whoever can talk to Ray can run anything in it.
    token=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
    printf %s "$token" | kubectl create secret generic "nanograder-ray-$run" --from-file=token=/dev/stdin
    create ray.yaml
    last=nanograder-ray-$run
    code=0
    finish "$last" || code=3
    kubectl delete "job/nanograder-workers-$run" "secret/nanograder-ray-$run" "service/nanograder-ray-$run"
else
    create parts.yaml
    finish "nanograder-parts-$run" || echo "grade.sh: a part failed, or somebody is held: the merge says more" >&2
    create merge.yaml
    last=nanograder-merge-$run
    code=0
    finish "$last" || code=3
fi
kubectl logs "job/$last"
exit "$code"
