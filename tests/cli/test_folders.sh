#!/bin/sh
# Where results go: a folder has one owner and holds one kind of run, nothing that is an input is
# written over, a refused call changes nothing.
# usage: test_folders.sh MENDEL
set -u
case $1 in /*) mendel=$1 ;; *) mendel=$PWD/$1 ;; esac
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
# shellcheck source=tests/expect.sh
. "$(dirname "$0")/../expect.sh"
mkdir "$scratch/w" && cd "$scratch/w" || exit 1
XDG_CACHE_HOME=$scratch/cache
export XDG_CACHE_HOME

small='--set model.kind=mlp --set data.size=native --set model.hidden=8 --set data.limit=200 --threads 1'
quick="$small --set train.epochs=1"
search='--data digits --set data.limit=200 --set merge.evaluations=2 --threads 1'

# Names, kinds, links and contents of all that is here.
all() {
    ls -lRan . | awk '{print $1, $2, $5, $NF}'
    find . -type f -exec sha256sum {} + | LC_ALL=C sort
}
# untouched CODE ARGUMENT...: refused with that code, and nothing has changed.
untouched() {
    code=$1
    shift
    all >../before
    "$mendel" "$@" >../out 2>../err
    got=$?
    all >../after
    [ "$got" -eq "$code" ] || fail "exit $got, expected $code: mendel $*: $(tail -1 ../err)"
    cmp -s ../before ../after ||
        fail "a refused call changed something: mendel $*: $(diff ../before ../after | head -3)"
}
# there PATH...: all of them exist.  gone PATH...: none does.
there() {
    for path; do [ -e "$path" ] || fail "$path is not there"; done
}
gone() {
    for path; do [ ! -e "$path" ] || fail "$path is there"; done
}
# wait_for FILE PROCESS: until it is there and not empty, or the process has ended.
wait_for() {
    while [ ! -s "$1" ] && kill -0 "$2" 2>/dev/null; do sleep 0.02; done
}

# shellcheck disable=SC2086 # lists of words
{
    # ---- one owner -------------------------------------------------------------------------------
    long="$small --set train.epochs=100000 --set train.keep=1 --set train.save_every=1"
    "$mendel" train $long --seed 1 --out live >../out1 2>../err1 &
    first=$!
    wait_for live/resume.state $first
    for again in "" --resume --overwrite; do
        "$mendel" train $quick --seed 2 --out live $again >out 2>err
        [ $? -eq 3 ] || fail "train $again into a live folder"
        says err "process $first on "
        says err 'mendel train'
        says err 'since 2'
    done
    "$mendel" train $quick --out ./live/../live/ >out 2>err && fail 'a live folder under another name'
    ln -s live linked
    "$mendel" train $quick --out linked >out 2>err && fail 'a live folder behind a link'
    "$mendel" experiment /dev/null --out live >out 2>err && fail 'an experiment in a live folder'
    "$mendel" data fetch cifar10 --url file:///nowhere -o live >out 2>err && fail 'a download into it'
    says live/config.yaml '  seed: 1 '
    kill -0 $first || fail 'the first training ended'
    kill -KILL $first
    wait $first 2>/dev/null
    there live/mendel.lock # and it means nothing
    expect 0 train --out live --resume --set train.max_steps=1
    gone live/mendel.lock
    rm linked

    # Two that start at once get folders of their own.
    for seed in 1 2 3; do
        "$mendel" train $quick --seed $seed >"../out$seed" 2>&1 &
    done
    wait
    there runs/train/final.safetensors runs/train-2/final.safetensors runs/train-3/final.safetensors
    gone runs/train-4
    cat runs/*/config.yaml | grep '  seed: ' | sort -u >seeds
    [ "$(wc -l <seeds)" -eq 3 ] || fail 'three trainings that started at once share a folder'
    grep -q 'into runs/train' ../out1 || fail 'the name of the folder is not told'

    # ---- one kind --------------------------------------------------------------------------------
    expect 0 train $small --set train.epochs=3 --set train.keep=3 --out a
    expect 0 train $quick --seed 2 --out b
    echo mine >a/notes.txt
    echo mine >a/epoch-best.safetensors
    for more in "" "--seed 9"; do
        untouched 2 train $quick --out a $more
        says ../err --resume
        says ../err --overwrite
    done
    untouched 2 evolve b/final.safetensors b/epoch-001.safetensors $search --out a
    untouched 2 evolve b/final.safetensors b/epoch-001.safetensors $search --out a --resume
    says ../err 'a holds a training'
    printf 'train: {epochs: 1}\n' >plain.yaml
    untouched 2 experiment plain.yaml --out a
    untouched 2 train $quick --out a --resume --overwrite
    untouched 2 train $quick --overwrite # of what?
    untouched 2 data fetch cifar10 --url file:///nowhere -o a
    untouched 3 train --set train.init=missing.safetensors $quick --out a --overwrite
    untouched 3 train $quick --data cifar10:nowhere --out a --overwrite
    untouched 5 train $quick --out a --overwrite --memory-limit 1KB
    untouched 3 evolve b/final.safetensors missing.safetensors $search --out a --overwrite
    untouched 3 train $quick --data cifar10:nowhere --out new/deep # not even the folder
    expect 0 train --out a --resume

    expect 0 evolve a/final.safetensors b/final.safetensors $search --out e
    says out 'into e'
    untouched 2 evolve a/final.safetensors b/final.safetensors $search --out e
    untouched 2 train $quick --out e
    untouched 2 train $quick --out e --resume
    says ../err 'e holds a search'
    expect 0 evolve a/final.safetensors b/final.safetensors $search --out e --resume

    # --overwrite takes what the run wrote, of whatever kind it was, and nothing else.
    expect 0 train $quick --seed 7 --out a --overwrite
    says out 'were removed'
    there a/final.safetensors a/notes.txt a/epoch-best.safetensors a/epoch-001.safetensors
    gone a/epoch-002.safetensors a/epoch-003.safetensors
    echo mine >e/notes.txt
    expect 0 train $quick --out e --overwrite
    there e/final.safetensors e/metrics.csv e/notes.txt
    gone e/lineage.jsonl e/winner.json e/merged.safetensors

    # What older versions wrote is known by its files.
    expect 0 evolve a/final.safetensors b/final.safetensors $search --out old
    for folder in a old; do
        sed -i 1d $folder/config.yaml
        untouched 2 train $quick --out $folder
        says ../err "$folder holds a"
        expect 0 $([ $folder = a ] && echo train ||
            echo evolve a/final.safetensors b/final.safetensors $search) --out $folder --resume
    done
    mkdir dumped
    cp a/config.yaml dumped # killed right behind its first file
    sed -i 1d dumped/config.yaml
    expect 0 train --out dumped --resume
    mkdir begun
    head -c 100 a/config.yaml >begun/config.yaml.mendel-tmp # killed while it wrote that one
    expect 0 train $quick --out begun
    gone begun/config.yaml.mendel-tmp

    # What the user has there under a name of ours is nobody's run.
    mkdir own
    cp b/final.safetensors own
    for way in "" --resume --overwrite; do untouched 2 train $quick --out own $way; done
    says ../err 'own/final.safetensors'
    rm own/final.safetensors
    cp plain.yaml own/config.yaml
    for way in "" --resume --overwrite; do untouched 2 train $quick --out own $way; done
    untouched 2 train $quick --config own/config.yaml --out own
    rm own/config.yaml
    echo '{}' >own/metrics.jsonl # a name alone makes no run
    for way in "" --resume --overwrite; do untouched 2 train $quick --out own $way; done
    rm own/metrics.jsonl
    ln -s ../b/final.safetensors own/ema.safetensors
    untouched 2 train $quick --out own
    rm own/ema.safetensors
    echo mine >own/final.txt
    expect 0 train $quick --out own
    ln -sf ../b/final.safetensors own/ema.safetensors
    untouched 2 train $quick --out own --overwrite # a link is no file of a run
    rm own/ema.safetensors
    echo mine >file
    untouched 2 train $quick --out file
    untouched 2 train $quick --out ''

    # A part of an experiment is no folder of another run.
    mkdir -p x/A-seed1
    cp b/config.yaml x
    sed -i 's/a training/an experiment/' x/config.yaml
    untouched 2 train $quick --out x/A-seed1 --overwrite
    untouched 2 train $quick --out x
    untouched 2 merge --method average a/final.safetensors b/final.safetensors -o x/A-seed1/final.safetensors
    expect 0 train $quick --out x/other
    rm -r x
    # An experiment goes on by itself; another run may only take its place, and then whole.
    cat >digits.yaml <<'YAML'
