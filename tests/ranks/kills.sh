#!/bin/sh
# SIGKILL and SIGSTOP at random moments for random ranks of a training and of a search: the job has to
# end by itself within ten seconds, of a rank that was stopped ten after comm.timeout, and what it
# left has to end, gone on with by another number of ranks, with the bytes of a run that nobody disturbed.
# usage: kills.sh MENDEL openmpi|mpich KILLS [SEED]; the seed is printed.
# Exit codes: 0 all ended and all is alike, 1 something did not, 77 there is no such MPI here.
set -u
library=$2 kills=$3
seed=${4:-$(date +%s)}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../expect.sh"
. "$here/../scratch.sh"
. "$here/launch.sh"
. "$here/../fault/storm.sh"
echo "kills of ranks: $kills, $library, seed $seed"
patience=3 # comm.timeout, seconds
done_kills=0 count_KILL=0 count_STOP=0 slowest_KILL=0 slowest_STOP=0

net='--data digits --set model.width=0.25 --set model.depth=0.2 --set data.image_size=16 --threads 1'
mlp='--data digits --set model.kind=mlp --set model.hidden=32 --set data.size=native --set data.normalize=none
    --set data.validation_fraction=0 --threads 1'

arguments() { # WORK: of the command
    case $1 in
    train) echo "train $net --set data.limit=320 --set train.batch=32 --set train.shards=4 --set train.epochs=12 \
        --set train.save_every=3" ;;
    evolve) echo "evolve $mlp --set merge.fitness=train --set merge.from_scratch=2 --set merge.batch=8 \
        --set merge.archive=8 --set merge.evaluations=12000" ;;
    esac
}
results() {
    case $1 in
    train) echo final.safetensors ;;
    evolve) echo merged.safetensors lineage.jsonl winner.json ;;
    esac
}
# How a run in the folder `work` goes on.
again() {
    if [ -f work/resume.state ]; then echo --resume; elif [ -d work ]; then echo --overwrite; fi
}

pick_ranks() { # WORK: into $count
    draw 3
    count=$((${drawn%.*} + 2))
    [ "$1" = evolve ] || [ $count -ne 3 ] || count=4 # a batch is four shards
}

# ended_within MILLISECONDS: whether the job ends by itself in that time; it took $took.
ended_within() {
    began=$(milliseconds)
    while kill -0 $job 2>/dev/null; do
        took=$(($(milliseconds) - began))
        [ $took -lt "$1" ] || return 1
        sleep 0.02
    done
    took=$(($(milliseconds) - began))
}

state() { # PROCESS: R, S, T, ...; empty: it is gone
    ps -o stat= -p "$1" 2>/dev/null | cut -c1 | grep -v Z
}

# No rank may be left, but for one that is stopped, which only a launcher that is there can kill.
clean() { # WORK
    sleep 0.2
    for file in pid-*; do
        left=$(cat "$file")
        case $(state "$left") in
        '') continue ;;
        T) ;;
        *) fail "$1: ${file#pid-} of $count ranks goes on without the job" ;;
        esac
        kill -KILL "$left"
    done
}

# disturb WORK LASTS: a rank is killed or stopped at a random moment of so many ms; the job has to end.
disturb() {
    pick_ranks "$1"
    draw $count
    rank=${drawn%.*}
    draw 2
    signal=KILL limit=10000
    [ "${drawn%.*}" = 0 ] || signal=STOP limit=$((patience * 1000 + 10000))
    draw "$2"
    start $count $(arguments "$1") --set comm.timeout=$patience --out work $(again)
    until [ -s "pid-$rank" ] || ! kill -0 $job 2>/dev/null; do sleep 0.02; done
    sleep "$(awk -v ms="$drawn" 'BEGIN { printf "%.3f", ms / 1000 }')"
    if [ -z "$(state $job)" ] || ! kill -$signal "$(cat "pid-$rank")" 2>/dev/null; then
        wait $job || fail "$1 by $count ranks ends with $? before anybody disturbs it"
        return
    fi
    done_kills=$((done_kills + 1))
    ended_within $limit || {
        fail "$1: SIG$signal of rank $rank: the job of $count ranks is still there after $took ms"
        kill -KILL $job
    }
    wait $job 2>/dev/null
    clean "$1"
    eval "[ $took -le \$slowest_$signal ] || slowest_$signal=$took; count_$signal=\$((count_$signal + 1))"
}

# storm WORK: one to three disturbances, then to the end by ranks that nobody disturbs.
storm() {
    eval "lasts=\$lasts_$1"
    rm -rf work
    [ ! -d "half-$1" ] || cp -r "half-$1" work
    draw 1
    rounds=$(awk -v f="$drawn" 'BEGIN { print 1 + int(3 * f * f) }')
    while [ "$rounds" -gt 0 ] && [ $done_kills -lt "$kills" ]; do
        disturb "$1" "$lasts"
        rounds=$((rounds - 1))
    done
    pick_ranks "$1"
    ranks 0 $count $(arguments "$1") --out work $(again)
    same "whole-$1" work $(results "$1")
}

# A search saves its state at its end (and every 30 s), so one that is disturbed has a first half.
quietly $(arguments evolve) --set merge.evaluations=4000 --out half-evolve
for work in train evolve; do
    quietly $(arguments $work) --out whole-$work
    rm -rf work
    [ ! -d half-$work ] || cp -r half-$work work
    began=$(milliseconds)
    ranks 0 2 $(arguments $work) --out work $(again)
    eval "lasts_$work=$(($(milliseconds) - began))"
    same whole-$work work $(results $work)
done
echo "undisturbed: train $lasts_train ms, evolve $lasts_evolve ms"
turn=0
while [ $done_kills -lt "$kills" ]; do
    [ $((turn % 2)) -eq 0 ] && storm train || storm evolve
    turn=$((turn + 1))
done
echo "$count_KILL killed, the last job ended after $slowest_KILL ms; $count_STOP stopped, after $slowest_STOP ms" \
    "(comm.timeout $patience s); $turn runs gone on with, $failures failures (seed $seed)"
[ $failures -eq 0 ]
