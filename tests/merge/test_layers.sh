#!/bin/sh
# A search over weights by layers from the command line: killed and resumed it ends as one that was
# left alone, `mendel merge` makes its winner from what is written, and an experiment has it as rows.
# usage: test_layers.sh MENDEL
. "$(dirname "$0")/../expect.sh"
. "$(dirname "$0")/../scratch.sh"

mlp='--set model.kind=mlp --set model.hidden=16 --data digits --set data.size=native --threads 1'
expect 0 train $mlp --set train.epochs=2 --out trunk
for seed in 1 2; do
    expect 0 train $mlp --set train.epochs=1 --set train.init=trunk/final.safetensors --seed $seed --out p$seed
done
set -- p1/final.safetensors p2/final.safetensors --data digits --threads 1
search='--method layers --set merge.layer_method=ties --set merge.base=trunk/final.safetensors
    --set merge.layer_granularity=1 --set merge.batch=2 --set merge.evaluations=1500
    --set merge.keep_average=false'
results='merged.safetensors lineage.jsonl winner.json recipe.yaml'
bytes() {
    if [ -f "$1" ]; then wc -c <"$1"; else echo 0; fi
}

# ---- kill -9 behind a saved state ------------------------------------------------------------------
expect 0 evolve "$@" $search --out whole
"$mendel" evolve "$@" $search --out killed >out 2>err &
while [ "$(bytes killed/lineage.jsonl)" -eq 0 ] && kill -0 $! 2>/dev/null; do sleep 0.02; done
kill -INT $!
wait $!
code=$?
[ $code -eq 130 ] || fail "interrupted: exit $code"
cp killed/resume.state state
saved=$(bytes killed/lineage.jsonl)
"$mendel" evolve "$@" $search --out killed --resume >out 2>err &
while [ "$(bytes killed/lineage.jsonl)" -le "$saved" ] && kill -0 $! 2>/dev/null; do sleep 0.02; done
kill -9 $!
wait $! 2>/dev/null
cmp -s state killed/resume.state || fail 'it was saved again before it was killed'
expect 0 evolve "$@" $search --out killed --resume
for file in $results; do
    cmp -s whole/$file killed/$file || fail "a killed and resumed search differs in $file"
done

# ---- the winner by mendel merge ----------------------------------------------------------------------
expect 0 merge --config whole/recipe.yaml --method ties --base trunk/final.safetensors "$@" -o again.safetensors
expect 0 merge --config whole/recipe.yaml --method ties --base trunk/final.safetensors p1/final.safetensors \
    p2/final.safetensors -o blind.safetensors
# Both are headers of other lengths before the same data: a layer of 64 x 16 and one of 16 x 10.
for file in again blind; do
    tail -c 4904 whole/merged.safetensors >a
    tail -c 4904 $file.safetensors >b
    cmp -s a b || fail "$file.safetensors is not the search's winner"
done
says whole/winner.json '"layers": {"method": "ties"'
says whole/winner.json '{"tensors": "fc2", "weights": ['

# ---- another folder, another parent, wrong words -----------------------------------------------------
expect 0 evolve "$@" --set merge.evaluations=4 --out whole --overwrite
[ ! -e whole/recipe.yaml ] || fail 'the recipe of an older search stays'
expect 2 evolve "$@" --method layers --set merge.layer_method=ties --out x
says err 'set merge.base'
expect 2 evolve "$@" --method layers --set merge.layer_groups='fc1; fc3' --out x
says err 'fc3 is the name of no tensor'
expect 3 evolve "$@" --method layers --set merge.layer_method=ties --set merge.base=none.safetensors --out x
says err 'none.safetensors'
expect 0 train $mlp --set model.hidden=8 --set train.epochs=1 --out other
expect 3 evolve p1/final.safetensors other/final.safetensors --data digits --method layers --out x
says err 'other/final.safetensors'
[ ! -e x/lineage.jsonl ] || fail 'a search that cannot begin leaves a lineage'

# ---- rows of an experiment -----------------------------------------------------------------------------
cat >tiny.yaml <<'YAML'
data: {source: "synthetic:120", image_size: 8, validation_fraction: 0.25}
model: {width: 0.25, depth: 0.2}
trm: {dim: 8}
train: {epochs: 1, batch: 16}
merge: {evaluations: 4, batch: 2, layer_method: ties}
experiment: {trunk_epochs: 1, child_epochs: 1, children: 2, independent: 0, matched: false, epochs_merged: 0,
    methods: "layers,layers-cma-es", latency_runs: 1, corrupt_images: 2, tta_images: 4}
run: {threads: 1}
YAML
expect 0 experiment tiny.yaml --out table
says table/table.txt 'M2N2 of weights by layers'
says table/table.txt 'CMA-ES of weights by layers'
expect 0 report table
says table/report.html 'Weights by layers, of the best of'
says table/report.html 'of its change'
[ $failures -eq 0 ] || exit 1
