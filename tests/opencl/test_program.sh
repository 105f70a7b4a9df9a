#!/bin/sh
# The opencl backend through the program: devices and refusals, the same results as cpu, the same
# bytes at every run, resuming under the other backend, merging, the experiment.
# usage: test_opencl.sh MENDEL CONFIGS
# Exit 77 (skipped) without a device, unless MDL_TEST_REQUIRE_OPENCL is set.
set -u
. "$(dirname "$0")/../expect.sh"
configs=$(cd "$2" && pwd)
. "$(dirname "$0")/../scratch.sh"

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
expect 1 train --backend opencl:99:0 --out x
says err 'none of the'
expect 1 train --backend opencl:no-such-device --out x
says err 'mendel devices'
for selector in opencl opencl:cpu opencl:0:0; do
    expect 0 plan --backend $selector --set model.kind=mlp
done
# No platform is the loader's answer where there is no driver.
OCL_ICD_VENDORS=$dir/nowhere "$mendel" devices >out 2>err || fail 'devices without a driver'
says out 'no OpenCL driver was found'
says out 'OCL_ICD_VENDORS=libnvidia-opencl.so.1'
OCL_ICD_VENDORS=$dir/nowhere expect 1 train --backend opencl --out x
says err 'no OpenCL driver was found'
expect 2 train --backend opencl --set run.precision=float64 --out x
MENDEL_BACKENDS=$dir/nowhere "$mendel" devices >out 2>err || fail 'devices without the module'
says out 'it needs an OpenCL loader and CLBlast'
MENDEL_BACKENDS=$dir/nowhere "$mendel" train --backend opencl --out x >out 2>err &&
    fail 'trained without the module'
says err 'there is no such file'
[ ! -e x ] || fail 'a refused command left files'

# ---- training, evaluation -------------------------------------------------------------------------
cat >tiny.yaml <<'YAML'
data: {source: "synthetic:120", image_size: 8, validation_fraction: 0.25}
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

# What may take long is told before it begins, and only then.
rm -r cache
expect 0 train --config tiny.yaml --backend opencl --set train.max_steps=1 --out told
says out 'opencl: first use of'
expect 0 train --config tiny.yaml --backend opencl --set train.max_steps=1 --out told --overwrite
grep -q 'first use of' out err && fail 'a second start tells of a first use'

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

# When the loss is read changes nothing.
times='s/"images_per_second.*//'
# shellcheck disable=SC2086
for every in 1 3; do
    expect 0 train --config tiny.yaml $steps --set train.metrics_every=$every --backend opencl \
        --out every-$every
    sed "$times" every-$every/metrics.jsonl >every-$every.lines
done
cmp -s every-1/final.safetensors every-3/final.safetensors || fail 'metrics_every changes weights'
cmp -s every-1.lines every-3.lines || fail 'metrics_every changes the metrics'

# ---- CLBlast's parameters ------------------------------------------------------------------------
# --tune tries them and tells of those that cannot be used; a run uses those of its table and keeps it.
# (What they do to products is in test_blast.c.)
set='WGD=32 MDIMCD=8 NDIMCD=8 MDIMAD=8 NDIMBD=8 KWID=2 VWMD=4 VWND=4 PADA=1 PADB=1'
tune='bench --tune --backend opencl --config tiny.yaml --only infer --model baseline --batch 1 --repeat 1'
# shellcheck disable=SC2086
{
    MENDEL_OPENCL_CLBLAST_SET="$set" expect 0 $tune
    says out "parameters $set: calls that depend on them take"
    MENDEL_OPENCL_CLBLAST_SET="${set%1}7" expect 0 $tune
}
says err 'these parameters are left out'
grep -q "parameters $set" out && fail 'parameters that do not fit were tried'
table=$(ls cache/mendel/tuning-opencl-*.json)
grep -v '"parameters"' "$table" | sed "s/^{/{ \"parameters\": \"$set\",/" >tuned.json
rm "$table"
MENDEL_OPENCL_CLBLAST_FROM=0
export MENDEL_OPENCL_CLBLAST_FROM
for run in first second; do
    expect 0 train --config tiny.yaml --backend opencl --set run.tuning=tuned.json \
        --set train.max_steps=2 --out tuned-$run
    says tuned-$run/tuning.json "$set"
done
cmp -s tuned-first/final.safetensors tuned-second/final.safetensors || fail 'a table, but other bits'
expect 0 train --config tiny.yaml --backend opencl --resume --set train.max_steps=3 \
    --set run.tuning=off --out tuned-first
says tuned-first/tuning.json "$set"
unset MENDEL_OPENCL_CLBLAST_FROM
sed 's/VWMD=4/VWMD=8/' tuned.json >wrong.json
expect 3 train --config tiny.yaml --backend opencl --set run.tuning=wrong.json --out x
says err 'wrong.json: tuning table: CLBlast'
[ ! -e x ] || fail 'a refused table left files'

