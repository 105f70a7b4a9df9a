#!/bin/sh
# What freezing saves at 224 with batches of 16: nothing frozen, frozen up to the last stage, and all but
# the classifier.  Printed for each: the bytes that `mendel plan` says, those that the training allocated
# (exit code 1 where they differ), the peak of resident memory and what of it is not planned (the program,
# images in memory, copies by which a step can be left), milliseconds of a step (of the second epoch).
# usage: [BACKEND=cpu] frozen.sh MENDEL [STEPS [THREADS]]
# STEPS: of an epoch (default: 8); 16 more pictures are for validation.  PYTHON (python3) makes the
# pictures and needs Pillow and NumPy; without them: exit code 77.
set -u
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
steps=${2:-8}
threads=${3:-0}
python=${PYTHON:-python3}
pictures=$(cd "$(dirname "$0")" && pwd)/photographs.py
dir=$(mktemp -d "${TMPDIR:-/tmp}/mendel-frozen-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export XDG_CACHE_HOME="$dir/cache"
"$python" "$pictures" photos $((16 * steps + 16)) || exit $?
failures=0
set -- --data folder:photos --set data.image_size=224 --set model.stem_stride=2 --set data.resize=crop \
    --set 'data.mean=[0.485,0.456,0.406]' --set 'data.std=[0.229,0.224,0.225]' --set train.batch=16 \
    --set "data.validation_fraction=$(awk "BEGIN { print 1 / ($steps + 1) }")" --threads "$threads" --backend "${BACKEND:-cpu}"

# number KEY FILE: a whole number of a JSON text
number() {
    "$python" -c 'import json, sys
def find(value, key):
    if isinstance(value, dict):
        if key in value:
            return value[key]
        value = list(value.values())
    return next((x for x in (find(v, key) for v in value) if x is not None), None) if isinstance(value, list) else None
print(find(json.load(open(sys.argv[2])), sys.argv[1]))' "$1" "$2"
}

# measured COMMAND...: its peak of resident memory in bytes; its output goes to train.json and err
measured() {
    "$python" -c 'import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=open("train.json", "w"), stderr=open("err", "w"))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(code)' "$@"
}

# run NAME OPTION...
run() {
    name=$1
    shift
    "$mendel" plan "$@" --json >plan.json 2>err || { cat err; exit 1; }
    resident=$(measured "$mendel" train "$@" --set train.epochs=2 --set train.evaluate_every=0 \
        --out "$name" --json) || { cat err; exit 1; }
    planned=$(number total plan.json) allocated=$(number allocated_bytes train.json)
    speed=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "images_per_second") c = i } NR == 3 { print $c }' "$name/metrics.csv")
    awk "BEGIN { printf \"%-10s planned %10d  allocated %10d  resident %10d  not planned %9d  step %8.1f ms\\n\",
        \"$name\", $planned, $allocated, $resident, $resident - $planned, 16000 / $speed }"
    [ "$planned" = "$allocated" ] || failures=$((failures + 1))
}
run whole "$@"
run last-stage "$@" --set train.freeze=conv_stem,bn1,blocks.0,blocks.1,blocks.2,blocks.3,blocks.4,blocks.5
run classifier "$@" --set 'train.freeze=all,!classifier'
[ $failures -eq 0 ] || { echo "planned and allocated bytes differ"; exit 1; }
