#!/bin/sh
# train.keep_best and train.patience: the best epoch on the validation split is kept, and a training
# ends where none has been better for so long; also when it was stopped in between.
# usage: test_best.sh MENDEL
set -u
. "$(dirname "$0")/../expect.sh"
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
dir=$(mktemp -d "${TMPDIR:-/tmp}/mendel-best-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export XDG_CACHE_HOME="$dir/cache"

small='--data digits --set data.limit=300 --set model.kind=mlp --set data.size=native --threads 1'
small="$small --set train.keep_best=true --set train.batch=16 --set schedule.kind=constant"
# shellcheck disable=SC2086 # lists of words
{
# The best is what evaluating it says, and it is not the last one here.
expect 0 train $small --set train.epochs=12 --set optim.lr=0.05 --out a --json
epoch=$(sed 's/.*"best_epoch":\([0-9]*\).*/\1/' out)
expect 0 train $small --set train.epochs=12 --set optim.lr=0.05 --set train.keep=12 --out all
cmp -s "all/epoch-$(printf %03d "$epoch").safetensors" a/best.safetensors ||
    fail "best.safetensors is not that of epoch $epoch"
expect 0 eval a/best.safetensors $small --split validation --json
top1=$(sed 's/.*"top1":\([0-9.e-]*\),.*/\1/' out)
most=$(sed -n 's/.*"validation_top1": *\([0-9.e-]*\).*/\1/p' a/metrics.jsonl | sort -g | tail -1)
awk "BEGIN { exit !($top1 - $most < 1e-9 && $most - $top1 < 1e-9) }" || fail "best: $top1, of the metrics $most"

# Without learning nothing gets better: it ends, and says why.
expect 0 train $small --set train.epochs=50 --set optim.lr=0 --set train.patience=3 --out b --json
says out '"epochs":4,'
says out '"best_epoch":1,'
expect 0 train $small --set train.epochs=50 --set optim.lr=0 --set train.patience=3 --out told
says out 'ended after epoch 4: none since epoch 1 was better on the validation split (train.patience)'
cp b/final.safetensors whole.safetensors
expect 0 train --resume --out b
cmp b/final.safetensors whole.safetensors || fail "a training that has ended changed"

# Stopped in between and resumed, it is the same.
expect 0 train $small --set train.epochs=12 --set optim.lr=0.05 --set train.max_steps=100 --out c
expect 0 train --set train.max_steps=0 --resume --out c
cmp a/best.safetensors c/best.safetensors || fail "best.safetensors differs after --resume"
cmp a/final.safetensors c/final.safetensors || fail "final.safetensors differs after --resume"

# Without a validation split there is no best one.
expect 2 train $small --set data.validation_fraction=0 --out d
says err 'train.keep_best needs a validation split'
expect 0 train $small --set train.epochs=1 --overwrite --out a --set train.keep_best=false
[ ! -e a/best.safetensors ] || fail "an older run's best.safetensors is left"
}
exit "$failures"
