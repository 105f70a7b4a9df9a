#!/bin/sh
# One call of the process fails: the Nth allocation, write, fsync, rename, open, mkdir or thread, N
# from 1 on, once and "from N on", in train, eval, merge, evolve and a small experiment (fault.c).
# Each time the program must end by itself, say lack of memory where that is the matter (exit 5),
# leave no temporary file, leave files that were there as they were or replace them whole; and the
# command done again gives the bytes of a run without a fault.
# usage: run.sh MENDEL FAULT.so [MOST]
# MOST: how many N a command and kind at most, spread evenly; 0 (the default): every N.
set -u
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
shim=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
most=${3:-0}
dir=$(mktemp -d "${TMPDIR:-/tmp}/mendel-fault-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export XDG_CACHE_HOME="$dir/cache" # no table of this machine
failures=0 runs=0

wrong() {
    echo "FAILED: $command, $FAULT: $*"
    tail -n 3 err | sed 's/^/  err: /'
    failures=$((failures + 1))
}

# ---- the commands: `go COMMAND` in the folder `work` does it, again or for the first time ----------
small='--set model.kind=mlp --set data.size=native --set model.hidden=8 --threads 1'
small="$small --data synthetic:100"
cat >tiny.yaml <<'YAML'
data: {source: "synthetic:60", image_size: 8, fitness_fraction: 0.25}
model: {width: 0.25, depth: 0.2}
trm: {dim: 8}
train: {epochs: 1, batch: 16}
merge: {evaluations: 3, batch: 2}
experiment: {epochs_merged: 0, latency_runs: 1, corrupt_images: 0, tta_images: 0}
run: {threads: 1}
YAML
again() { # FOLDER: how a command goes on there
    if [ -f "$1/resume.state" ]; then echo --resume; elif [ -d "$1" ]; then echo --overwrite; fi
}
go() {
    parents='../p1.safetensors ../p2.safetensors'
    search='--data synthetic:100 --threads 1 --set merge.evaluations=8 --set merge.archive=3'
    case $1 in
    train) set -- train $small --set train.epochs=2 --out t $(again t) ;;
    eval) set -- eval ../p1.safetensors --data synthetic:100 --threads 1 --json --predictions f ;;
    merge) set -- merge --method average $parents -o f ;;
    evolve) set -- evolve $parents $search --out e $(again e) ;;
    experiment) set -- experiment ../tiny.yaml --out x ;;
    esac
    timeout 120 env ${preload:-} "$mendel" "$@" >../out 2>../err
}
results() { # what must have the same bytes
    case $1 in
    train) echo t/final.safetensors t/config.yaml ;;
    eval | merge) echo f ;;
    evolve) echo e/merged.safetensors e/lineage.jsonl e/winner.json ;;
    experiment) echo x/C-hybrid/merged.safetensors x/C-hybrid/winner.json ;;
    esac
}

prepare() {
    rm -rf work && mkdir work
    echo 'an older file' >work/f
    cd work || exit 1
}

fault() { # with FAULT set: run, look, do it again, compare
    runs=$((runs + 1))
    prepare
    preload="LD_PRELOAD=$shim FAULT=$FAULT"
    go $command
    code=$?
    preload=
    cd ..
    case $code in
    0 | 3) ;;
    5) [ "${FAULT%%:*}" != malloc ] || grep -qi 'memory' err || wrong 'no word of memory' ;;
    1) # OpenMP's library ends the process by itself
        [ "${FAULT%%:*}" != malloc ] || grep -q 'libgomp: Out of memory' err || wrong 'exit 1' ;;
    *) wrong "exit $code" ;;
    esac
    case $code,${FAULT%%:*} in
    3,malloc) wrong 'exit 3 for lack of memory' ;;
    esac
    left=$(find work -name '*.mendel-tmp*')
    [ -z "$left" ] || wrong "left behind: $left"
    case $command in
    eval | merge) cmp -s work/f $command.f || [ "$(cat work/f)" = 'an older file' ] ||
        wrong 'the older file is damaged' ;;
    esac
    cd work || exit 1
    go $command || wrong "done again, it ends with exit $?"
    cd ..
    for file in $(results $command); do
        cmp -s work/$file $command.$(basename $file) || wrong "done again, $file is another"
    done
}

all_of() { # COMMAND KIND PLUS: every N, or some
    command=$1
    prepare
    preload="LD_PRELOAD=$shim FAULT=$2:0 FAULT_COUNT=../count"
    go $command
    preload=
    cd ..
    count=$(cat count)
    step=1
    [ "$most" -eq 0 ] || step=$(((count + most - 1) / most))
    [ $step -gt 0 ] || step=1
    n=$(((step + 1) / 2))
    while [ $n -le $count ]; do
        FAULT=$2:$n$3
        fault
        n=$((n + step))
    done
}

for seed in 1 2; do
    "$mendel" train $small --set train.epochs=1 --seed $seed --out p$seed >out 2>err || exit 1
    cp p$seed/final.safetensors p$seed.safetensors
done
for command in train eval merge evolve experiment; do
    prepare
    go $command || { cat ../err; exit 1; }
    cd ..
    for file in $(results $command); do
        cp work/$file $command.$(basename $file)
    done
done
for command in ${FAULT_COMMANDS:-train eval merge evolve experiment}; do
    for kind in ${FAULT_KINDS:-malloc write fsync rename open mkdir thread}; do
        all_of $command $kind ''
        [ $kind = thread ] || all_of $command $kind +
    done
    echo "$command: $runs runs so far, $failures failures"
done
[ $failures -eq 0 ]
