#!/bin/sh
# Words of earlier versions still work, and the new one is said once; folders and checkpoints with
# the former words in them go on without a word.
# usage: test_words.sh MENDEL
set -u
. "$(dirname "$0")/../expect.sh"
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
dir=$(mktemp -d "${TMPDIR:-/tmp}/mendel-words-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export XDG_CACHE_HOME="$dir/cache"

# once FORMER NEW: the last command has said so, in one line, and nothing else was renamed.
once() {
    [ "$(grep -c 'is now called' err)" -eq 1 ] || fail "not one line says it: $(cat err)"
    says err "$1 is now called $2"
}
# silent: it has said nothing of the kind.
silent() {
    ! grep -q 'is now called' err || fail "a former word is spoken of: $(cat err)"
}

small='--set model.kind=mlp --set data.size=native --set model.hidden=8 --set train.epochs=2 --threads 1'

# ---- keys and choices ------------------------------------------------------------------------------
expect 0 plan $small --set data.fitness_fraction=0.2
once data.fitness_fraction data.validation_fraction
expect 0 plan $small --set merge.split=flat
once merge.split merge.crossover_point
expect 0 plan $small --set experiment.path_points=3
once experiment.path_points experiment.interpolation_points
expect 0 plan $small --set merge.fitness=held_out
once 'merge.fitness: held_out' validation
printf 'merge: {split: block}\n' >former.yaml
expect 0 plan $small --config former.yaml --set merge.split=flat
once merge.split merge.crossover_point
expect 0 help merge.split
says out merge.crossover_point

# ---- commands, options, values ---------------------------------------------------------------------
expect 0 train $small --set data.fitness_fraction=0.25 --out a
expect 0 train $small --set data.validation_fraction=0.25 --seed 2 --out b
silent
expect 0 path a/final.safetensors b/final.safetensors --data digits --points 2
once 'mendel path' 'mendel interpolate'
says out 'validation split'
expect 0 help path
says out 'mendel interpolate'
expect 0 eval a/final.safetensors --data digits --split fitness --json
once '--split fitness' '--split validation'
says out '"split":"validation"'
expect 3 data fetch cifar10 --url file:///nowhere --to .
once '--to' '--out'

# ---- what the program wrote itself ------------------------------------------------------------------
expect 0 eval a/final.safetensors --data digits --split validation
silent
sed -i 's/validation_fraction/fitness_fraction/; s/crossover_point/split/' a/config.yaml
expect 0 train --out a --resume
silent
says a/config.yaml 'validation_fraction: 0.25'

# A training of an experiment has the same hash as in the version that wrote the first such records.
cat >tiny.yaml <<'YAML'
data: {source: digits, size: native, limit: 200, fitness_fraction: 0.25}
model: {width: 0.1, depth: 0.1, stem_stride: 1, strides: [1, 1, 1, 1, 1, 1, 1]}
trm: {dim: 8, n: 1, t: 1, n_sup: 1}
train: {epochs: 3, batch: 16, ema: 0.9}
merge: {archive: 4, evaluations: 6, batch: 2, split: block, fitness: held_out}
experiment: {seeds: 1, hybrid: false, epochs_merged: 1, latency_runs: 2, corrupt_images: 2,
  tta_images: 2}
run: {threads: 1}
YAML
expect 0 experiment tiny.yaml --out e --json
says err 'step 1 of '
says err ' steps; about '
says e/A-seed1/step.json ddd7ccc3512cec4633581367f7773a5ed2ce3801b415eebb87f8af592c743dab
sed -i 's/validation_fraction/fitness_fraction/; s/crossover_point/split/' e/config.yaml
sed 's/fitness_fraction/validation_fraction/; s/split/crossover_point/; s/held_out/validation/' \
    tiny.yaml >new.yaml
expect 0 experiment new.yaml --out e
silent
! grep -q 'another configuration' out || fail "the same configuration counts as another"
says out 'finished before'

# ---- what people type who know other programs --------------------------------------------------------
# hint TEXT ARGUMENT...: refused as a wrong usage, and the answer says what to write.
hint() {
    text=$1
    shift
    expect 2 "$@"
    says err "$text"
    [ "$(wc -l <err)" -eq 1 ] || fail "the answer is of $(wc -l <err) lines: mendel $*"
}
hint 'write --set train.epochs=10' train --epochs 10
hint 'write --set train.epochs=10' train --epochs=10
hint 'write --set optim.lr=0.1' train --lr 0.1
hint 'write --set train.batch=64' train --batch-size 64
hint 'write --set optim.weight_decay=' train --wd
hint 'write --threads 4' train --workers 4
hint 'write --out' train --output-dir x
hint 'there is no mixup; data.augment offers' train --mixup 0.2
hint 'write --config a.yaml' train a.yaml
hint 'write --config a.yml' plan a.yml
hint 'write --config a.yaml' evolve a.yaml --out x
for name in cuda gpu rocm mps cuda:0; do
    hint 'write --backend opencl' train --backend $name
done
hint 'the command is eval' evaluate x
hint 'the command is merge' fuse x
hint 'write train.batch' train --set batch_size=3
hint 'write model.kind' help arch
for row in 'batch_size: 64|train.batch' 'weight_decay: 0.1|optim.weight_decay' \
    'num_classes: 10|model.classes' 'momentum: 0.9|optim.momentum' 'lr_scheduler: cosine|schedule.kind' \
    'smoothing: 0.1|train.label_smoothing' 'label_smoothing: 0.1|train.label_smoothing' \
    'drop_path: 0.1|model.drop_connect' 'model: efficientnet_lite0|model.kind: efficientnet_lite0' \
    'optim: sgd|optim.kind: sgd' 'train: {lr: 0.1}|optim.lr' 'model: {drop_rate: 0.1}|model.dropout'; do
    echo "${row%%|*}" >other.yaml
    expect 2 plan --config other.yaml
    says err "other.yaml:1: "
    says err "${row#*|}"
done
echo 'mixup: 0.2' >other.yaml
hint 'there is no mixup' plan --config other.yaml
mkdir -p photos/train/a photos/train/b photos/val/a photos/val/b
expect 3 data info folder:photos
says err 'DIR/val'

exit "$failures"
