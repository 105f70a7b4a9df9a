#!/bin/sh
# Time and peak resident memory of merging a pair of checkpoints, by mendel and by mergekit, in one
# run.  The pair is made on the spot: a small language model's tensors, random, in the type given.
# usage: PYTHON=python-with-mergekit sh merge_pair.sh MENDEL [MEGABYTES [f32|bf16 [METHOD [FOLDER]]]]
# Default: 4000 f32 slerp, a folder under $TMPDIR.  METHOD: linear, slerp, ties, task-arithmetic, and
# dare-linear and dare-ties, whose draws differ, so that no values are compared.
# LAYOUT=file (default); shards: each in files of a quarter of the size with an index, tied embeddings,
# and so is what is written; lora: an adapter of that size for each (linear; mergekit has no such).
# It needs five times MEGABYTES of disk.  Exits 77 where PYTHON has no mergekit.  Exit code 1: mendel
# failed, took 500 MB of resident memory or more, or wrote a tensor that mergekit did not.
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
layout=${LAYOUT:-file}
"$python" - "$size" "$type" "$layout" <<'END'
import json, os, sys
import torch
from safetensors.torch import save_file
layout = sys.argv[3]
size, kind = int(sys.argv[1]) * 10**6, {"f32": torch.float32, "bf16": torch.bfloat16}[sys.argv[2]]
width, inner, vocabulary = 1024, 2816, 8000
of_layer = 4 * width * width + 3 * width * inner + 2 * width
layers = max(1, (size // kind.itemsize - 2 * vocabulary * width) // of_layer)
rank = 64
for seed, name in enumerate(["a", "b", "base"]):
    random = torch.Generator().manual_seed(seed)
    def tensor(*shape):
        return (torch.randn(*shape, generator=random) * 0.02).to(kind)
    os.makedirs(name)
    if layout == "lora":
        pairs = max(1, size // kind.itemsize // (2 * rank * width))
        tensors = {f"base_model.model.model.layers.{i // 4}.self_attn.{'qkvo'[i % 4]}_proj.lora_{part}.weight":
                   tensor(rank, width) if part == "A" else tensor(width, rank) for i in range(pairs) for part in "AB"}
        save_file(tensors, f"{name}/adapter_model.safetensors", metadata={"format": "pt"})
        with open(f"{name}/adapter_config.json", "w") as file:
            json.dump({"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank}, file)
        continue
    tensors = {"model.embed_tokens.weight": tensor(vocabulary, width), "model.norm.weight": tensor(width)}
    if layout == "file":
        tensors["lm_head.weight"] = tensor(vocabulary, width)
    for i in range(layers):
        at = f"model.layers.{i}."
        for part in "qkvo":
            tensors[f"{at}self_attn.{part}_proj.weight"] = tensor(width, width)
        for part in "gate", "up":
            tensors[f"{at}mlp.{part}_proj.weight"] = tensor(inner, width)
        tensors[f"{at}mlp.down_proj.weight"] = tensor(width, inner)
        tensors[f"{at}input_layernorm.weight"] = tensor(width)
        tensors[f"{at}post_attention_layernorm.weight"] = tensor(width)
    if layout == "file":
        save_file(tensors, f"{name}/model.safetensors", metadata={"format": "pt"})
    else:
        names = sorted(tensors)
        parts = [names[i * len(names) // 4:(i + 1) * len(names) // 4] for i in range(4)]
        place = {key: f"model-{i + 1:05}-of-00004.safetensors" for i, part in enumerate(parts) for key in part}
        for part in parts:
            save_file({key: tensors[key] for key in part}, f"{name}/{place[part[0]]}", metadata={"format": "pt"})
        with open(f"{name}/model.safetensors.index.json", "w") as file:
            json.dump({"metadata": {"total_size": sum(t.numel() * t.element_size() for t in tensors.values())},
                       "weight_map": place}, file)
    with open(f"{name}/config.json", "w") as file:
        json.dump({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": width,
                   "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": 16,
                   "num_key_value_heads": 16, "vocab_size": vocabulary, "tie_word_embeddings": layout == "shards",
                   "torch_dtype": {"f32": "float32", "bf16": "bfloat16"}[sys.argv[2]]}, file)
END
du -sb a | awk '{printf "%.2f GB each, ", $1 / 1e9}'
echo "$type, $method, $layout, $(nproc) processors, load $(cut -d' ' -f1 /proc/loadavg)"
case $layout in
file) in=model.safetensors more= ;;
shards) in=model.safetensors.index.json more="--shard-size $((size / 4))MB" ;;
lora) in=adapter_model.safetensors more= ;;
*) echo "no layout $layout here" >&2; exit 2 ;;
esac

case $method in
slerp) own="slerp --set merge.scope=tensor --ratio 0.5" base="" their="base_model: {model: ./a}
models: [{model: ./a}, {model: ./b}]
parameters: {t: 0.5}" ;;
linear) own="linear --set merge.weights=0.5,0.5" base="" their="models:
- {model: ./a, parameters: {weight: 0.5}}
- {model: ./b, parameters: {weight: 0.5}}" ;;
ties) own="ties --density 0.5 --set merge.weights=0.5,0.5" base="--base base/$in" their="base_model: {model: ./base}
models:
- {model: ./a, parameters: {weight: 0.5, density: 0.5}}
- {model: ./b, parameters: {weight: 0.5, density: 0.5}}" ;;
task-arithmetic) own="task-arithmetic --set merge.weights=0.5,0.5" base="--base base/$in" their="base_model: {model: ./base}
models:
- {model: ./a, parameters: {weight: 0.5}}
- {model: ./b, parameters: {weight: 0.5}}" ;;
dare-linear | dare-ties) own="$method --density 0.5 --set merge.weights=0.5,0.5" base="--base base/$in" their="base_model: {model: ./base}
models:
- {model: ./a, parameters: {weight: 0.5, density: 0.5}}
- {model: ./b, parameters: {weight: 0.5, density: 0.5}}" ;;
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
words = f"{sys.argv[1]:10} {seconds:8.1f} s {peak:9.0f} MiB"
words += "" if code == 0 else f"  FAILED, exit {code}"
words += "  too much: 500 MB are allowed" if sys.argv[1] == "mendel" and peak * 2**20 >= 500e6 else ""
print(words)
with open("result", "a") as result:
    result.write(words + "\n")
