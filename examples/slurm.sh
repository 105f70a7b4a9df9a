#!/bin/sh
# An experiment as a Slurm job.  Two minutes before its time is over Slurm sends USR1, on which mendel
# saves, stops and ends with 130; then the job goes back into the queue and goes on with the same bytes.
#   sbatch examples/slurm.sh configs/experiment.yaml runs/experiment
#SBATCH --job-name=mendel
#SBATCH --cpus-per-task=8
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=mendel-%j.log
set -u
config=$1 out=$2
srun mendel experiment "$config" --out "$out" --threads "$SLURM_CPUS_PER_TASK"
code=$?
case $code in
0) mendel report "$out" ;;
130) scontrol requeue "$SLURM_JOB_ID" ;;
*) exit $code ;;
esac
