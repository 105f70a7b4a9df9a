#!/bin/sh
# One run on a machine with a GPU: what it is, a profile before and after tuning, and training of
# baseline and hybrid at batch 64 and 256 in turn with PyTorch on the same card (eager, float32
# without TF32).  All that is printed and measured is kept in a folder.
#
#   tests/bench/gpu.sh [MENDEL] [FOLDER]      (build/mendel and gpu-results unless given)
#
# PYTHON  a python3 with PyTorch (CUDA or ROCm), python3 unless given
# DEVICE  the backend, opencl:gpu unless given
# ROUNDS  of the comparison, 3 unless given
# DRY=1   the same steps for the baseline at batch 2 on any OpenCL device (PoCL), PyTorch on the
#         processor: shows that the script works, and nothing of speed
# Not part of the tests.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mendel=${1:-build/mendel}
folder=${2:-gpu-results}
python=${PYTHON:-python3}
device=${DEVICE:-opencl:gpu}
peer=cuda rounds=${ROUNDS:-3} repeat=20 batches=64,256 models='baseline hybrid' tuned=
if [ -n "${DRY:-}" ]; then
    device=${DEVICE:-opencl} peer=cpu rounds=1 repeat=1 batches=2
    models=baseline tuned='--model baseline'
fi
mkdir -p "$folder"
log=$folder/log.txt

# What runs, then its output, both also in the log.
step() {
    echo "\$ $*" | tee -a "$log"
    "$@" >"$folder/part" 2>>"$folder/err.txt" || {
        echo "exit $?; see $folder/err.txt" | tee -a "$log"
        tail -n 5 "$folder/err.txt"
        exit 1
    }
    tee -a "$log" <"$folder/part"
}

# Containers often have NVIDIA's library without the file that names it.
if [ "$peer" = cuda ] && [ -z "${OCL_ICD_VENDORS:-}" ] &&
    ! ls /etc/OpenCL/vendors/*nvidia* >/dev/null 2>&1; then
    if ldconfig -p 2>/dev/null | grep -q libnvidia-opencl.so.1; then
        OCL_ICD_VENDORS=libnvidia-opencl.so.1
        export OCL_ICD_VENDORS
    fi
fi

date -u >>"$log"
step "$mendel" devices
for model in $models; do
    step "$mendel" bench --backend "$device" --set run.tuning=off --only train --model "$model" \
        --batch "$batches" --repeat "$repeat" --profile --ops
done
# shellcheck disable=SC2086 # words
step "$mendel" bench --backend "$device" --tune --only train $tuned --batch "$batches" \
    --repeat "$repeat"
for model in $models; do
    step "$mendel" bench --backend "$device" --only train --model "$model" --batch "$batches" \
        --repeat "$repeat" --profile --ops
    step "$mendel" bench --backend "$device" --only train --model "$model" \
        --batch "${batches%%,*}" --repeat "$repeat" --layers
done
step "$python" "$here/compare.py" "$mendel" --python "$python" --device "$peer" \
    --backend "$device" --works train --threads 1 --batches "$batches" \
    --models "$(echo "$models" | tr ' ' ,)" --rounds "$rounds" --repeat "$repeat" \
    --save "$folder/runs.jsonl"
rm -f "$folder/part"
echo "kept in $folder"
