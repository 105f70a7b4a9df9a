#!/bin/sh
# An experiment on several machines by ssh, without MPI: they share its steps in a folder that all see under this
# path, as they do the data.  A machine that fails, or is started later, makes no difference to the result.
#   examples/ssh.sh configs/experiment.yaml /shared/runs/experiment host1 host2 host3
set -eu
config=$1 out=$2
shift 2
for host; do
    # shellcheck disable=SC2029 # names are ours
    ssh "$host" "cd '$PWD' && nohup mendel experiment '$config' --out '$out' >'$out.$host.log' 2>&1 </dev/null &"
done
until [ -e "$out/plan.json" ]; do sleep 1; done
mendel status "$out"
