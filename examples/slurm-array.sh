#!/bin/sh
# An experiment as a Slurm array: each task works on the same folder, on whatever machine it gets, and
# the tasks share the steps.  Tasks may start at different times, end, and be requeued.
#   sbatch --array=1-8 examples/slurm-array.sh configs/experiment.yaml /shared/runs/experiment
#   mendel status /shared/runs/experiment --watch
#SBATCH --job-name=mendel
#SBATCH --array=1-4
#SBATCH --cpus-per-task=8
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=mendel-%A-%a.log
set -u
config=$1 out=$2
srun mendel experiment "$config" --out "$out" --threads "$SLURM_CPUS_PER_TASK"
code=$?
# USR1 comes two minutes before the time is over: what was done is saved, and another task goes on with
# it at once; this one comes back into the queue.
[ $code -ne 130 ] || exec scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
exit $code
