#!/bin/sh
# The opencl backend through the program: devices and refusals, the same results as cpu, the same
# bytes at every run, resuming under the other backend, merging, the experiment.
# usage: test_opencl.sh MENDEL
# Exit 77 (skipped) without a device, unless MDL_TEST_REQUIRE_OPENCL is set.
set -u
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
dir=$(mktemp -d "${TMPDIR:-/tmp}/mendel-opencl-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failures=0

fail() {
    echo "FAILED: $*"
    [ ! -s err ] || tail -n 5 err | sed 's/^/  err: /'
    failures=$((failures + 1))
}

# expect CODE ARGUMENT...: run, compare the exit code; output in out and err.
expect() {
    wanted=$1
    shift
    "$mendel" "$@" >out 2>err
    got=$?
    [ "$got" -eq "$wanted" ] || fail "exit $got, expected $wanted: mendel $*"
}

says() {
    grep -qF -- "$2" "$1" || fail "\"$2\" is not in $1: $(head -c 400 "$1")"
}

# within LIMIT FILE FILE: the largest difference of the columns from the fourth on (logits).
within() {
    paste -d , "$2" "$3" | awk -F , -v limit="$1" '
        NR > 1 {
            for (i = 4; i <= NF / 2; i++) {
                d = $i - $(i + NF / 2)
                if (d < 0) d = -d
                if (!(d <= limit)) bad = 1
                if (d > most) most = d
            }
        }
        END { printf "largest difference of the logits: %g\n", most; exit bad || NR < 2 }' ||
        fail "logits of $2 and $3 differ by more than $1"
}

# same_number LIMIT KEY FILE FILE: a number of the last line of two metrics.jsonl, relative.
same_number() {
    a=$(sed -n "\$s/.*\"$2\": \([^,}]*\).*/\1/p" "$3")
    b=$(sed -n "\$s/.*\"$2\": \([^,}]*\).*/\1/p" "$4")
    awk -v a="$a" -v b="$b" -v limit="$1" \
        'BEGIN { d = (a - b) / a; if (d < 0) d = -d; exit !(a != "" && b != "" && d <= limit) }' ||
        fail "$2: $a in $3, $b in $4"
}

# ---- devices -------------------------------------------------------------------------------------
expect 0 devices
grep '^opencl:' out | grep -qv 'not usable' || {
    grep '^opencl' out
    [ -n "${MDL_TEST_REQUIRE_OPENCL:-}" ] && exit 1
    exit 77
}
expect 3 train --backend opencl:99:0 --out x
says err 'none of the'
expect 3 train --backend opencl:no-such-device --out x
says err 'mendel devices'
expect 2 train --backend opencl --set run.precision=float64 --out x
MENDEL_BACKENDS=$dir/nowhere "$mendel" devices >out 2>err || fail 'devices without the module'
says out 'it needs an OpenCL loader and CLBlast'
MENDEL_BACKENDS=$dir/nowhere "$mendel" train --backend opencl --out x >out 2>err &&
    fail 'trained without the module'
says err 'there is no such file'
[ ! -e x ] || fail 'a refused command left files'

# ---- training, evaluation -------------------------------------------------------------------------
cat >tiny.yaml <<'YAML'
data: {source: "synthetic:120", image_size: 8, fitness_fraction: 0.25}
model: {width: 0.25, depth: 0.2}
trm: {dim: 8}
train: {epochs: 1, batch: 16}
merge: {evaluations: 2, batch: 2}
experiment: {epochs_merged: 0, latency_runs: 1}
run: {threads: 1}
YAML
hybrid='--set model.kind=hybrid --set trm.tokens=grid --set trm.mix=attention'
for kind in plain hybrid; do
    [ $kind = plain ] && more= || more=$hybrid
    for backend in cpu opencl; do
        # shellcheck disable=SC2086 # a list of words
        expect 0 train --config tiny.yaml $more --backend $backend --set train.max_steps=1 \
            --out $kind-$backend
        expect 0 eval $kind-cpu/final.safetensors --data synthetic:120 --backend $backend \
            --set data.image_size=8 --predictions $kind-$backend.csv
    done
    within 1e-4 $kind-cpu.csv $kind-opencl.csv
    same_number 1e-4 train_loss $kind-cpu/metrics.jsonl $kind-opencl/metrics.jsonl
done

steps='--set train.max_steps=4 --set train.save_every=1 --set train.ema=0.9'
# shellcheck disable=SC2086
{
    expect 0 train --config tiny.yaml $steps --backend opencl --out a
    expect 0 train --config tiny.yaml $steps --backend opencl --out b
    cmp -s a/final.safetensors b/final.safetensors || fail 'two runs differ'
    # Two steps under one backend, two under the other.
    for first in cpu opencl; do
        [ $first = cpu ] && second=opencl || second=cpu
        expect 0 train --config tiny.yaml $steps --set train.max_steps=2 --backend $first \
            --out from-$first
        expect 0 train --config tiny.yaml $steps --backend $second --out from-$first --resume
        says from-$first/metrics.jsonl '"step": 4'
    done
}

# ---- merging, the experiment -----------------------------------------------------------------------
expect 0 evolve a/final.safetensors plain-opencl/final.safetensors --data synthetic:120 \
    --set data.image_size=8 --set merge.evaluations=2 --backend opencl --out e
expect 0 experiment tiny.yaml --backend opencl --out t
says out 'hybrid + M2N2'

[ $failures -eq 0 ] || exit 1
echo 'all is well'