data: {source: digits, size: native, limit: 200, validation_fraction: 0}
model: {kind: mlp, hidden: 8}
merge: {from_scratch: 1, slerp_all: true, fitness: train, evaluations: 2, batch: 1, mutation: 0.01}
experiment: {seeds: 1}
run: {threads: 1}
YAML
    expect 0 experiment digits.yaml
    says out 'into runs/digits'
    expect 0 experiment digits.yaml
    says out 'goes on in runs/digits'
    expect 0 experiment digits.yaml --set merge.evaluations=3
    says out 'into runs/digits-2'
    expect 0 experiment digits.yaml --set merge.evaluations=4 --out runs/digits-2
    says out 'merge.evaluations was 3, is 4'
    expect 0 experiment runs/digits/config.yaml --out runs/digits
    untouched 2 train $quick --out runs/digits
    says ../err 'runs/digits holds an experiment'
    untouched 2 experiment runs/digits/config.yaml --out runs/digits --overwrite
    untouched 2 evolve runs/digits/m2n2-seed1/merged.safetensors $search b/final.safetensors \
        --out runs/digits --overwrite
    untouched 2 report runs/digits -o runs/digits-2/report.html
    echo mine >runs/digits/m2n2-seed1/notes.txt
    expect 0 train $quick --out runs/digits --overwrite
    find runs/digits -type d -o -name '*.json' -o -name '*.txt' | LC_ALL=C sort | tr '\n' ' ' >left
    says left 'runs/digits runs/digits/m2n2-seed1 runs/digits/m2n2-seed1/notes.txt '
    [ "$(wc -w <left)" -eq 3 ] || fail "an experiment that was replaced left $(cat left)"

    # ---- inputs ----------------------------------------------------------------------------------
    A=a/final.safetensors B=b/final.safetensors
    ln $A hard.safetensors
    ln -s $A soft.safetensors
    for out in $A ./$A "$PWD/$A" a/../$A b/../a//final.safetensors hard.safetensors soft.safetensors; do
        untouched 2 merge --method average $A $B -o "$out"
        untouched 2 merge --method slerp $B $A -o "$out"
        untouched 2 merge --method greedy $B $A --data digits -o "$out" --overwrite
        untouched 2 align $A $B -o "$out"
        untouched 2 align $B $A -o "$out" --overwrite
        untouched 2 recalibrate $A --data digits -o "$out"
        untouched 2 interpolate $A $B --data digits -o "$out"
        untouched 2 eval $A --data digits --predictions "$out" --overwrite
    done
    untouched 2 merge --method ties --base $B $A -o $B --overwrite
    cp $B trunk.safetensors
    untouched 2 merge --method ties --base trunk.safetensors $A -o trunk.safetensors
    cp plain.yaml in.yaml
    untouched 2 eval $A --config in.yaml --data digits --predictions in.yaml
    untouched 2 recalibrate $A --config in.yaml --data digits -o ./in.yaml
    untouched 2 interpolate $A $B --config in.yaml --data digits -o in.yaml
    printf '{}' >tune.json
    untouched 2 eval $A --data digits --set run.tuning=tune.json --predictions tune.json
    # A file of a run is not written over unasked; others are, as ever.
    untouched 2 merge --method average $A $A -o $B
    says ../err --overwrite
    untouched 2 eval $A --data digits --predictions b/metrics.csv
    expect 0 merge --method average $A $A -o b/mine.safetensors
    expect 0 merge --method average $A $A -o b/mine.safetensors
    expect 0 merge --method average $A $A -o b/ema.safetensors --overwrite
    rm b/ema.safetensors
    expect 0 eval $A --data digits --predictions /dev/null

    # Runs: parents, the start, the configuration, a table.
    untouched 2 evolve $A $B $search --out a --overwrite
    untouched 2 evolve "$PWD/$A" $B $search --out b/../a --overwrite
    untouched 2 evolve soft.safetensors $B $search --out a --overwrite
    untouched 2 train $quick --set train.init=$A --out a --overwrite
    untouched 2 train $quick --set train.init=soft.safetensors --out a --overwrite
    untouched 2 train --config a/config.yaml --out a --overwrite
    untouched 2 train --config a/config.yaml --out a
    expect 0 train --config a/config.yaml --out a --resume
    expect 0 train $quick --set train.init=$A --out from-a
    cp $A a/start.safetensors
    expect 0 train $quick --set train.init=a/start.safetensors --out a --overwrite
    there a/start.safetensors

    # ---- data ------------------------------------------------------------------------------------
    mkdir -p photos/train/cat photos/train/dog photos/test/cat photos/test/dog flat/cat flat/dog
    for folder in photos photos/train photos/train/cat photos/train/new; do
        untouched 2 train $quick --data folder:photos --out $folder
    done
    untouched 2 train $quick --data folder:flat --out flat/run
    mkdir one
    printf '\0\0\10\3\0\0\0\1\0\0\0\1\0\0\0\1\7' >one/t10k-images-idx3-ubyte
    untouched 2 eval $A --data idx:one --predictions one/t10k-images-idx3-ubyte
    ln one/t10k-images-idx3-ubyte images
    untouched 2 eval $A --data idx:one --predictions images
    untouched 2 recalibrate $A --data idx:one -o images
    untouched 2 train $quick --data idx:one --out one

    # A download does not eat what it is to come from.
    mkdir got
    echo some >got/cifar-10-binary.tar.gz.part
    untouched 2 data fetch cifar10 --url "file://$PWD/got/cifar-10-binary.tar.gz.part" -o got

    # ---- numbers ---------------------------------------------------------------------------------
    rm -r runs
    for name in lr0.1.yaml lr0.01.yaml lr0.1 ..yaml ...yaml .yaml; do
        cp plain.yaml $name
        expect 0 train --config $name $quick
    done
    there runs/lr0.1/final.safetensors runs/lr0.01/final.safetensors runs/lr0.1-2/final.safetensors \
        runs/train/final.safetensors runs/train-2/final.safetensors runs/train-3/final.safetensors
    gone config.yaml runs/config.yaml
    mkdir runs/quickstart
    cp b/config.yaml runs/quickstart
    sed -i 's/a training/an experiment/' runs/quickstart/config.yaml
    cp plain.yaml quickstart.yaml
    expect 0 train --config quickstart.yaml $quick --set train.max_steps=1
    says out 'into runs/quickstart-2'
    expect 0 train --config quickstart.yaml $quick --resume # the newest of that name and kind
    says out 'resumed from runs/quickstart-2'
    expect 0 evolve $A $B $search
    expect 0 evolve $A $B $search
    there runs/evolve/winner.json runs/evolve-2/winner.json
    expect 0 evolve $A $B $search --resume --json
    says out '"out":"runs/evolve-2"'
    expect 3 train $quick --data cifar10:nowhere
    gone runs/train-4
}

[ $failures -eq 0 ] || exit 1
echo 'all is well'
