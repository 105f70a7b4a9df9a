#!/bin/sh
# Whether training at 224 is fed: an epoch over a folder of JPEGs of the size of photographs with a
# frozen trunk, held in memory and decoded as they are used; printed are images a second, the part of
# the time that training waited for images (wanted: at most 5 %), and the peak of resident memory.
# usage: feed.sh MENDEL [IMAGES [THREADS]]
# PYTHON (python3) makes the pictures and needs Pillow and NumPy; without them: exit code 77.
set -u
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
images=${2:-1000}
threads=${3:-0}
python=${PYTHON:-python3}
pictures=$(cd "$(dirname "$0")" && pwd)/photographs.py
dir=$(mktemp -d "${TMPDIR:-/tmp}/mendel-feed-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export XDG_CACHE_HOME="$dir/cache"
"$python" "$pictures" photos "$images" || exit $?
du -sh photos

# run NAME SETTING...: an epoch
run() {
    name=$1; shift
    "$mendel" train --data folder:photos --set data.image_size=224 --set model.stem_stride=2 \
        --set data.resize=crop --set 'data.mean=[0.485,0.456,0.406]' --set 'data.std=[0.229,0.224,0.225]' \
        --set 'train.freeze=all,!classifier' --set train.batch=16 --set train.epochs=1 --set data.threads="$threads" \
        --set train.evaluate_every=0 --set data.validation_fraction=0.01 --out "$name" "$@" >out 2>err &
    pid=$! peak=0
    while kill -0 $pid 2>/dev/null; do
        now=$(awk '/^VmHWM/ { print $2 }' /proc/$pid/status 2>/dev/null)
        [ "${now:-0}" -gt "$peak" ] && peak=$now
        sleep 0.2
    done
    wait $pid || { cat err; exit 1; }
    awk -F, -v name="$name" -v peak="$peak" 'NR == 2 { printf "%-10s %7.1f images/s  waited %5.1f %%  peak %6.0f MiB\n",
        name, $8, 100 * $11, peak / 1024 }' "$name/metrics.csv"
}
run held
run streamed --set data.memory=1MiB
run cropped --set data.memory=1MiB --set 'data.augment=[flip,resized_crop]'
