#!/bin/sh
# SIGKILL at random moments over a training, a search and a small experiment: each is killed, gone on
# with, perhaps killed again, and must end with the bytes of a run that nobody killed.
# usage: kill_storm.sh MENDEL KILLS [SEED]; the seed is printed
set -u
kills=$2
seed=${3:-$(date +%s)}
echo "kill storm: $kills kills, seed $seed"
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scratch.sh"
. "$here/small.sh"
. "$here/storm.sh"
small="$small --set model.hidden=32 --data synthetic:300"
failures=0 done_kills=0

start() { # COMMAND: in the background, in the folder `work`; $! is the program
    again=
    [ ! -f work/resume.state ] || again=--resume
    [ -n "$again" ] || [ ! -d work ] || again=--overwrite
    case $1 in
    train) set -- train $small --set train.epochs=40 --set train.save_every=1 --out work $again ;;
    evolve) set -- evolve p1 p2 --data synthetic:300 --threads 1 --set merge.evaluations=2000 \
        --set merge.archive=4 --out work $again ;;
    experiment) set -- experiment tiny.yaml --set train.epochs=2 --set merge.evaluations=6 --out work ;;
    esac
    "$mendel" "$@" >out 2>err &
}
results() {
    case $1 in
    train) echo final.safetensors epoch-040.safetensors ;;
    evolve) echo merged.safetensors lineage.jsonl winner.json ;;
    experiment) echo C-hybrid/merged.safetensors C-hybrid/lineage.jsonl C-hybrid/winner.json \
        C-baseline/merged.safetensors ;;
    esac
}
name() { # COMMAND FILE: where the bytes to compare with lie
    echo "$1.$(echo $2 | tr / -)"
}

for s in 1 2; do
    quietly train $small --set train.epochs=1 --seed $s --out parent-$s
    cp parent-$s/final.safetensors p$s
done
for command in train evolve experiment; do
    began=$(milliseconds)
    start $command
    wait $! || { cat err; exit 1; }
    eval "lasts_$command=$(($(milliseconds) - began))"
    for file in $(results $command); do
        cp work/$file $(name $command $file) || exit 1
    done
    rm -rf work
done
echo "undisturbed: train $lasts_train ms, evolve $lasts_evolve ms, experiment $lasts_experiment ms"

storm() { # COMMAND: one to three kills, then to the end
    eval "lasts=\$lasts_$1"
    draw 1
    rounds=$(awk -v f=$drawn 'BEGIN { print 1 + int(3 * f * f) }')
    while [ $rounds -gt 0 ] && [ $done_kills -lt $kills ]; do
        draw 1
        start $1
        running=$!
        sleep $(awk -v f=$drawn -v t=$lasts 'BEGIN { printf "%.3f", f * t / 1000 }')
        kill -9 $running 2>/dev/null
        wait $running 2>/dev/null
        [ $? -ne 137 ] || done_kills=$((done_kills + 1)) # else it had ended
        rounds=$((rounds - 1))
    done
    start $1
    wait $!
    code=$?
    [ $code -eq 0 ] || { echo "FAILED: $1 goes on with exit $code"; cat err; }
    [ $code -eq 0 ] || failures=$((failures + 1))
    left=$(find work -name '*.mendel-tmp*')
    [ -z "$left" ] || { echo "FAILED: $1 leaves $left"; failures=$((failures + 1)); }
    for file in $(results $1); do
        cmp -s work/$file $(name $1 $file) ||
            { echo "FAILED: $1: $file is another"; failures=$((failures + 1)); }
    done
    if [ $1 = experiment ] && grep -q '{}' work/made.json; then
        echo 'FAILED: made.json speaks of a part that never was'
        failures=$((failures + 1))
    fi
    rm -rf work
}

turn=0
while [ $done_kills -lt $kills ]; do
    case $((turn % 3)) in
    0) storm train ;;
    1) storm evolve ;;
    2) storm experiment ;;
    esac
    turn=$((turn + 1))
done
echo "$done_kills kills, $failures failures (seed $seed)"
[ $failures -eq 0 ]
