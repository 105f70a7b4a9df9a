#!/bin/sh
# train.init from a checkpoint of other classes: its model and its normalisation are taken, what fits
# of its weights too, and what does not is drawn anew and told.
# usage: test_finetune.sh MENDEL
set -u
. "$(dirname "$0")/../expect.sh"
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
corpus=$(cd "$(dirname "$0")/../fuzz/corpus" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/mendel-finetune-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export XDG_CACHE_HOME="$dir/cache"

for class in a b c; do
    for side in train test; do
        mkdir -p "photos/$side/$class"
        for i in 1 2 3 4; do
            cp "$corpus/png/rgb.png" "photos/$side/$class/$i.png"
        done
    done
done
expect 0 train --data digits --set data.limit=100 --set model.width=0.25 --set model.depth=0.2 \
    --set data.image_size=16 --set train.epochs=1 --threads 1 --out first

start='--set train.init=first/final.safetensors --set data.image_size=16 --threads 1'
photos='--data folder:photos --set data.validation_fraction=0 --set train.batch=4'
# shellcheck disable=SC2086 # lists of words
{
expect 0 train $start $photos --set train.epochs=1 --out second
says err '110 tensors are taken, 2 are drawn anew'
says err 'classifier.weight (expected [3, 1280], the file has F32 [10, 1280])'
says second/config.yaml 'width: 0.25 '
says second/config.yaml 'classes: 3 '
# The mean of the digits, with which the weights were trained, not that of the photos.
says second/config.yaml 'mean: [0.30'
expect 0 plan $start --data folder:photos --json
says out '"parameters":193571,'

# With a rate of 0 the weights are those of the file: they were taken, not drawn.
expect 0 train $start --data digits --set data.limit=100 --set train.epochs=1 --set optim.lr=0 --out same
expect 0 recalibrate same/final.safetensors --data digits --set data.limit=100 -o same.safetensors
expect 0 recalibrate first/final.safetensors --data digits --set data.limit=100 -o first.safetensors
expect 0 eval same.safetensors --data digits --set data.limit=100 --json
figures=$(sed 's/"checkpoint":"[^"]*"//' out)
expect 0 eval first.safetensors --data digits --set data.limit=100 --json
[ "$figures" = "$(sed 's/"checkpoint":"[^"]*"//' out)" ] || fail "the weights are others: $figures"

# What is set goes before what the file says; a model that is another is refused.
expect 0 train $start $photos --set train.epochs=1 --set data.mean=0.5 --set data.std=0.25 --out own
says own/config.yaml 'mean: [0.5]'
expect 3 train $start $photos --set model.kind=mlp --out other
says err "the tensors are not this model's"
[ ! -e other/config.yaml ] || fail "a run that was refused has left files"

# A training that goes on does not need the file any more.
expect 0 train $start $photos --set train.epochs=2 --set train.max_steps=2 --out third
mv first gone
expect 0 train $photos --set train.epochs=2 --resume --out third --set train.max_steps=0
expect 3 train $start $photos --set train.epochs=1 --out fourth
}
exit "$failures"
