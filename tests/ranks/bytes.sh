#!/bin/sh
# Whether several processes make the bytes of one: a training of the baseline and of the hybrid (60
# steps), a search (200 children) and a small experiment by 1, 2 and 4 ranks, and each of them killed
# and gone on with by another number of ranks.  test_train.sh and test_evolve.sh are the short tests.
# usage: bytes.sh MENDEL openmpi|mpich [small|whole [PART...]]
# small: networks of a quarter of the width, images of 16 pixels; whole: the networks of CIFAR-10.
# PART: train-baseline, train-hybrid, evolve, experiment; all unless given.
# Exit codes: 0 all is alike, 1 something is not, 77 there is no such MPI here.
library=$2 size=${3:-small}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../expect.sh"
. "$here/../scratch.sh"
. "$here/launch.sh"
shift $(($# < 3 ? $# : 3))
parts=${*:-train-baseline train-hybrid evolve experiment}

case $size in
small) net='--set model.width=0.25 --set model.depth=0.2 --set data.image_size=16 --set trm.dim=16 --set train.batch=32' ;;
whole) net='--set data.image_size=32 --set train.batch=128' ;;
*) echo "no size '$size': small, whole" >&2; exit 2 ;;
esac
net="$net --threads 1"

# by_ranks PART RESULTS ARGUMENT...: by 1, 2 and 4 ranks.
by_ranks() {
    part=$1 results=$2
    shift 2
    expect 0 "$@" --out "$part-1"
    for n in 2 4; do
        ranks 0 $n "$@" --out "$part-$n"
        same "$part-1" "$part-$n" $results
    done
}

# killed N RANK FILE ARGUMENT...: by N ranks until FILE is written; then that rank is killed.
killed() {
    count=$1 rank=$2 file=$3
    shift 3
    begin "$count" "$file" "$@"
    kill -KILL "$(cat "pid-$rank")" || fail "the job ended before rank $rank was killed: mendel $*"
    ended fails "rank $rank was killed"
}

train() { # KIND
    results='final.safetensors ema.safetensors'
    set -- train $net --data synthetic:4000 --set model.kind="$1" --set train.shards=4 --set train.epochs=4 \
        --set train.max_steps=60 --set train.ema=0.9 --set train.clip=1 --set train.save_every=10 \
        --set train.evaluate_every=0
    by_ranks "$part" "$results" "$@"
    grep -q '"step": 60' "$part-1/metrics.jsonl" || fail "$part: not 60 steps: $(tail -1 "$part-1/metrics.jsonl")"
    killed 2 1 "$part/resume.state" "$@" --out "$part"
    killed 4 2 "$part/resume.state" "$@" --out "$part" --resume
    expect 0 "$@" --out "$part" --resume
    same "$part-1" "$part" $results
}

evolve() {
    for seed in 1 2; do
        quietly train $net --data synthetic:400 --set train.max_steps=3 --set train.epochs=1 --seed $seed --out p$seed
    done
    results='merged.safetensors lineage.jsonl winner.json'
    set -- evolve p1/final.safetensors p2/final.safetensors --data synthetic:400 --threads 1 --set merge.batch=8 \
        --set merge.archive=6 --set merge.evaluations=200
    by_ranks evolve "$results" "$@"
    children=$(grep -c '"parents"' evolve-1/lineage.jsonl)
    [ "$children" -ge 200 ] || fail "evolve: $children children"
    ranks 0 2 "$@" --out evolve --set merge.evaluations=72
    ranks 0 4 "$@" --out evolve --set merge.evaluations=136 --resume
    killed 2 0 evolve/rank-1.log "$@" --out evolve --resume
    expect 0 "$@" --out evolve --resume
    same evolve-1 evolve $results
}

# Each in a folder of its own, since a search's files name its parents.
experiment() {
    . "$here/../fault/small.sh"
    mkdir x1 x2 x4 x
    set -- experiment ../tiny.yaml --set train.shards=4 --set merge.evaluations=300 --out w
    (cd x1 && expect 0 "$@" && exit $failures) || fail 'the experiment by one process'
    results=$(cd x1 && find w -name '*.safetensors' -o -name lineage.jsonl -o -name winner.json)
    [ "$(echo "$results" | wc -l)" -gt 9 ] || fail "an experiment leaves only $results"
    for n in 2 4; do
        cd x$n || exit 1
        ranks 0 $n "$@"
        cd ..
        same x1 x$n $results
    done
    cd x || exit 1
    killed 2 1 w/B-seed1/final.safetensors "$@"
    killed 4 3 w/C-baseline/lineage.jsonl "$@"
    expect 0 "$@"
    cd ..
    same x1 x $results
}

for part in $parts; do
    before=$failures
    case $part in
    train-baseline) train efficientnet_lite0 ;;
    train-hybrid) train hybrid ;;
    evolve | experiment) $part ;;
    *) echo "no part '$part'" >&2; exit 2 ;;
    esac
    [ $failures -eq "$before" ] && echo "$part: the same bytes by 1, 2 and 4 ranks and gone on with by others ($library, $size)"
done
[ $failures -eq 0 ]
