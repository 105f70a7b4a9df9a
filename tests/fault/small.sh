# The smallest runs that pass through everything: options of a training, and an experiment's file.
small='--set model.kind=mlp --set data.size=native --set model.hidden=8 --threads 1'
small="$small --data synthetic:100"
cat >tiny.yaml <<'YAML'
data: {source: "synthetic:60", image_size: 8, validation_fraction: 0.25}
model: {width: 0.25, depth: 0.2}
trm: {dim: 8}
train: {epochs: 1, batch: 16}
merge: {evaluations: 3, batch: 2}
experiment: {epochs_merged: 0, latency_runs: 1, corrupt_images: 0, tta_images: 0}
run: {threads: 1}
YAML
