#!/bin/sh
# Time and peak resident memory of merging a pair of checkpoints, by mendel and by mergekit, in one
# run.  The pair is made on the spot: a small language model's tensors, random, in the type given.
# usage: PYTHON=python-with-mergekit sh merge_pair.sh MENDEL [MEGABYTES [f32|bf16 [METHOD [FOLDER]]]]
# Default: 4000 f32 slerp, a folder under $TMPDIR.  METHOD: linear, slerp, ties, task-arithmetic.
# It needs five times MEGABYTES of disk.  Exits 77 where PYTHON has no mergekit.
set -eu
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
size=${2:-4000} type=${3:-f32} method=${4:-slerp} folder=${5:-$(mktemp -d "${TMPDIR:-/tmp}/merge.XXXXXX")}
python=${PYTHON:-python3}
"$python" -c "import torch, safetensors, transformers, mergekit" 2>/dev/null || {
    echo "skipped: $python has no mergekit"
    exit 77
}
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder"
cd "$folder"

# Checkpoints that transformers and mergekit take for a Llama: two parents, and a base.
"$python" - "$size" "$type" <<'END'
import json, os, sys
import torch
from safetensors.torch import save_file
size, kind = int(sys.argv[1]) * 10**6, {"f32": torch.float32, "bf16": torch.bfloat16}[sys.argv[2]]
width, inner, vocabulary = 1024, 2816, 8000
of_layer = 4 * width * width + 3 * width * inner + 2 * width
layers = max(1, (size // kind.itemsize - 2 * vocabulary * width) // of_layer)
for seed, name in enumerate(["a", "b", "base"]):
    random = torch.Generator().manual_seed(seed)
    def tensor(*shape):
        return (torch.randn(*shape, generator=random) * 0.02).to(kind)
    tensors = {"model.embed_tokens.weight": tensor(vocabulary, width), "model.norm.weight": tensor(width),
               "lm_head.weight": tensor(vocabulary, width)}
    for i in range(layers):
        at = f"model.layers.{i}."
        for part in "qkvo":
            tensors[f"{at}self_attn.{part}_proj.weight"] = tensor(width, width)
        for part in "gate", "up":
            tensors[f"{at}mlp.{part}_proj.weight"] = tensor(inner, width)
        tensors[f"{at}mlp.down_proj.weight"] = tensor(width, inner)
        tensors[f"{at}input_layernorm.weight"] = tensor(width)
        tensors[f"{at}post_attention_layernorm.weight"] = tensor(width)
    os.makedirs(name)
    save_file(tensors, f"{name}/model.safetensors", metadata={"format": "pt"})
    with open(f"{name}/config.json", "w") as file:
        json.dump({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": width,
                   "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": 16,
                   "num_key_value_heads": 16, "vocab_size": vocabulary, "tie_word_embeddings": False,
                   "torch_dtype": {"f32": "float32", "bf16": "bfloat16"}[sys.argv[2]]}, file)
END
ls -l a/model.safetensors | awk '{printf "%.2f GB each, ", $5 / 1e9}'
echo "$type, $method, $(nproc) processors, load $(cut -d' ' -f1 /proc/loadavg)"

case $method in
slerp) own="slerp --set merge.scope=tensor --ratio 0.5" base="" their="base_model: {model: ./a}
models: [{model: ./a}, {model: ./b}]
parameters: {t: 0.5}" ;;
linear) own="linear --set merge.weights=0.5,0.5" base="" their="models:
- {model: ./a, parameters: {weight: 0.5}}
- {model: ./b, parameters: {weight: 0.5}}" ;;
ties) own="ties --density 0.5 --set merge.weights=0.5,0.5" base="--base base/model.safetensors" their="base_model: {model: ./base}
models:
- {model: ./a, parameters: {weight: 0.5, density: 0.5}}
- {model: ./b, parameters: {weight: 0.5, density: 0.5}}" ;;
task-arithmetic) own="task-arithmetic --set merge.weights=0.5,0.5" base="--base base/model.safetensors" their="base_model: {model: ./base}
models:
- {model: ./a, parameters: {weight: 0.5}}
- {model: ./b, parameters: {weight: 0.5}}" ;;
*) echo "no method $method here" >&2; exit 2 ;;
esac
their_method=$(echo "$method" | tr - _)
printf 'merge_method: %s\ndtype: %s\n%s\n' "$their_method" \
    "$([ "$type" = f32 ] && echo float32 || echo bfloat16)" "$their" >mergekit.yaml

# measure NAME COMMAND...: seconds, and the peak of resident memory
measure() {
    name=$1
    shift
    sync
    "$python" - "$name" "$@" <<'END'
import resource, subprocess, sys, time
begin = time.monotonic()
with open(sys.argv[1] + ".log", "w") as log:
    code = subprocess.call(sys.argv[2:], stdout=log, stderr=log)
seconds = time.monotonic() - begin
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(f"{sys.argv[1]:10} {seconds:8.1f} s {peak:9.0f} MiB" + ("" if code == 0 else f"  FAILED, exit {code}"))
if code:
    print(open(sys.argv[1] + ".log").read()[-2000:])
END
}
mergekit=$(dirname "$(command -v "$python")")/mergekit-yaml
# shellcheck disable=SC2086
measure mendel "$mendel" merge --method $own $base a/model.safetensors b/model.safetensors -o mendel.safetensors
measure mergekit "$mergekit" mergekit.yaml mergekit-out --lazy-unpickle --low-cpu-memory
# shellcheck disable=SC2086
measure mendel "$mendel" merge --method $own $base a/model.safetensors b/model.safetensors -o mendel.safetensors
"$python" - <<'END'
import glob
from safetensors import safe_open
worst, count = 0.0, 0
with safe_open("mendel.safetensors", "pt") as ours:
    for path in glob.glob("mergekit-out/*.safetensors"):
        with safe_open(path, "pt") as theirs:
            for name in theirs.keys():
                difference = (ours.get_tensor(name).float() - theirs.get_tensor(name).float()).abs()
                worst, count = max(worst, difference.max().item()), count + (difference > 1e-5).sum().item()
print(f"largest difference: {worst:.2e}; {count} elements differ by more than 1e-5 (equal magnitudes at the border of TIES)")
END
