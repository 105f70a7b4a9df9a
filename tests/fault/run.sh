#!/bin/sh
# One call of the process fails: the Nth allocation, write, fsync, rename, open, mkdir or thread, in
# every command that reads or writes files (fault.c).  Each time the program must end by itself, say
# lack of memory where that is the matter (exit 5), leave no temporary file, leave files that were
# there as they were or replace them whole; and the command done again gives the bytes of a run
# without a fault.
# usage: run.sh MENDEL FAULT.so [WHICH [MOST]]
# WHICH: every N (`every`, the default), or the first and the last N from each place of the program
#   (`places`), which is each chain of callers.
# MOST: how many of these a command and kind at most, spread evenly; 0 (the default): all.
# FAULT_COMMANDS, FAULT_KINDS: only these.  FAULT_MODES: `once` (only the Nth), `on` (from the Nth
#   on), by default both.
set -u
shim=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
here=$(cd "$(dirname "$0")" && pwd)
which=${3:-every}
most=${4:-0}
. "$here/../scratch.sh"
. "$here/small.sh"
failures=0 runs=0

wrong() {
    echo "FAILED: $command, $FAULT: $*"
    tail -n 3 err | sed 's/^/  err: /'
    failures=$((failures + 1))
}

# ---- the commands: `go COMMAND` in the folder `work` does it, again or for the first time ----------
all='train eval merge soup evolve align matching recalibrate export convert path report info fetch experiment'
again() { # FOLDER: how a command goes on there
    if [ -f "$1/resume.state" ]; then echo --resume; elif [ -d "$1" ]; then echo --overwrite; fi
}
go() {
    parents='../p1.safetensors ../p2.safetensors'
    nets='../n1.safetensors ../n2.safetensors'
    search='--data synthetic:100 --threads 1 --set merge.evaluations=8 --set merge.archive=3'
    case $1 in
    train) set -- train $small --set train.epochs=2 --out t $(again t) ;;
    eval) set -- eval ../p1.safetensors --data synthetic:100 --threads 1 --json --predictions f ;;
    merge) set -- merge --method average $parents -o f ;;
    soup) set -- merge --method greedy $nets --config ../tiny.yaml -o f ;;
    evolve) set -- evolve $parents $search --out e $(again e) ;;
    align) set -- align $nets --threads 1 -o f ;;
    matching) set -- align $nets --config ../tiny.yaml --method activations -o f ;;
    recalibrate) set -- recalibrate ../n1.safetensors --config ../tiny.yaml -o f ;;
    export) set -- export ../n1.safetensors -o f ;;
    convert) set -- convert ../n1.safetensors f --dtype bf16 ;;
    path) set -- path $nets --config ../tiny.yaml --points 3 -o f ;;
    report) set -- report ../finished -o f.html ;;
    info) set -- data info folder:../photos --set data.image_size=16 --json ;;
    fetch) set -- data fetch cifar100 --url "file://$dir/archive.tar.gz" --sha256 $archive_sum --to d ;;
    experiment) set -- experiment ../tiny.yaml --out x ;;
    esac
    timeout 120 env ${preload:-} "$mendel" "$@" >../out 2>../err
}
outputs() { # single files: they are there before, and stay so or are replaced whole
    case $1 in
    eval | merge | soup | align | matching | recalibrate | export | convert | path) echo f ;;
    report) echo f.html f.md ;;
    esac
}
results() { # what must have the same bytes
    case $1 in
    train) echo t/final.safetensors t/config.yaml ;;
    evolve) echo e/merged.safetensors e/lineage.jsonl e/winner.json ;;
    fetch) echo d/cifar-100-binary/train.bin d/cifar-100-binary/test.bin ;;
    experiment) echo x/C-baseline/merged.safetensors x/C-hybrid/merged.safetensors x/C-hybrid/winner.json ;;
    *) outputs $1 ;;
    esac
}
good() { # COMMAND FILE: where the bytes to compare with lie
    echo "$1.$(echo "$2" | tr / -)"
}

prepare() {
    rm -rf work && mkdir work
    cd work || exit 1
    for file in $(outputs $command); do
        echo 'an older file' >$file
    done
}
untouched() { # nothing is in `work` that was not before, and what was is as it was
    set -- $(outputs $command)
    [ "$(ls -A work)" = "$(printf '%s\n' "$@")" ] || return 1
    for file in "$@"; do
        [ "$(cat work/$file)" = 'an older file' ] || return 1
    done
}

