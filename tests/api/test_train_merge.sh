#!/bin/sh
# examples/train_merge.c, which uses the public functions only, writes the bytes that the program
# writes for the same work.
# usage: test_train_merge.sh MENDEL TRAIN_MERGE
set -eu
mendel=$1 example=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export XDG_CACHE_HOME="$scratch/cache"

keys='model.kind=mlp data.size=native data.limit=200 train.epochs=2 train.batch=32 run.threads=1'
# shellcheck disable=SC2086 # a list of words
"$example" digits "$scratch/library" $keys >"$scratch/told" ||
    { cat "$scratch/told"; exit 1; }
set --
for key in $keys; do
    set -- "$@" --set "$key"
done
for seed in 1 2; do
    "$mendel" train --data digits "$@" --seed "$seed" --out "$scratch/program/seed-$seed" \
        >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
done
"$mendel" merge --method average "$scratch/program/seed-1/final.safetensors" \
    "$scratch/program/seed-2/final.safetensors" --data digits "$@" \
    -o "$scratch/program/merged.safetensors" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
for file in seed-1/final.safetensors seed-2/final.safetensors merged.safetensors; do
    cmp "$scratch/library/$file" "$scratch/program/$file"
done

# What it tells of the merged model is what the program tells.
"$mendel" eval "$scratch/program/merged.safetensors" --data digits "$@" --json >"$scratch/json"
figures() { # of a result: all but the name of its checkpoint
    sed -n 's/.*merged\.safetensors",//p'
}
[ -n "$(figures <"$scratch/json")" ] &&
    [ "$(figures <"$scratch/json")" = "$(figures <"$scratch/told")" ] || {
    cat "$scratch/json" "$scratch/told"
    echo "the library and the program tell different things of one model"
    exit 1
}

# An error in words, and a status.
if "$example" digits "$scratch/library" $keys 2>"$scratch/error" >/dev/null; then
    echo "a folder that holds a run was taken"
    exit 1
fi
grep -q 'holds a training' "$scratch/error"
