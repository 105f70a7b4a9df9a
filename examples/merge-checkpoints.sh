#!/bin/sh
# Merges two checkpoints that share a beginning (one was trained from the other, or both from a third):
# how they lie to each other, their average, and what a search makes of them.  The validation split
# decides; the test split is looked at once, at the end.
# usage: merge-checkpoints.sh DATA A B [OUT]     e.g. folder:photos a.safetensors b.safetensors merged
set -eu
data=$1 a=$2 b=$3 out=${4:-runs/merged}
mkdir -p "$out"
mendel interpolate "$a" "$b" --data "$data" --points 5
mendel merge --method average "$a" "$b" --data "$data" --out "$out/average.safetensors"
mendel evolve "$a" "$b" --data "$data" --out "$out/search"
for model in "$a" "$b" "$out/average.safetensors" "$out/search/merged.safetensors"; do
    echo "$model"
    mendel eval "$model" --data "$data"
done
