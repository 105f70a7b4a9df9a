#!/bin/sh
# A training that goes on with another train.epochs: from there on the learning rate is that of a
# training of this length; what does not depend on the length has the same bytes.
# usage: test_longer.sh MENDEL
set -u
. "$(dirname "$0")/../expect.sh"
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
dir=$(mktemp -d "${TMPDIR:-/tmp}/mendel-longer-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export XDG_CACHE_HOME="$dir/cache"

small='--data digits --set data.limit=200 --set model.kind=mlp --set data.size=native --threads 1'
small="$small --set train.batch=16 --set train.ema=0.9"

# same FILE FILE...: their bytes
same() {
    first=$1; shift
    for other in "$@"; do cmp "$first" "$other" || fail "$other differs from $first"; done
}
# rates FOLDER FROM: of the epochs from there on
rates() { awk -F, -v from="$2" 'NR > 1 && $1 >= from { print $1, $2, $3 }' "$1/metrics.csv"; }

# shellcheck disable=SC2086 # lists of words
{
# A schedule that does not know its length: as if it had been that long at once.
expect 0 train $small --set schedule.kind=constant --set train.epochs=5 --out whole
expect 0 train $small --set schedule.kind=constant --set train.epochs=2 --out more
expect 0 train --resume --set train.epochs=5 --out more
says out 'train.epochs is 5, it was 2: from here on the learning rate is that of a training of 5 epochs at the same step'
same whole/final.safetensors more/final.safetensors
same whole/ema.safetensors more/ema.safetensors
grep -q '^ *epochs: 5' more/config.yaml || fail 'config.yaml does not say the new length'

# One that does: from there on the rates of the longer one, without another warm-up.
for kind in cosine one_cycle; do
    warm='--set schedule.warmup=1'
    [ $kind = cosine ] || warm='--set schedule.warmup=0.2'
    how="$small --set schedule.kind=$kind $warm"
    expect 0 train $how --set train.epochs=6 --out whole-$kind
    expect 0 train $how --set train.epochs=2 --out more-$kind
    cp -r more-$kind stopped-$kind
    expect 0 train --resume --set train.epochs=6 --out more-$kind
    [ "$(rates whole-$kind 3)" = "$(rates more-$kind 3)" ] || fail "$kind: the rates are others"
    # Stopped on its way it is the same; that it is longer stands in its folder.
    expect 0 train --resume --set train.epochs=6 --set train.max_steps=40 --out stopped-$kind
    expect 0 train --resume --set train.max_steps=0 --out stopped-$kind
    same more-$kind/final.safetensors stopped-$kind/final.safetensors
done

# Shorter, but not shorter than what is done.
expect 0 train $small --set train.epochs=9 --set train.max_steps=40 --out shorter
expect 2 train --resume --set train.max_steps=0 --set train.epochs=2 --out shorter
says err 'shorter/resume.state: 3 epochs are done and another is begun, more than the 2 of train.epochs'
expect 0 train --resume --set train.max_steps=0 --set train.epochs=4 --out shorter
[ "$(rates more-cosine 9)" = "" ] || fail 'more epochs than asked for'
[ "$(tail -n 1 shorter/metrics.csv | cut -d, -f1)" = 4 ] || fail 'it did not end after four epochs'

# Other settings are refused as before.
expect 2 train --resume --set train.epochs=7 --set optim.lr=0.5 --out whole
says err 'was saved with "optim.lr 0.001"'
}
exit "$failures"
