#!/bin/sh
# A training over several nodes as a Slurm job, a rank each, by Open MPI (with MPICH: --mpi=pmi2).  Two minutes
# before its time is over Slurm sends USR1, on which all ranks stop and the first one saves; then the job goes back
# into the queue and goes on with the same bytes, also with another number of nodes that divides train.shards.
#   sbatch --nodes=4 examples/slurm-mpi.sh configs/train.yaml runs/train
#SBATCH --job-name=mendel
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=mendel-%j.log
set -u
config=$1 out=$2
srun --mpi=pmix mendel train --config "$config" --set train.shards=4 --out "$out" --resume \
    --threads "$SLURM_CPUS_PER_TASK"
code=$?
case $code in
0) ;;
130) scontrol requeue "$SLURM_JOB_ID" ;;
*) exit $code ;;
esac
