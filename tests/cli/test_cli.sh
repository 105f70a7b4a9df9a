#!/bin/sh
# The program from outside: names that scripts rely on, exit codes, messages, files, resuming.
# usage: test_cli.sh MENDEL
set -u
. "$(dirname "$0")/../expect.sh"
. "$(dirname "$0")/../scratch.sh"

exists() {
    for file in "$@"; do
        [ -s "$file" ] || fail "$file is missing or empty"
    done
}

small='--set model.kind=mlp --set data.size=native --set model.hidden=16 --set train.epochs=4 --threads 1'

# ---- help ------------------------------------------------------------------------------------------
expect 0 --version
says out 'mendel 0.'
expect 0 help
commands=$(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' out)
[ "$(echo "$commands" | wc -l)" -ge 14 ] || fail "help lists few commands: $commands"
for command in $commands; do
    expect 0 $command --help
    says out 'Examples:'
    wide=$(awk 'length($0) > 80' out)
    [ -z "$wide" ] || fail "$command --help is wider than 80 columns: $wide"
    [ "$(sed -n '/^Examples:/,/^$/p' out | grep -c '^  mendel ')" -ge 2 ] ||
        fail "$command --help has fewer than two examples"
    says out 'Exit codes:'
    says out "mendel $command"
done
expect 0 help keys
[ -z "$(awk 'length($0) > 80' out)" ] || fail 'help keys is wider than 80 columns'
for key in model.kind model.strides trm.n_sup data.augment train.max_steps optim.lr schedule.kind \
    merge.generations experiment.seeds run.precision; do
    says out "$key"
done
expect 0 help trm.tokens
says out 'pooled | grid'
expect 0 devices --json
says out '"backend": "cpu"'

# ---- refusals ----------------------------------------------------------------------------------------
expect 2 trian
says err 'did you mean train?'
expect 2 train --sead 3
says err 'did you mean --seed?'
expect 2 train --seed
says err 'expects a value'
expect 2 train --seed three
says err 'expected an integer'
expect 2 train --set optim.lrr=1
says err 'did you mean optim.lr?'
expect 2 train stray
says err 'unexpected argument stray'
printf 'model:\n  kind: hybrid\ntrain:\n  epochs: few\n' >bad.yaml
expect 2 train --config bad.yaml
says err 'bad.yaml:4: train.epochs: expected an integer'
printf 'train:\n  batch: 64\n  accumulate: 5\n' >bad.yaml
expect 2 plan --config bad.yaml
says err 'bad.yaml:3: train.accumulate: expected a divisor'
expect 2 train --backend gpu
says err 'run.backend: expected one of cpu, reference, opencl, got gpu'
expect 3 train --config missing.yaml
says err 'missing.yaml'
expect 3 eval missing.safetensors --data digits
expect 3 train $small --data cifar10:nowhere --out x
printf 'not a checkpoint' >bad.safetensors
expect 3 eval bad.safetensors --data digits
expect 2 eval bad.safetensors --split tset
expect 2 merge --method median a b -o c
expect 2 experiment
expect 5 plan --memory-limit 1MB
says err 'needs at least'
[ ! -e runs ] || fail 'a refused command left files'

# ---- train, resume, evaluate ---------------------------------------------------------------------
expect 0 train $small --out a
exists a/final.safetensors a/epoch-004.safetensors a/metrics.jsonl a/metrics.csv a/config.yaml \
    a/resume.state
[ "$(wc -l <a/metrics.jsonl)" -eq 4 ] || fail 'metrics.jsonl has not a line an epoch'
if grep -q "$(printf '\033')" out; then fail 'colour codes in a file'; fi
expect 0 train $small --out b --seed 1 --json
says out '"fitness_top1":'
cmp -s a/final.safetensors b/final.safetensors || fail 'two runs differ'
expect 0 train $small --out c --seed 2
if cmp -s a/final.safetensors c/final.safetensors; then fail 'seeds make no difference'; fi
expect 0 train --config a/config.yaml --out d
cmp -s a/final.safetensors d/final.safetensors || fail 'config.yaml does not reproduce the run'

# Killed at some moments, resumed each time: the same bytes.
rm -rf k
for moment in 0.05 0.1 0.15 0.2 0.3; do
    "$mendel" train $small --set train.save_every=1 --out k --resume >out 2>err &
    sleep $moment
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
done
expect 0 train $small --set train.save_every=1 --out k --resume
cmp -s a/final.safetensors k/final.safetensors || fail 'a killed and resumed run differs'
expect 0 train --out k --resume # by the folder's own configuration
cmp -s a/final.safetensors k/final.safetensors || fail 'resuming a finished run changes it'

# Ctrl-C saves and tells.
"$mendel" train $small --set train.epochs=100000 --out i >out 2>err &
while [ ! -s i/resume.state ] && kill -0 $! 2>/dev/null; do sleep 0.05; done
kill -INT $!
wait $!
code=$?
[ $code -eq 130 ] || fail "interrupted: exit $code"
says err 'can be resumed'
exists i/resume.state

expect 0 eval a/final.safetensors --data digits --json --predictions p.csv
says out '"top1":'
says out '"loss":'
says out '"images":360'
says p.csv 'index,label,predicted,logit_0,logit_1,'
[ "$(wc -l <p.csv)" -eq 361 ] || fail 'p.csv has not a line an image'
expect 0 eval a/final.safetensors --data digits --split validation
says out 'validation split: 144 images'
expect 3 eval a/final.safetensors --data digits --predictions missing/p.csv
mkdir -p power/intel-rapl:0
echo 1000000 >power/intel-rapl:0/max_energy_range_uj
echo 5 >power/intel-rapl:0/energy_uj
MENDEL_POWERCAP=$dir/power expect 0 eval a/final.safetensors --data digits --full --images 5 --json
for word in '"temperature":' '"brier":' '"JPEG"' '"shifts":' '"joules_per_image":0.0' \
    '"held_out_images":144'; do says out "$word"; done
MENDEL_POWERCAP=$dir/nothing expect 0 eval a/final.safetensors --data digits --latency --tta --images 5
says out 'energy not available'
says out 'test-time augmentation, 5 images'
expect 3 eval a/final.safetensors --data digits --set model.hidden=17
head -c 1000 a/final.safetensors >cut.safetensors
expect 3 eval cut.safetensors --data digits
expect 4 train $small --set optim.kind=sgd --set optim.lr=1000 --set data.normalize=none --out n
says err 'step '

# ---- other images for a checkpoint -----------------------------------------------------------------
# Two sources with the same test images and other training images, and one with the test side alone:
# all are normalised as the training was.
images='\000\000\010\003\000\000\000\024\000\000\000\004\000\000\000\004'
labels='\000\000\010\001\000\000\000\024'
mkdir one other alone
for folder in one other alone; do
    { printf "$images" && seq 1000 | head -c 320; } >$folder/t10k-images-idx3-ubyte
    { printf "$labels" && yes "$(printf '\001\002')" | tr -d '\n' | head -c 20; } \
        >$folder/t10k-labels-idx1-ubyte
done
cp one/t10k-labels-idx1-ubyte one/train-labels-idx1-ubyte
cp one/t10k-labels-idx1-ubyte other/train-labels-idx1-ubyte
{ printf "$images" && seq 2000 | tail -c 320; } >one/train-images-idx3-ubyte
{ printf "$images" && seq 2000 | tail -c 320 | tr '0-9' 'q-z'; } >other/train-images-idx3-ubyte
expect 0 train $small --data idx:one --set train.batch=4 --out o
for folder in one other alone; do
    expect 0 eval o/final.safetensors --data idx:$folder --predictions $folder.csv
    says out 'test split: 20 images'
    cmp -s one.csv $folder.csv || fail "idx:$folder is normalised in another way"
done
expect 0 eval o/final.safetensors --data idx:other --set data.normalize=dataset --predictions w.csv
if cmp -s one.csv w.csv; then fail 'data.normalize of one'"'"'s own has no effect'; fi
expect 3 eval o/final.safetensors --data idx:alone --set data.normalize=dataset
says err 'measured on the training images'
expect 3 eval o/final.safetensors --data idx:alone --split validation
says err 'train-labels'
expect 0 eval o/final.safetensors --data idx:one --backend reference --set run.precision=float64 \
    --predictions double.csv
says double.csv 'index,label'
[ "$(wc -c <double.csv)" -gt "$(wc -c <one.csv)" ] || fail 'float64 logits are printed as float32'

# ---- merging, the experiment, plan, bench, data ----------------------------------------------------
expect 0 merge --method average a/final.safetensors c/final.safetensors -o m.safetensors
expect 0 merge --method slerp --ratio 0 a/final.safetensors c/final.safetensors --out s.safetensors
expect 0 merge --method greedy a/final.safetensors c/final.safetensors --data digits -o g.safetensors
for file in m s g; do expect 0 eval $file.safetensors --data digits; done
expect 0 align a/final.safetensors c/final.safetensors -o l.safetensors
says out 'in 1 groups are renumbered'
expect 0 align a/final.safetensors c/final.safetensors -o n.safetensors --method activations \
    --data digits --json
says out '"groups":1,'
expect 2 align a/final.safetensors c/final.safetensors -o n.safetensors --method guess
expect 0 eval c/final.safetensors --data digits
cp out wanted
for file in l n; do
    expect 0 eval $file.safetensors --data digits
    tail -n 1 out >line
    tail -n 1 wanted | cmp -s - line || fail "$file.safetensors: aligned, it answers otherwise"
done
expect 0 interpolate a/final.safetensors c/final.safetensors --data digits --points 3 -o path.json
says out 'barrier of the loss: plain'
exists path.json
expect 0 recalibrate a/final.safetensors --data digits --images 64 -o r.safetensors
says out 'r.safetensors is written: '
says out '% of the 144 images of the validation split'
expect 0 recalibrate a/final.safetensors --data digits --images 64 -o r.safetensors --json
says out '"validation_images":144'
expect 0 merge --method average a/final.safetensors c/final.safetensors -o plain.safetensors
says out 'plain.safetensors is written: '
says out '`mendel eval plain.safetensors --data SPEC`'
expect 0 merge --method average a/final.safetensors c/final.safetensors -o plain.safetensors \
    --data digits --json
says out '"validation_top1":0.'
expect 0 merge --method ensemble a/final.safetensors c/final.safetensors --data digits --json
says out '"test_images":360'
expect 0 eval a/final.safetensors --data digits -o result.json
says result.json '"split": "test"'
expect 0 eval r.safetensors --data digits
expect 0 evolve a/final.safetensors c/final.safetensors --data digits --out e \
    --set merge.evaluations=8 --json
says out '"test_top1":'
exists e/merged.safetensors e/lineage.jsonl e/config.yaml
expect 2 evolve
expect 2 evolve a/final.safetensors --data digits --out e
says err 'at least two checkpoints'
expect 5 evolve a/final.safetensors c/final.safetensors --data digits --memory-limit 1KB --out e --overwrite
says err 'the limit is 1000'

# A call that cannot be right leaves what an older one made.
evolved='--data digits --out e --set merge.evaluations=8'
over=--overwrite
expect 0 train $small --set model.hidden=24 --set train.max_steps=1 --data digits --out wide
sums=$(cat e/merged.safetensors e/lineage.jsonl e/config.yaml e/resume.state | sha256sum)
echo table >e/tuning.json
expect 3 evolve a/final.safetensors wide/final.safetensors $evolved $over
expect 3 evolve a/final.safetensors missing.safetensors $evolved $over
expect 2 evolve a/final.safetensors c/final.safetensors $evolved $over --method cma-es
expect 2 evolve a/final.safetensors b/final.safetensors c/final.safetensors $evolved $over --method line
expect 2 evolve a/final.safetensors c/final.safetensors $evolved $over --method ga-no-crossover
expect 2 evolve e/merged.safetensors c/final.safetensors $evolved $over
says err 'the run would write over it'
ln -s e/merged.safetensors linked.safetensors
expect 2 evolve c/final.safetensors linked.safetensors $evolved $over
says err 'choose another folder'
says e/tuning.json table
rm e/tuning.json
expect 2 evolve a/final.safetensors m.safetensors $evolved --resume
says err 'contents of the parents'
[ "$sums" = "$(cat e/merged.safetensors e/lineage.jsonl e/config.yaml e/resume.state | sha256sum)" ] ||
    fail 'a search that was refused changed the folder'
cp c/final.safetensors moved.safetensors # the same parent in another place
expect 0 evolve a/final.safetensors moved.safetensors $evolved --resume

# Where images are not named they are the embedded digits, but not for a checkpoint that was trained on others.
expect 0 eval a/final.safetensors
expect 0 train $small --set train.max_steps=1 --data synthetic:100 --out strange
for command in eval "recalibrate -o x.safetensors" "path strange/final.safetensors" \
    "evolve strange/final.safetensors --out x" "merge --method greedy -o x.safetensors" \
    "merge --method ensemble" "align strange/final.safetensors --method activations -o x.safetensors"; do
    expect 2 $command strange/final.safetensors
    says err 'name them, e.g. --data'
done
[ ! -e x.safetensors ] || fail 'written by a command that was refused'
expect 2 eval strange/final.safetensors --set data.normalize=unit
expect 0 eval strange/final.safetensors --set data.source=synthetic:50
printf 'data:\n  source: synthetic:100\n' >named.yaml
expect 0 eval strange/final.safetensors --config named.yaml
for source in digits synthetic:100; do # only the full intensity tells
    expect 0 train $small --set train.max_steps=1 --set data.normalize=unit --data $source --out unit --overwrite
    expect $([ $source = digits ] && echo 0 || echo 2) eval unit/final.safetensors
done

# A search that is killed between two saves (the state is older than the lineage) and resumed ends as
# one that was left alone.
search='--set model.kind=mlp --set model.hidden=16 --set data.source=digits --set data.size=native
    --set data.validation_fraction=0 --set merge.from_scratch=2 --set merge.fitness=train
    --set merge.batch=1 --set merge.mutation=0.01 --set merge.evaluations=6000 --threads 1'
bytes() {
    if [ -f "$1" ]; then wc -c <"$1"; else echo 0; fi
}
expect 0 evolve $search --out s
"$mendel" evolve $search --out sk >out 2>err &
while [ "$(bytes sk/lineage.jsonl)" -eq 0 ] && kill -0 $! 2>/dev/null; do sleep 0.02; done
kill -INT $!
wait $!
code=$?
[ $code -eq 130 ] || fail "interrupted: exit $code"
cp sk/resume.state state
saved=$(bytes sk/lineage.jsonl)
"$mendel" evolve $search --out sk --resume >out 2>err &
while [ "$(bytes sk/lineage.jsonl)" -le "$saved" ] && kill -0 $! 2>/dev/null; do sleep 0.02; done
kill -9 $!
wait $! 2>/dev/null
cmp -s state sk/resume.state || fail 'it was saved again before it was killed'
[ "$(bytes sk/lineage.jsonl)" -gt "$saved" ] || fail 'nothing was written behind the saved state'
expect 0 evolve $search --out sk --resume
for file in merged.safetensors lineage.jsonl winner.json; do
    cmp -s s/$file sk/$file || fail "a killed and resumed search differs in $file"
done
cat >tiny.yaml <<'YAML'
data: {source: "synthetic:120", image_size: 8, validation_fraction: 0.25}
model: {width: 0.25, depth: 0.2}
trm: {dim: 8}
train: {epochs: 1, batch: 16}
merge: {evaluations: 2, batch: 2}
experiment: {epochs_merged: 0, latency_runs: 1, corrupt_images: 2, tta_images: 4}
run: {threads: 1}
YAML
expect 0 experiment tiny.yaml --out x
says out 'Hybrid + M2N2'
says out 'seeds show little'
exists x/table.csv x/table.json x/config.yaml x/evaluation.json
expect 0 experiment tiny.yaml --out x --json
says out '"tests": '
says err 'finished before'
expect 0 plan --json
says out '"parameters":3383818'
expect 0 plan --set model.kind=hybrid
says out '3929473 parameters'
expect 0 bench --only infer --model baseline --batch 2 --repeat 1 --json --threads 1 \
    --set model.width=0.25 --set data.image_size=8
says out '"images_per_s":'
expect 2 bench --batch 16,x
says err 'expected up to'
small_net='--set model.width=0.25 --set data.image_size=8'
expect 0 bench --tune --model baseline --batch 2 --repeat 1 --json --threads 1 $small_net
says out '"default_s":'
says err 'the table is in'
exists cache/mendel/tuning-cpu-*.json
expect 0 train --set model.kind=efficientnet_lite0 $small_net --set train.max_steps=1 --out tuned
exists tuned/tuning.json
expect 0 train --set run.tuning=off --set train.max_steps=1 $small --out untuned
[ ! -e untuned/tuning.json ] || fail 'tuning.json in spite of run.tuning=off'
echo damaged >"$(echo cache/mendel/tuning-cpu-*.json)"
expect 0 bench --only infer --model baseline --batch 2 --repeat 1 --threads 1 $small_net
says err 'it is ignored'
expect 3 bench --set run.tuning=tuning.json
says err 'tuning.json'
expect 0 data info digits --json
says out '"test": 360'
if [ -w /dev/full ]; then
    "$mendel" help keys >/dev/full 2>err
    code=$?
    [ $code -eq 3 ] || fail "a full disk behind the output: exit $code"
fi

[ $failures -eq 0 ] || exit 1
echo 'all is well'
