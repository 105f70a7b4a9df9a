#!/bin/sh
# One training, search or experiment over several machines, a rank each, by Open MPI or MPICH.  HOSTS is a file with
# a name a line; where IMAGE names a container, mendel is the one inside (its MPI and that outside are of one family).
#   examples/mpirun.sh hosts mendel train --config configs/train.yaml --set train.shards=4 --out runs/train --resume
#   IMAGE=mendel.sif examples/mpirun.sh hosts mendel experiment configs/experiment.yaml --out /shared/runs/experiment
set -eu
hosts=$1
shift
ranks=$(grep -c '[^[:space:]]' "$hosts")
[ -z "${IMAGE:-}" ] || set -- apptainer exec "$IMAGE" "$@"
# A rank gets all processors of its machine.
case $(mpirun --version 2>&1) in
*'Open MPI'* | *OpenRTE*) exec mpirun --hostfile "$hosts" --map-by node --bind-to none -n "$ranks" "$@" ;;
*) exec mpirun -f "$hosts" -ppn 1 -bind-to none -n "$ranks" "$@" ;;
esac
