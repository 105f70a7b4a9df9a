#!/bin/sh
# mendel status: of a training, a search and an experiment, at work, stopped and finished; and of
# folders that are damaged or hold nothing.  (Of several processes: tests/experiment/test_shared.sh.)
# usage: test_status.sh mendel
. "$(dirname "$0")/../expect.sh"
fault=$(cd "$(dirname "$0")/../fault" && pwd)
. "$(dirname "$0")/../scratch.sh"
. "$fault/small.sh"

# ---- a training --------------------------------------------------------------------------------------
"$mendel" train $small --set train.epochs=100000 --set train.keep=0 --out t >out1 2>&1 &
process=$!
while [ ! -s t/metrics.jsonl ] && kill -0 $process 2>/dev/null; do sleep 0.05; done
expect 0 status t
says out 't: a training, at work: epoch '
says out 'of 100000, loss '
says out ' left'
says out "process $process on "
expect 0 status t --json
says out '"state": "at work"'
kill -9 $process
wait $process 2>/dev/null
expect 0 status t/
says out 'a training, stopped'
for seed in 1 2; do
    quietly train $small --set train.epochs=2 --seed $seed --out p$seed
done
expect 0 status p1 --watch # ends at once, since nothing is at work
says out 'p1: a training, finished: epoch 2 of 2, loss '
says out 'on the validation split'

# ---- a search ----------------------------------------------------------------------------------------
quietly evolve p1/final.safetensors p2/final.safetensors --data synthetic:100 --threads 1 \
    --set merge.evaluations=20 --set merge.archive=4 --out e
expect 0 status e
says out 'e: a search, finished: child 20 of 20'

# ---- an experiment -----------------------------------------------------------------------------------
"$mendel" experiment tiny.yaml --set train.epochs=100000 --set train.keep=0 --out x >out1 2>&1 &
process=$!
while [ ! -s x/plan.json ] && kill -0 $process 2>/dev/null; do sleep 0.05; done
while [ -z "$(ls x/leases 2>/dev/null)" ] && kill -0 $process 2>/dev/null; do sleep 0.05; done
expect 0 status x
says out 'x: an experiment, at work: 0 of 18 steps are done, 1 at work'
! grep -q '"work": 0' x/plan.json || fail 'a step of the plan has no work'
says out "process $process on "
says out 'ready     '
says out 'waits     C, hybrid: M2N2'
says out '          for: C, hybrid: the candidates on the validation split'
kill -9 $process
wait $process 2>/dev/null
expect 0 status x
says out 'x: an experiment, stopped: 0 of 18 steps are done, 0 at work'
quietly experiment tiny.yaml --out x # other settings, and nobody at work: begun anew
expect 0 status x
says out 'x: an experiment, finished: 18 of 18 steps are done, 0 at work'
says out 'done      A, seed 1 of 2: train the baseline ('

expect 0 status x/A-seed1
says out 'x/A-seed1: a training, finished: epoch 1, loss '
expect 0 status x/C-hybrid
says out 'x/C-hybrid: a search, finished: child 3'

# ---- what is none ------------------------------------------------------------------------------------
mkdir nothing
expect 3 status nothing
says err 'nothing holds no run of Mendel'
expect 3 status missing
says err 'missing is not there'
expect 2 status
echo '{"steps": 3}' >x/plan.json
expect 3 status x
says err 'plan.json has no list "steps"'
echo '{"steps": [3, {"needs": [99, "a"], "record": "../../x"}, {}]}' >x/plan.json
expect 0 status x
rm x/plan.json
expect 3 status x
says err 'older version'
echo nonsense >p1/metrics.jsonl
expect 3 status p1
says err 'metrics.jsonl'

exit $((failures > 0))
