#!/bin/sh
# What there is to measure on a machine with a GPU, in parts: what it is and where its time goes
# (profile), training of baseline and hybrid at batch 64 and 256 in turn with PyTorch on the same card,
# eager, float32 without TF32 (compare), the kernels and parameters that are fastest there (tune), and
# the plain recipe with its accuracy (train).  All that is printed and measured is kept in a folder;
# without a tuning table there the first parts measure what every device does.
#
#   tests/bench/gpu.sh [MENDEL] [FOLDER]      (build/mendel and gpu-results unless given)
#
# PARTS   in this order, "profile compare tune profile compare train" unless given.  Where a command
#         may take ten minutes: "profile compare", then "tune", "profile compare", "train", each a
#         command of its own with the same FOLDER (its cache/ and, for train, RUNS must be there)
# DATA    the folder of CIFAR-10's binary files, for train; without it that part is left out
# RUNS    where the training's checkpoints go (FOLDER unless given)
# LIMIT   seconds after which the training stops and saves, 540 unless given; again: it goes on
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
parts=${PARTS:-profile compare tune profile compare train}
runs=${RUNS:-$folder}
peer=cuda rounds=${ROUNDS:-3} repeat=20 batches=64,256 models='baseline hybrid'
tuned='' short=''
data=${DATA:+cifar10:$DATA}
if [ -n "${DRY:-}" ]; then
    device=${DEVICE:-opencl} peer=cpu rounds=1 repeat=1 batches=2
    models=baseline tuned='--model baseline' data=synthetic:64
    short='--set data.image_size=8 --set model.width=0.25 --set train.batch=16 --set train.epochs=1'
fi
mkdir -p "$folder/cache" "$runs"
XDG_CACHE_HOME=$(cd "$folder/cache" && pwd) # of the tuning table
export XDG_CACHE_HOME
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
    for library in libnvidia-opencl.so.1 /usr/local/nvidia/lib*/libnvidia-opencl.so.1; do
        if [ -e "$library" ] || ldconfig -p 2>/dev/null | grep -qF "$library"; then
            OCL_ICD_VENDORS=$library
            export OCL_ICD_VENDORS
            break
        fi
    done
fi

profile() {
    for model in $models; do
        step "$mendel" bench --backend "$device" --only train --model "$model" --batch "$batches" \
            --repeat "$repeat" --profile --ops
        step "$mendel" bench --backend "$device" --only train --model "$model" \
            --batch "${batches%%,*}" --repeat "$repeat" --layers
    done
}

compare() {
    step "$python" "$here/compare.py" "$mendel" --python "$python" --device "$peer" \
        --backend "$device" --works train --threads 1 --batches "$batches" \
        --models "$(echo "$models" | tr ' ' ,)" --rounds "$rounds" --repeat "$repeat" \
        --save "$folder/runs-$state.jsonl"
}

tune() {
    # shellcheck disable=SC2086 # words
    step "$mendel" bench --backend "$device" --tune --only train $tuned --batch "$batches" --repeat 5
}

# As far as LIMIT allows; the accuracy once it is done.
train() {
    if [ -z "$data" ]; then
        echo 'train: DATA is not given' | tee -a "$log"
        return
    fi
    code=0
    # shellcheck disable=SC2086 # words
    timeout -s INT "${LIMIT:-540}" "$mendel" train --config "$here/../../configs/train.yaml" $short \
        --data "$data" --backend "$device" --out "$runs/plain" --resume >>"$log" 2>>"$folder/err.txt" ||
        code=$?
    if [ -s "$runs/plain/metrics.jsonl" ]; then # an epoch is done
        cp "$runs/plain/metrics.jsonl" "$folder/train.jsonl"
        tail -n 1 "$folder/train.jsonl"
    fi
    if [ $code -eq 0 ]; then
        # shellcheck disable=SC2086
        step "$mendel" eval "$runs/plain/final.safetensors" --data "$data" --backend "$device"
    elif [ $code -eq 124 ] || [ $code -eq 130 ]; then
        echo 'not done yet: PARTS=train goes on' | tee -a "$log"
    else
        tail -n 5 "$folder/err.txt"
        exit 1
    fi
}

date -u >>"$log"
step "$mendel" devices
for part in $parts; do
    state=untuned
    ! ls "$XDG_CACHE_HOME"/mendel/tuning-opencl-*.json >/dev/null 2>&1 || state=tuned
    echo "# $part, $state" | tee -a "$log"
    case $part in
    profile | compare | tune | train) $part ;;
    *)
        echo "no part '$part': profile, compare, tune, train"
        exit 2
        ;;
    esac
done
rm -f "$folder/part"
echo "kept in $folder"
