#!/bin/sh
# Images that are decoded as they are used: the same bytes as held in memory, for any number of
# threads, stopped and resumed, and from one way to the other.
# usage: test_stream.sh MENDEL SOURCE_ROOT
set -u
. "$(dirname "$0")/../expect.sh"
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
corpus=$(cd "$2/tests/fuzz/corpus" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/mendel-stream-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export XDG_CACHE_HOME="$dir/cache"

number=0
for side in train val; do
    for image in "$corpus"/png/*.png "$corpus"/jpeg/*.jpg; do
        number=$((number + 1))
        mkdir -p photos/$side/a photos/$side/b
        cp "$image" "photos/$side/a/$number-$(basename "$image")"
        cp "$image" "photos/$side/b/$number-$(basename "$image")"
    done
done
small='--data folder:photos --set model.kind=mlp --set data.image_size=12 --set data.resize=crop
    --set data.skip_damaged=true --set data.augment=[flip,resized_crop] --set train.batch=4
    --set train.epochs=4 --threads 1'
same() { cmp "$1/final.safetensors" "$2/final.safetensors" || fail "$2 differs from $1"; }

# shellcheck disable=SC2086 # lists of words
{
expect 0 train $small --out held
for threads in 1 2 7; do
    expect 0 train $small --set data.memory=1 --set data.threads=$threads --out streamed$threads
    same held streamed$threads
done
plain="$small --set data.augment=[flip]"
expect 0 train $plain --out plain
expect 0 train $plain --set data.memory=1 --set data.threads=3 --set train.max_steps=7 --out part
expect 0 train --resume --set train.max_steps=15 --set data.memory=0 --out part
expect 0 train --resume --set train.max_steps=0 --set data.memory=1 --set data.threads=2 --out part
same plain part
grep -q '"waiting": [01]' plain/metrics.jsonl || fail "metrics.jsonl does not say how long it waited"

# Both say what they are of.
expect 0 plan $plain
says out 'images in memory'
expect 0 plan $plain --set data.memory=1
says out 'decoded as they are used'

# Other files are noticed without decoding them.
printf x >>"photos/train/a/$(ls photos/train/a | head -n 1)"
expect 2 train --resume --set data.memory=1 --set train.epochs=5 --out part
says err 'was saved with other images'
}
exit "$failures"
