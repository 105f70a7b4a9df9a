#!/bin/sh
# Several processes on one folder of an experiment: the bytes of one process, whichever of them is
# killed, suspended or interrupted, and whenever one comes.
# usage: test_shared.sh MENDEL
. "$(dirname "$0")/../expect.sh"
fault=$(cd "$(dirname "$0")/../fault" && pwd)
. "$(dirname "$0")/../scratch.sh"
. "$fault/small.sh" # tiny.yaml
options='--set train.epochs=20 --set train.save_every=1 --set merge.evaluations=300 --set merge.batch=1
    --set experiment.lease_seconds=1'

# begin NUMBER ARGUMENT...: a process on the folder w in the background; $one, $two or $three is it.
begin() {
    number=$1
    shift
    "$mendel" experiment ../tiny.yaml $options --out w "$@" >"out$number" 2>"err$number" &
    case $number in 1) one=$! ;; 2) two=$! ;; 3) three=$! ;; esac
}
# ends PROCESS CODE WHAT
ends() {
    wait "$1"
    code=$?
    [ $code -eq "$2" ] || fail "$3: exit $code, expected $2: $(cat err1 err2 err3 2>/dev/null | tail -3)"
}
fresh() { # an empty folder to work in, with the name that stands in lineages
    rm -rf "$dir/run" && mkdir "$dir/run" && cd "$dir/run" || exit 1
}
# What the experiment made, and that nothing else is left.
same() {
    for file in $results; do
        cmp -s "$file" "../alone/$file" || fail "$1: $file is another"
    done
    answers w/test.json >answers
    cmp -s answers ../alone/answers || fail "$1: the answers on the test split are others"
    left=$(find w -name 'leases*' -o -name 'mendel.lock' -o -name '*.mendel-tmp')
    [ -z "$left" ] || fail "$1: $left is left"
    (cd w && find . | LC_ALL=C sort) >names
    cmp -s names ../alone/names || fail "$1: other files: $(diff names ../alone/names | head -3)"
}
answers() { # of all models, without what depends on the clock
    grep -E '"(id|top1|loss|correct)"' "$1"
}
# when_there NAME PROCESS: wait until there is a lease of that name; $owner is its process, or empty
# where the other process ended before it was seen.
when_there() {
    owner=
    while [ -z "$owner" ] && kill -0 "$2" 2>/dev/null; do
        [ -e "w/leases/$1.lease" ] && owner=$(sed -n 's/^pid //p' "w/leases/$1.lease" 2>/dev/null)
    done
}

# ---- one process alone -------------------------------------------------------------------------------
mkdir alone && cd alone || exit 1
begin 1
ends $one 0 'one process'
results=$(find w -name '*.safetensors' -o -name 'lineage.jsonl' -o -name 'winner.json' | LC_ALL=C sort)
answers w/test.json >answers
(cd w && find . | LC_ALL=C sort) >names
grep -q leases names && fail 'one process leaves leases'
[ "$(echo "$results" | wc -l)" -ge 10 ] || fail "too few results to compare: $results"

# ---- three at once -----------------------------------------------------------------------------------
fresh
begin 1
begin 2
begin 3
ends $one 0 'the first of three'
ends $two 0 'the second of three'
ends $three 0 'the third of three'
same 'three at once'
for number in 1 2 3; do
    sed -n '/top-1 %/,/tests between/p' out$number >verdict$number
    [ -s verdict$number ] || fail "process $number prints no table"
    cmp -s verdict1 verdict$number || fail "process $number prints another table"
done
[ "$(cat out1 out2 out3 | grep -c 'The report is in')" -eq 1 ] || fail 'not exactly one writes the report'
grep -q 'joins the processes' out1 out2 out3 || fail 'nobody says that it joins others'

# ---- killed in each kind of step ---------------------------------------------------------------------
for step in A-seed1.step B-seed2.step C-hybrid-parents C-hybrid.search C-baseline.soup test evaluation; do
    fresh
    begin 1
    begin 2
    when_there $step $one
    [ -z "$owner" ] || kill -9 "$owner"
    other=$one
    [ "$owner" != "$one" ] || other=$two
    ends $other 0 "the other one, after a kill in $step"
    wait
    [ -n "$owner" ] || echo "note: $step was over before it was seen"
    same "killed in $step"
done

# ---- suspended for longer than the lease, then awake -------------------------------------------------
for step in B-seed1.step C-hybrid.search; do
    fresh
    begin 1
    begin 2
    when_there $step $one
    kill -STOP "$owner"
    other=$one
    [ "$owner" != "$one" ] || other=$two
    ends $other 0 "the other one, while the owner of $step is suspended"
    kill -CONT "$owner"
    ends "$owner" 0 "the one that was suspended in $step"
    same "suspended in $step"
done

# ---- one that comes late; others that may not come ---------------------------------------------------
fresh
begin 1
when_there C-hybrid.search $one
begin 2
expect 2 experiment ../tiny.yaml $options --seed 9 --out w
says err 'run.seed was 1, is 9'
expect 3 experiment ../tiny.yaml $options --out w --overwrite
says err 'other processes'
expect 3 train $small --out w/A-seed1
expect 3 train $small --out w --overwrite
expect 0 status w --json
says out '"kind": "experiment"'
ends $one 0 'the first one'
ends $two 0 'the one that came late'
same 'one came late'
expect 0 status w
says out 'finished'
sed -i 's/"bits": "[^"]*"/"bits": "0.0.1, cpu, avx9"/' w/made.json # as another machine would have made it
sed -i 's/"program": "[^"]*"/"program": "0.0.1, cpu, avx9"/' w/A-seed1/step.json
expect 2 experiment ../tiny.yaml $options --out w --set experiment.mixed=refuse
says err '0.0.1, cpu, avx9'
expect 0 experiment ../tiny.yaml $options --out w
says out '2 versions or instruction sets'
says w/table.json '"code": "mixed"'

# ---- Ctrl-C ------------------------------------------------------------------------------------------
fresh
begin 1
begin 2
when_there C-hybrid.search $one
kill -INT "$owner"
other=$one
[ "$owner" != "$one" ] || other=$two
ends "$owner" 130 'Ctrl-C'
ends $other 0 'the other one, after Ctrl-C'
same 'Ctrl-C'

# ---- a step that fails, fails once -------------------------------------------------------------------
fresh
hopeless='--set optim.kind=sgd --set optim.lr=1000 --set train.clip=0'
begin 1 $hopeless
begin 2 $hopeless
wait $one
first=$?
wait $two
second=$?
[ "$first $second" = '4 4' ] || fail "a step without a finite loss: exits $first and $second"
twice=$(grep -h 'train the' out1 out2 | sed 's/^step [0-9]* of [0-9]*: //' | sort | uniq -d)
[ -z "$twice" ] || fail "what failed for one process was tried by another: $twice"
begin 1
ends $one 0 'a new start after a failure'
same 'a new start after a failure'

exit $((failures > 0))