if code:
    print(open(sys.argv[1] + ".log").read()[-2000:])
END
}
mergekit=$(dirname "$(command -v "$python")")/mergekit-yaml
# shellcheck disable=SC2086
ours() {
    measure mendel "$mendel" merge --method $own $base $more "a/$in" "b/$in" -o mendel.safetensors --overwrite
}
ours
if [ "$layout" = lora ]; then
    grep -q "FAILED" result && exit 1
    exit 0
fi
measure mergekit "$mergekit" mergekit.yaml mergekit-out --lazy-unpickle --low-cpu-memory
ours
grep -q "mendel.*\(FAILED\|too much\)" result && exit 1
case $method in dare-*) exit 0 ;; esac
"$python" - "$type" <<'END'
import glob, sys
from safetensors import safe_open
worst, count, names, compared = 0.0, 0, {}, 0
for path in glob.glob("mendel*.safetensors"):
    with safe_open(path, "pt") as file:
        names.update({name: path for name in file.keys()})
for path in glob.glob("mergekit-out/*.safetensors"):
    with safe_open(path, "pt") as theirs:
        for name in set(theirs.keys()) & names.keys():
            with safe_open(names[name], "pt") as ours:
                difference = (ours.get_tensor(name).float() - theirs.get_tensor(name).float()).abs()
            worst, count, compared = max(worst, difference.max().item()), count + (difference > 1e-5).sum().item(), compared + 1
print(f"largest difference: {worst:.2e} of {compared} of {len(names)} tensors; {count} elements differ by more "
      "than 1e-5" + (", since mergekit computes in bfloat16" if sys.argv[1] == "bf16" else "") +
      " (or equal magnitudes at the border of TIES)")
sys.exit(compared < len(names))
END
