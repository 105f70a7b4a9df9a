#!/bin/sh
# The README's C program is examples/predict.c, and it predicts.  usage: test_predict.sh mendel predict
# source-root
set -eu
mendel=$1 predict=$2 root=$3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
awk '/^```c$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$root/README.md" >"$scratch/readme.c"
tail -n +2 "$root/examples/predict.c" | diff "$scratch/readme.c" - ||
    { echo "README.md and examples/predict.c differ"; exit 1; }

"$mendel" train --data digits --set model.kind=mlp --set data.size=native --set train.epochs=2 \
    --set train.batch=32 --threads 1 --out "$scratch/run" >"$scratch/log" 2>&1 ||
    { cat "$scratch/log"; exit 1; }
# Two black images of 8x8: two lines of ten logits, alike.
head -c 128 /dev/zero | "$predict" "$scratch/run/final.safetensors" >"$scratch/logits"
awk 'NF != 10 { exit 1 } { line[NR] = $0 } END { exit !(NR == 2 && line[1] == line[2]) }' \
    "$scratch/logits" || { echo "unexpected logits:"; cat "$scratch/logits"; exit 1; }

# A file that is no checkpoint: an error in words.
printf 'nonsense' >"$scratch/bad"
if "$predict" "$scratch/bad" </dev/null 2>"$scratch/error"; then
    echo "a broken checkpoint was accepted"
    exit 1
fi
grep -q "$scratch/bad" "$scratch/error"