fault() { # with FAULT set: run, look, do it again, compare
    runs=$((runs + 1))
    prepare
    preload="LD_PRELOAD=$shim FAULT=$FAULT"
    go $command
    code=$?
    preload=
    cd ..
    # libarchive ends the process by itself, uses what it did not get, or says nothing of memory:
    # that is all behind the line that the archive is whole, and left to it.
    if [ $command = fetch ] && [ "${FAULT%%:*}" = malloc ] && grep -q 'has the sha256' err &&
        { [ $code -eq 139 ] || grep -q 'libarchive: No memory\|damaged archive\|decompression' err; }; then
        rm -rf work/d/cifar-100-binary
        code=5
        echo 'out of memory' >err
    fi
    case $code,${FAULT%%:*} in
    0,* | 3,[!m]* | 3,mkdir) ;;
    3,malloc) wrong 'exit 3 for lack of memory' ;;
    5,malloc) grep -qi 'memory' err || wrong 'no word of memory' ;;
    5,*) ;;
    *) wrong "exit $code" ;;
    esac
    [ $code -ne 0 ] || [ $command != info ] || cmp -s out info.out || wrong 'it says something else'
    left=$(find work -name '*.mendel-tmp*')
    [ -z "$left" ] || wrong "left behind: $left"
    for file in $(outputs $command); do
        cmp -s work/$file $(good $command $file) || [ "$(cat work/$file)" = 'an older file' ] ||
            wrong "the older $file is damaged"
    done
    [ $code -eq 0 ] || ! untouched || return # the next one is the command done again
    cd work || exit 1
    go $command || wrong "done again, it ends with exit $?"
    cd ..
    for file in $(results $command); do
        cmp -s work/$file $(good $command $file) || wrong "done again, $file is another"
    done
}

all_of() { # COMMAND KIND PLUS: every N, or some
    command=$1
    prepare
    preload="LD_PRELOAD=$shim FAULT=$2:0 FAULT_COUNT=../count"
    [ $which = every ] || preload="$preload FAULT_PLACES=../places"
    go $command
    preload=
    cd ..
    if [ $which = every ]; then seq "$(cat count)"; else sort -nu places; fi >numbers
    step=1
    [ "$most" -eq 0 ] || step=$((($(wc -l <numbers) + most - 1) / most))
    [ $step -gt 0 ] || step=1
    for n in $(awk -v step=$step 'NR % step == int((step + 1) / 2) % step' numbers); do
        FAULT=$2:$n$3
        fault
    done
}

# ---- what they need ------------------------------------------------------------------------------
for seed in 1 2; do
    quietly train $small --set train.epochs=1 --seed $seed --out p$seed
    cp p$seed/final.safetensors p$seed.safetensors
    quietly train --config tiny.yaml --set model.kind=efficientnet_lite0 --seed $seed --out n$seed
    cp n$seed/final.safetensors n$seed.safetensors
done
quietly experiment tiny.yaml --out finished
for side in train test; do
    for class in c0 c1; do
        mkdir -p photos/$side/$class
        cp "$here"/../fuzz/corpus/png/rgb.png "$here"/../fuzz/corpus/png/interlaced.png \
            "$here"/../fuzz/corpus/jpeg/rgb.jpg "$here"/../fuzz/corpus/jpeg/progressive.jpg photos/$side/$class
    done
done
mkdir cifar-100-binary
head -c 12296 /dev/zero >cifar-100-binary/train.bin # 4 images of 3,074 bytes
head -c 3074 /dev/zero >cifar-100-binary/test.bin
tar czf archive.tar.gz cifar-100-binary
archive_sum=$(sha256sum archive.tar.gz | cut -d ' ' -f 1)

commands=${FAULT_COMMANDS:-$all}
for command in $commands; do
    prepare
    go $command || { cat ../err; exit 1; }
    cp ../out ../$command.out
    cd ..
    for file in $(results $command); do
        cp work/$file $(good $command $file)
    done
done
for command in $commands; do
    for kind in ${FAULT_KINDS:-malloc write fsync rename open mkdir thread}; do
        for mode in ${FAULT_MODES:-once on}; do
            case $mode,$kind in
            once,*) all_of $command $kind '' ;;
            on,thread) ;; # the program does not go on without one
            on,*) all_of $command $kind + ;;
            esac
        done
    done
    echo "$command: $runs runs so far, $failures failures"
done
[ $failures -eq 0 ]
