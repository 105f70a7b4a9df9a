#!/bin/sh
# Training over several processes: the bytes depend on train.shards, not on how many share them, also
# after a kill and with another number of ranks.
# usage: test_train.sh MENDEL openmpi|mpich
library=$2
. "$(dirname "$0")/../expect.sh"
. "$(dirname "$0")/../scratch.sh"
. "$(dirname "$0")/launch.sh"

results='final.safetensors ema.safetensors'
net='--data digits --set model.width=0.25 --set model.depth=0.2 --set data.image_size=16 --threads 1
    --set train.ema=0.9 --set train.clip=1 --set data.limit=320 --set train.batch=32'

# lines_of FOLDER: its metrics without what depends on the clock.
lines_of() {
    sed 's/"images_per_second.*//' "$1/metrics.jsonl" >"$1/lines"
}

# ---- numbers of ranks --------------------------------------------------------------------------------
set -- train $net --set train.epochs=2 --set train.shards=4 --set model.dropout=0.2
expect 0 "$@" --out s4-1
lines_of s4-1
for n in 2 4; do
    ranks 0 $n "$@" --out s4-$n
    lines_of s4-$n
    same s4-1 s4-$n $results lines
done
[ "$(grep -c 'is written' out)" -eq 1 ] || fail "more than one rank prints"
# When the sums are made, and in how many pieces, changes nothing.
for setting in 'comm.overlap=false' 'comm.bucket=16KiB'; do
    ranks 0 2 "$@" --set "$setting" --out s4-how
    lines_of s4-how
    same s4-1 s4-how $results lines
    rm -r s4-how
done
# Gradients as bfloat16: another recipe, with the same bytes for every number of ranks.
expect 0 "$@" --set comm.gradients=bfloat16 --out b1
cmp -s s4-1/final.safetensors b1/final.safetensors && fail "bfloat16 gradients change nothing"
for n in 2 4; do
    ranks 0 $n "$@" --set comm.gradients=bfloat16 --out b$n
    same b1 b$n $results
done
says out 'of bfloat16'
# Without train.shards there are as many as ranks, which config.yaml says.
ranks 0 2 train $net --set train.epochs=1 --out two
grep -q 'shards: 2' two/config.yaml || fail "config.yaml does not say how many shards there were"
expect 0 train $net --set train.epochs=1 --set train.shards=2 --out one
same one two $results
# One shard is what there was before.
expect 0 train $net --set train.epochs=1 --set train.shards=1 --out whole
expect 0 train $net --set train.epochs=1 --out plain
same plain whole $results
# A shard in parts; a hybrid; three shards, whose tree is lopsided.
if [ "$library" = openmpi ]; then
    set -- train $net --set train.epochs=1 --set model.kind=hybrid --set trm.dim=16 --set train.shards=2 --set train.accumulate=2
    expect 0 "$@" --out h1
    ranks 0 2 "$@" --out h2
    same h1 h2 $results
    set -- train $net --set train.epochs=1 --set train.batch=24 --set train.shards=6
    expect 0 "$@" --out l1
    for n in 2 3; do
        ranks 0 $n "$@" --out l$n
        same l1 l$n $results
    done
fi

# ---- stepwise supervision: samples stay in the batch until they halt, wherever they are --------------------
set -- train $net --set model.kind=hybrid --set trm.dim=16 --set trm.supervision=stepwise --set train.shards=4 \
    --set data.limit=160 --set train.epochs=2
[ "$library" = openmpi ] && numbers='2 4' || numbers=2
expect 0 "$@" --out step1
lines_of step1
for n in $numbers; do
    ranks 0 $n "$@" --out step$n
    lines_of step$n
    same step1 step$n $results lines
done
ranks 0 4 "$@" --set train.max_steps=7 --out step-part
ranks 0 2 "$@" --set train.max_steps=11 --out step-part --resume
expect 0 "$@" --out step-part --resume
same step1 step-part $results

# ---- stopped, killed, hanging; gone on with by other numbers ----------------------------------------------
set -- train $net --set train.shards=4 --set train.epochs=8 --set train.save_every=3
expect 0 "$@" --out long
begin 4 lost/resume.state "$@" --out lost
kill -TERM "$(cat pid-2)"
ended 130 'a signal for rank 2'
says err 'can be resumed'
begin 2 lost/resume.state "$@" --out lost --resume
kill -KILL "$(cat pid-1)"
ended fails 'rank 1 was killed'
begin 4 lost/resume.state train --out lost --resume --set comm.timeout=2
kill -STOP "$(cat pid-3)"
ended fails 'rank 3 hangs'
kill -KILL "$(cat pid-3)" 2>/dev/null
says err 'nothing came from rank 3 ('
ranks 0 2 train --out lost --resume --set train.epochs=8
same long lost $results

# ---- what it costs, foreseen and measured ---------------------------------------------------------------
expect 0 plan $net --ranks 4 --network 10Gb/s
says out '4 ranks, 4 shards of 8 images, on a network of 10 Gb/s'
says out 'speed-up'
says out 'best comm.bucket'
expect 0 plan $net --ranks 4 --network 1Gb/s,1ms --set comm.gradients=bfloat16
says out 'sending bfloat16 in'
says out '1 Gb/s and 1000 us'
for network in fast 1Gb/s,1 1Gb/s,1msx infGb/s; do
    expect 2 plan $net --ranks 4 --network $network
done
ranks 0 2 train $net --set train.max_steps=2 --out cost
says out '2 ranks by'
ranks 0 2 bench --comm --repeat 3
says out 'over 2 ranks'
expect 2 bench --comm
says err 'mpirun -n 2'

# ---- a state that the first rank cannot save ---------------------------------------------------------------
begin 2 full/resume.state train $net --set train.shards=2 --set train.epochs=500 --set train.save_every=1 --out full
until [ -d full/resume.state ]; do rm -f full/resume.state && mkdir full/resume.state 2>/dev/null; done
ended 3 'a state that cannot be saved'
[ "$(grep -c 'mendel train: rank 0 ' err)" -eq 1 ] || fail "$library: a failure to save is not told once: $(cat err)"

# ---- commands that are the work of one process ---------------------------------------------------------------
ranks 2 2 eval whole/final.safetensors --data digits
[ "$(grep -c 'start it without the launcher' err)" -eq 1 ] || fail "$library: eval as two ranks: $(cat err)"
ranks 2 2 merge --method average whole/final.safetensors two/final.safetensors -o merged.safetensors
ranks 2 2 bench --only infer
[ ! -e merged.safetensors ] || fail "a merge as two ranks writes"
ranks 0 2 status whole
ranks 0 2 eval whole/final.safetensors --data digits --set comm.library=off

# ---- refused -------------------------------------------------------------------------------------------
ranks 2 3 train $net --set train.shards=4 --out no
says err 'train.shards is 4, which 3 ranks cannot share'
ranks 2 2 train $net --set train.shards=5 --out no
says err 'train.shards'
[ ! -e no ] || [ -z "$(ls no)" ] || fail "a refused training leaves $(ls no)"

[ $failures -eq 0 ] || exit 1
