#!/bin/sh
# Signals in many phases: the first is answered with a word, the command ends by itself with 130, and
# what was there before stays.  No moment is measured: what does not end in a minute is a failure.
# usage: test_stop.sh mendel
. "$(dirname "$0")/../expect.sh"
. "$(dirname "$0")/../scratch.sh"
small='--set model.kind=mlp --set data.size=native --set model.hidden=16 --threads 1'
net='--set model.width=0.25 --set model.depth=0.2 --threads 1'

# begin ARGUMENT...: run in the background; a shell in a script starts it with SIGINT ignored, and one
# that is sent all the same is obeyed.
begin() {
    what=$1
    "$mendel" "$@" >out 2>err &
    pid=$!
}

# until_there FILE: wait until it has something in it, or the command has ended.
until_there() {
    while [ ! -s "$1" ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
}

# stopped SIGNAL: send it; the command says a word and ends by itself with 130.
stopped() {
    kill -"$1" $pid 2>/dev/null || fail "$what ended before SIG$1"
    tries=0
    while kill -0 $pid 2>/dev/null && [ $tries -lt 600 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    kill -9 $pid 2>/dev/null && fail "$what does not end after SIG$1"
    wait $pid
    code=$?
    [ $code -eq 130 ] || fail "$what, SIG$1: exit $code"
    says err 'stopping'
}

# nothing_half: no temporary file is left.
nothing_half() {
    [ -z "$(find . -name '*.mendel-tmp')" ] || fail "$what left $(find . -name '*.mendel-tmp')"
}

# ---- a training, by each signal; gone on with, it ends with the same bytes ------------------------
steps='--set train.epochs=60'
expect 0 train $small $steps --out a
for signal in INT TERM HUP USR1 USR2; do
    begin train $small $steps --set train.save_every=1 --out t$signal
    until_there t$signal/resume.state
    stopped $signal
    says err 'can be resumed'
    expect 0 train --resume --out t$signal
    cmp -s a/final.safetensors t$signal/final.safetensors || fail "$signal: other bytes"
done

# Signals that were ignored at the start stay so: nohup.
(
    trap '' HUP
    exec "$mendel" train $small $steps --out nohup >out 2>err
) &
pid=$!
until_there nohup/config.yaml
kill -HUP $pid 2>/dev/null
wait $pid
[ $? -eq 0 ] || fail 'a training under nohup was stopped by SIGHUP'
cmp -s a/final.safetensors nohup/final.safetensors || fail 'nohup: other bytes'

# In the middle of a step that takes long, from the first on; and of the hybrid, whose slots change.
for kind in efficientnet_lite0 hybrid; do
    long="--set model.kind=$kind $net --set data.limit=600 --set train.batch=256 --set train.epochs=2
        --set data.image_size=48"
    [ $kind = hybrid ] && long="$long --set trm.dim=16 --set train.epochs=1"
    expect 0 train $long --out whole-$kind
    cut=0
    while [ ! -s cut-$kind/final.safetensors ] && [ $cut -lt 4 ]; do
        begin train $long --out cut-$kind --resume
        until_there cut-$kind/config.yaml
        sleep 0.$((3 + cut * 2))
        kill -TERM $pid 2>/dev/null
        wait $pid
        cut=$((cut + 1))
    done
    expect 0 train $long --out cut-$kind --resume
    cmp -s whole-$kind/final.safetensors cut-$kind/final.safetensors ||
        fail "$kind: a training that was stopped within steps has other bytes"
done

# ---- what reads, judges and makes ----------------------------------------------------------------
many='--data synthetic:40000 --set data.image_size=32'
for seed in 1 2; do
    expect 0 train --set model.kind=efficientnet_lite0 $net --data synthetic:400 \
        --set data.image_size=32 --set train.max_steps=1 --set train.batch=32 --seed $seed --out p$seed
done
one=p1/final.safetensors two=p2/final.safetensors
after() { # after SECONDS SIGNAL ARGUMENT...
    moment=$1
    signal=$2
    shift 2
    begin "$@"
    sleep "$moment"
    stopped "$signal"
    nothing_half
}
echo old >old
cp old kept.safetensors
after 0.1 INT train $small --data synthetic:400000 --set data.image_size=64 --out reading
[ ! -e reading ] || fail 'a training that was stopped while it read left a folder'
after 0.8 INT eval $one $many --threads 1 --split train
after 0.8 TERM eval $one $many --threads 1 --full
after 0.8 USR1 recalibrate $one $many --threads 1 -o kept.safetensors
after 0.8 INT merge --method greedy $one $two $many --threads 1 -o kept.safetensors
after 0.8 HUP merge --method average $one $two $many --threads 1 -o kept.safetensors
after 0.8 INT interpolate $one $two $many --threads 1
after 0.5 USR2 bench --only train --model baseline --batch 64 --repeat 10000 --threads 1
after 0.5 INT bench --tune --batch 64 --repeat 50 --threads 1
cmp -s old kept.safetensors || fail 'a stopped command has written its output'

# ---- a search, in the middle of its batches ------------------------------------------------------
search="evolve $one $two --data synthetic:400 --set data.image_size=32 --threads 1
    --set merge.evaluations=16 --set merge.batch=8"
expect 0 $search --out s
for cut in 1 2 3; do
    begin $search --out e --resume
    until_there e/config.yaml
    sleep 0.$((cut * 3))
    kill -INT $pid 2>/dev/null
    wait $pid
done
expect 0 $search --out e --resume
for file in merged.safetensors lineage.jsonl winner.json; do
    cmp -s s/$file e/$file || fail "a search that was stopped in the middle differs in $file"
done

# ---- an experiment and its report ----------------------------------------------------------------
cat >tiny.yaml <<'YAML'
model: {kind: mlp, hidden: 8}
data: {size: native, limit: 200}
train: {epochs: 2}
merge: {generations: 1, batch: 2, archive: 4}
experiment: {hybrid: false, seeds: 2, latency_runs: 1, corrupt_images: 50, tta_images: 50}
run: {threads: 1}
YAML
expect 0 experiment tiny.yaml --out whole
tries=0
code=130
while [ $code -eq 130 ] && [ $tries -lt 12 ]; do
    begin experiment tiny.yaml --out x
    sleep 0.$tries
    kill -INT $pid 2>/dev/null
    wait $pid
    code=$?
    tries=$((tries + 3))
    [ $code -eq 130 ] || [ $code -eq 0 ] || fail "an experiment that was stopped: exit $code"
done
expect 0 experiment tiny.yaml --out x
cmp -s whole/C-baseline/merged.safetensors x/C-baseline/merged.safetensors ||
    fail 'an experiment that was stopped ends with other bytes'

# A program of that name that hangs is ended with us; one that says something else is an error.
mkdir bin
printf '#!/bin/sh\nsleep 1000\n' >bin/gnuplot
chmod +x bin/gnuplot
cp whole/report.html report.old
what=report
PATH="$dir/bin:$PATH" "$mendel" report whole >out 2>err &
pid=$!
sleep 0.5
stopped INT
printf '#!/bin/sh\necho hello\n' >bin/gnuplot
PATH="$dir/bin:$PATH" expect 3 report whole
says err 'hello'
cmp -s report.old whole/report.html || fail 'a report that could not be drawn was written'

# ---- descriptors and the standard output ---------------------------------------------------------
for closed in '>&-' '2>&-' '<&- >&- 2>&-'; do
    rm -rf c
    eval "\"$mendel\" train $small $steps --out c $closed" >out 2>err
    cmp -s a/final.safetensors c/final.safetensors || fail "with $closed: other bytes"
done
rm -rf c
{
    "$mendel" train $small $steps --out c 2>err
    echo $? >code
} | head -n 1 >out
[ "$(cat code)" -eq 0 ] || fail "a training whose reader left: exit $(cat code)"
says err 'cannot be written to any more'
cmp -s a/final.safetensors c/final.safetensors || fail 'a training whose reader left: other bytes'
{
    "$mendel" help keys 2>err
    echo $? >code
} | true
[ "$(cat code)" -eq 0 ] || fail "help whose reader left: exit $(cat code)"
[ ! -s err ] || fail 'help whose reader left says something'

[ $failures -eq 0 ] || exit 1
