#!/bin/sh
# After a power failure or a kill at a bad moment: files that lack their end, folders that lack files.
# usage: test_power.sh MENDEL
set -u
. "$(dirname "$0")/../expect.sh"
. "$(dirname "$0")/../scratch.sh"

shorten() { # FILE BYTES: without that many bytes at its end
    size=$(($(wc -c <"$1") - $2))
    head -c $size "$1" >part && cat part >"$1"
}

# ---- evolve: what was appended and not saved is cut off, what is missing is told -------------------
small='--set model.kind=mlp --set data.size=native --set model.hidden=8 --set train.epochs=1'
small="$small --data synthetic:100 --threads 1"
for seed in 1 2; do
    expect 0 train $small --seed $seed --out p$seed
done
search="p1/final.safetensors p2/final.safetensors --data synthetic:100 --threads 1 --set merge.archive=4"
expect 0 evolve $search --set merge.evaluations=15 --out e
cp -r e whole
expect 0 evolve $search --set merge.evaluations=30 --out whole --resume
cp -r e longer
printf '{"id": 99, "par' >>longer/lineage.jsonl
expect 0 evolve $search --set merge.evaluations=30 --out longer --resume
for file in lineage.jsonl merged.safetensors winner.json; do
    cmp whole/$file longer/$file || fail "$file differs behind a line that was not saved"
done
cp -r e shorter
shorten shorter/lineage.jsonl 500
expect 3 evolve $search --set merge.evaluations=30 --out shorter --resume
says err 'its end is lost'
says err '--overwrite'
rm shorter/lineage.jsonl
expect 3 evolve $search --set merge.evaluations=30 --out shorter --resume
says err 'its end is lost'

# ---- the experiment begins such a search again -----------------------------------------------------
cat >tiny.yaml <<'YAML'
data: {source: "synthetic:100", image_size: 8, validation_fraction: 0.25}
model: {width: 0.25, depth: 0.2}
train: {epochs: 1, batch: 16}
trm: {dim: 8}
merge: {evaluations: 6, batch: 2}
experiment: {epochs_merged: 0, latency_runs: 1, corrupt_images: 0, tta_images: 0}
run: {threads: 1}
YAML
expect 0 experiment tiny.yaml --out x
[ -s x/C-hybrid/merged.safetensors ] || fail 'the experiment has no fused model'
begin_again() { # FILE BYTES: the end of that file of the search is lost
    rm -rf y && cp -r x y
    sed -i 's/"done": true/"done": false/' y/C-hybrid/search.json
    shorten y/C-hybrid/$1 $2
    rm -f y/table.*
    expect 0 experiment tiny.yaml --out y
    says err 'the search begins again'
    sed -i 's#"y/#"x/#' y/C-hybrid/lineage.jsonl
    for file in merged.safetensors lineage.jsonl; do
        cmp x/C-hybrid/$file y/C-hybrid/$file || fail "$file of the search that began again differs"
    done
}
begin_again lineage.jsonl 300
begin_again resume.state 100

# ---- killed before its first step, an experiment is no older than its record ------------------------
mkdir early && cp x/config.yaml early
expect 0 experiment tiny.yaml --out early
[ "$(grep -c '"version"' early/made.json)" = 1 ] || fail 'made.json has another entry than one'
grep -q '{}' early/made.json && fail 'made.json speaks of a part that never was'
cmp x/C-hybrid/merged.safetensors early/C-hybrid/merged.safetensors || fail 'the fused model differs'
[ "$failures" -eq 0 ]
