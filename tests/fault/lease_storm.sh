#!/bin/sh
# SIGKILL at random moments over four processes that share the folder of one experiment; each that is
# killed is replaced.  Whatever is killed, the results are those of one process.
# usage: lease_storm.sh MENDEL KILLS [SEED]; the seed is printed
set -u
kills=$2
seed=${3:-$(date +%s)}
echo "lease storm: $kills kills, seed $seed"
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scratch.sh"
. "$here/small.sh"
. "$here/storm.sh"
failures=0 done_kills=0 rounds=0
options='--set train.epochs=30 --set train.save_every=1 --set merge.evaluations=2000 --set merge.batch=2
    --set merge.archive=4'

start() { # NUMBER
    "$mendel" experiment ../tiny.yaml $options --out w >"out$1" 2>"err$1" &
    eval "p$1=$!"
}
complain() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

mkdir alone && cd alone || exit 1
start 1
wait $p1 || { cat err1; exit 1; }
results=$(find w -name '*.safetensors' -o -name lineage.jsonl -o -name winner.json)
(cd w && find . | LC_ALL=C sort) >names
cd ..

while [ $done_kills -lt $kills ]; do
    rm -rf run && mkdir run && cd run || exit 1
    rounds=$((rounds + 1))
    for number in 1 2 3 4; do start $number; done
    while [ ! -e w/table.json ] && [ $done_kills -lt $kills ]; do
        draw 1.2
        sleep "$drawn"
        draw 4
        number=$((${drawn%.*} + 1))
        eval "process=\$p$number"
        kill -9 "$process" 2>/dev/null
        wait "$process" 2>/dev/null
        code=$?
        [ $code -ne 137 ] || done_kills=$((done_kills + 1)) # else it had ended
        [ $code -eq 137 ] || [ $code -eq 0 ] || complain "exit $code: $(tail -1 "err$number")"
        start $number
    done
    for number in 1 2 3 4; do
        eval "wait \$p$number" || complain "process $number ends with $?: $(tail -1 "err$number")"
    done
    for file in $results; do
        cmp -s "$file" "../alone/$file" || complain "round $rounds: $file is another"
    done
    (cd w && find . | LC_ALL=C sort) >names
    cmp -s names ../alone/names || complain "round $rounds: other files: $(diff names ../alone/names | tr '\n' ' ')"
    cd ..
done
echo "$done_kills kills in $rounds runs, $failures failures (seed $seed)"
[ $failures -eq 0 ]
