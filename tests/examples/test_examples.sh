#!/bin/sh
# The examples run: each as it is, with the program made small (tests/docs/house.sh); srun and
# scontrol are stand-ins, and of the job of GitHub Actions the lines that run something are run.
# usage: test_examples.sh mendel source-root
set -u
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
root=$(cd "$2" && pwd)
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
. "$root/tests/docs/house.sh"
enter_house "$scratch/house" "$root"
PATH=$PWD/build:$PATH
failures=0

# works COMMAND...; its output is in out.
works() {
    "$@" >out 2>&1 </dev/null || {
        echo "FAILED (exit $?): $*"
        tail -n 5 out | sed 's/^/  /'
        failures=$((failures + 1))
    }
}

# there FILE...
there() {
    for file in "$@"; do
        [ -s "$file" ] || { echo "FAILED: there is no $file"; failures=$((failures + 1)); }
    done
}

works "$root/examples/train-folder.sh" photos runs/photos
there runs/photos/final.safetensors runs/photos/predictions.csv runs/photos/report.html
works "$root/examples/train-folder.sh" photos runs/photos # again: it is finished

works mendel train --data folder:photos --set train.init=runs/photos/final.safetensors --seed 2 --out runs/branch
works "$root/examples/merge-checkpoints.sh" folder:photos runs/photos/final.safetensors \
    runs/branch/final.safetensors runs/merged
there runs/merged/average.safetensors runs/merged/search/merged.safetensors

# ---- Slurm ---------------------------------------------------------------------------------------

printf '#!/bin/sh\ncase $1 in --mpi=*) shift ;; esac\nexec "$@"\n' >build/srun
printf '#!/bin/sh\necho "scontrol $*"\n' >build/scontrol
chmod +x build/srun build/scontrol
works env SLURM_CPUS_PER_TASK=1 SLURM_JOB_ID=7 "$root/examples/slurm.sh" configs/quickstart.yaml runs/slurm
there runs/slurm/table.json runs/slurm/report.html
printf '#!/bin/sh\ncase $1 in --mpi=*) shift ;; esac\nexec "$@" --set train.shards=2\n' >build/srun # of 2 images
works env SLURM_CPUS_PER_TASK=1 SLURM_JOB_ID=7 "$root/examples/slurm-mpi.sh" configs/train.yaml runs/ranks
there runs/ranks/final.safetensors
printf '#!/bin/sh\nexit 130\n' >build/srun
works env SLURM_CPUS_PER_TASK=1 SLURM_JOB_ID=7 "$root/examples/slurm.sh" configs/quickstart.yaml runs/slurm
grep -q 'scontrol requeue 7' out || { echo 'FAILED: a job that was stopped is not requeued'; failures=$((failures + 1)); }
printf '#!/bin/sh\nexit 3\n' >build/srun
SLURM_CPUS_PER_TASK=1 SLURM_JOB_ID=7 "$root/examples/slurm.sh" configs/quickstart.yaml runs/slurm >out 2>&1
[ $? -eq 3 ] || { echo 'FAILED: a job that failed does not fail'; failures=$((failures + 1)); }

# The tasks of an array share a folder; one that was stopped comes back as itself.
printf '#!/bin/sh\nexec "$@"\n' >build/srun
array='env SLURM_CPUS_PER_TASK=1 SLURM_ARRAY_JOB_ID=7'
$array SLURM_ARRAY_TASK_ID=1 "$root/examples/slurm-array.sh" configs/quickstart.yaml runs/array >out1 2>&1 &
works $array SLURM_ARRAY_TASK_ID=2 "$root/examples/slurm-array.sh" configs/quickstart.yaml runs/array
wait $! || { echo 'FAILED: the other task of an array'; failures=$((failures + 1)); }
there runs/array/table.json runs/array/report.html
printf '#!/bin/sh\nexit 130\n' >build/srun
works $array SLURM_ARRAY_TASK_ID=3 "$root/examples/slurm-array.sh" configs/quickstart.yaml runs/array
grep -q 'scontrol requeue 7_3' out || { echo 'FAILED: a task that was stopped is not requeued'; failures=$((failures + 1)); }

# ---- ssh and mpirun ------------------------------------------------------------------------------

printf '#!/bin/sh\nshift\nexec sh -c "$1"\n' >build/ssh
printf '#!/bin/sh\nif [ "$1" = --version ]; then cat mpi; else echo "$*" >started; fi\n' >build/mpirun
chmod +x build/ssh build/mpirun
works "$root/examples/ssh.sh" configs/quickstart.yaml "$PWD/runs/ssh" one two
tries=0
until [ -s runs/ssh/report.html ] || [ $tries -ge 600 ]; do sleep 0.1; tries=$((tries + 1)); done
there runs/ssh/table.json runs/ssh/report.html runs/ssh.one.log runs/ssh.two.log
printf 'one\n\ntwo\n' >hosts
for mpi in 'mpirun (Open MPI) 4.1.4' 'HYDRA build details: Version: 4.0.2'; do
    echo "$mpi" >mpi
    works env IMAGE=m.sif "$root/examples/mpirun.sh" hosts mendel train --resume
    grep -q -- 'hosts .*-n 2 apptainer exec m.sif mendel train --resume$' started ||
        { echo "FAILED: $mpi is started by: $(cat started)"; failures=$((failures + 1)); }
done

# ---- GitHub Actions ------------------------------------------------------------------------------

export GITHUB_PATH="$scratch/path" GITHUB_STEP_SUMMARY="$scratch/summary"
sed -n 's/^ *- run: //p' "$root/examples/github-actions.yml" | grep -v '^\./bootstrap' >"$scratch/steps"
while read -r step <&3; do
    works sh -c "$step"
done 3<"$scratch/steps"
there "$GITHUB_PATH" "$GITHUB_STEP_SUMMARY"

[ "$failures" -eq 0 ]