# ---- memory and transfers ---------------------------------------------------------------------------
# number FILE KEY: of a line of JSON.
number() {
    sed -n "s/.*\"$2\":\([0-9]*\).*/\1/p" "$1"
}
for kind in plain hybrid; do
    [ $kind = plain ] && more= || more="$hybrid --set trm.supervision=stepwise"
    # shellcheck disable=SC2086
    {
        expect 0 plan --config tiny.yaml $more --backend opencl --json
        cp out plan
        expect 0 train --config tiny.yaml $more --set train.max_steps=1 --backend opencl --json --out m --overwrite
        cp out one
        expect 0 train --config tiny.yaml $more --set train.max_steps=3 --backend opencl --json --out m --overwrite
    }
    [ "$(number plan total)" -eq "$(number out allocated_bytes)" ] ||
        fail "$kind: planned $(number plan total) bytes, allocated $(number out allocated_bytes)"
    # Two more steps: images and labels go up (stepwise: marks, too); a slot of metrics comes down
    # (stepwise: a slot and the halting logits).
    [ $kind = plain ] && up=$((2 * 16 * (8 * 8 * 3 * 4 + 4))) || up=$((2 * 16 * (8 * 8 * 3 * 4 + 8)))
    [ $kind = plain ] && down=$((2 * 128)) || down=$((2 * (128 + 64)))
    up_is=$(($(number out bytes_up) - $(number one bytes_up)))
    down_is=$(($(number out bytes_down) - $(number one bytes_down)))
    [ $up_is -eq "$up" ] || fail "$kind: $up_is bytes went up in two steps, expected $up"
    [ $down_is -eq "$down" ] || fail "$kind: $down_is bytes came down in two steps, expected $down"
done
# In slabs of 200 pages: the activations need three.
# shellcheck disable=SC2086
{
    MENDEL_OPENCL_SLAB=819200 expect 0 train --config tiny.yaml $steps --backend opencl --out slabs
    cmp -s a/final.safetensors slabs/final.safetensors || fail 'slabs change the result'
    MENDEL_OPENCL_SLAB=409600 expect 5 train --config tiny.yaml $steps --backend opencl --out x
}
says err 'the device gives at most 409600'
expect 5 train --config tiny.yaml --memory-limit 2MB --backend opencl --out x
says err 'the limit is 2000000'

# ---- what fails --------------------------------------------------------------------------------------
long='--set train.epochs=8 --set train.save_every=1'
# shellcheck disable=SC2086
for fault in lost memory; do
    [ $fault = lost ] && code=1 || code=5
    MENDEL_OPENCL_FAULT=$fault:1500 expect $code train --config tiny.yaml $long --backend opencl \
        --out $fault
    says err '--resume goes on from it, also with --backend cpu'
    [ ! -e $fault/final.safetensors ] || fail 'a training that failed left its result'
    expect 0 train --config tiny.yaml $long --backend cpu --out $fault --resume
    says out 'resumed from'
    says $fault/metrics.jsonl '"step": 40'
done
# Ops without a kernel run on the host: the same loss after a step.
MENDEL_OPENCL_WITHOUT='depthwise batch_norm cross_entropy_grad' expect 0 plan --config tiny.yaml \
    --backend opencl --ops
says out '(reference kernel)'
says err 'has no kernel for depthwise here'
MENDEL_OPENCL_WITHOUT='depthwise batch_norm cross_entropy_grad' expect 0 train --config tiny.yaml \
    --set train.max_steps=1 --backend opencl --out without
same_number 1e-4 train_loss plain-cpu/metrics.jsonl without/metrics.jsonl

# ---- merging, the experiment -----------------------------------------------------------------------
for backend in cpu opencl; do
    expect 0 evolve a/final.safetensors plain-opencl/final.safetensors --data synthetic:120 \
        --set data.image_size=8 --set merge.evaluations=2 --backend $backend --out e-$backend
    expect 0 eval e-$backend/merged.safetensors --data synthetic:120 --set data.image_size=8 \
        --predictions e-$backend.csv
done
within 1e-4 e-cpu.csv e-opencl.csv
# Genomes stay on the device: what comes down for eight more children are their scores and the dot
# products of their parents.  (The archive comes down when it is saved, here once, at the end.)
for children in 4 12; do
    expect 0 evolve a/final.safetensors plain-opencl/final.safetensors --data synthetic:120 \
        --set data.image_size=8 --set merge.evaluations=$children --set merge.batch=2 \
        --set merge.archive=2 --backend opencl --json --out children-$children
    cp out children-$children.json
done
for way in up down; do
    each=$((($(number children-12.json bytes_$way) - $(number children-4.json bytes_$way)) / 8))
    genome=$(wc -c <a/final.safetensors)
    echo "$each bytes $way for a child, genome $genome"
    [ $each -gt 0 ] && [ $each -lt $((genome / 100)) ] || fail "$each bytes went $way for a child"
done
# The quickstart with small networks, and without the 75 corruptions and the test-time augmentation.
expect 0 experiment "$configs/quickstart.yaml" --set data.limit=256 --set train.epochs=1 \
    --set experiment.seeds=1 --set experiment.epochs_merged=0 --set experiment.latency_runs=1 \
    --set experiment.corrupt_images=0 --set experiment.tta_images=0 --set merge.evaluations=2 \
    --set model.width=0.25 --set model.depth=0.2 --set trm.dim=32 --backend opencl --out t
says out 'Hybrid + M2N2'

[ $failures -eq 0 ] || exit 1
echo 'all is well'
