#!/bin/sh
# `mendel merge` on checkpoints of networks that Mendel does not know, from the command line: values,
# types, refusals, several files, kills and --resume.
set -eu
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
python=$2
folder=$(mktemp -d "${TMPDIR:-/tmp}/tensors.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() {
    echo "FAILED: $*" >&2
    [ ! -f err ] || sed 's/^/  err: /' err >&2
    exit 1
}

# expect CODE TEXT ARGUMENTS: the exit code, and a text on the standard error
expect() {
    code=$1 text=$2
    shift 2
    got=0
    "$mendel" merge "$@" >out 2>err || got=$?
    [ "$got" = "$code" ] || fail "exit $got, expected $code: mendel merge $*"
    grep -qF -- "$text" err out || fail "\"$text\" is not said: mendel merge $*"
}

# Files by hand, and looking into them, without NumPy.
cat >st.py <<'END'
import json, struct, sys
CODES = {"F32": "f", "F64": "d", "I64": "q", "F16": "e"}
def write(path, tensors, metadata=None):
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, (kind, shape, values) in tensors.items():
        if kind == "BF16":
            part = b"".join(struct.pack("<f", v)[2:] for v in values)
        else:
            part = struct.pack(f"<{len(values)}{CODES[kind]}", *values)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
def read(path):
    raw = open(path, "rb").read()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + size])
    out = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        part = raw[8 + size + begin:8 + size + end]
        if entry["dtype"] == "BF16":
            values = [struct.unpack("<f", b"\0\0" + part[i:i + 2])[0] for i in range(0, len(part), 2)]
        else:
            code = CODES[entry["dtype"]]
            values = list(struct.unpack(f"<{len(part) // struct.calcsize(code)}{code}", part))
        out[name] = (entry["dtype"], entry["shape"], values)
    return out, header.get("__metadata__", {})
END

"$python" - <<'END'
from st import write
ids = ("I64", [3], [0, 1, 2])
def model(path, w, b, **more):
    write(path, {"w": ("F32", [2, 2], w), "b": ("F32", [2], b), "ids": ids,
                 "bn.running_var": ("F32", [1], [b[0] + 1]),
                 "bn.num_batches_tracked": ("I64", [], [int(b[0])]), **more}, {"format": "pt", "author": "me"})
model("base.st", [0, 0, 0, 0], [0, 0])
model("a.st", [3, -1, 0.5, 0.25], [1, 2])
model("b.st", [-2, -4, 0, 1], [3, 4])
model("other.st", [1, 1, 1, 1], [3, 4], extra=("F32", [1], [5]))
model("nan.st", [1, 1, float("nan"), 1], [3, 4])
model("big.st", [60000, 1, 1, 1], [1, 2])
for kind in "F16", "BF16", "F64":
    write(f"{kind}.st", {"w": (kind, [4], [1, -2, 0.5, 3])})
write("F32.st", {"w": ("F32", [4], [2, 2, 0.25, -1])})
write("head.st", {"w": ("F32", [3], [1, 2, 3])})
write("ids.st", {"w": ("F32", [4], [2, 2, 0.25, -1]), "ids": ("I64", [1], [7])})
write("ids2.st", {"w": ("F32", [4], [2, 2, 0.25, -1]), "ids": ("I64", [1], [8])})
END

# check FILE TENSOR TYPE VALUE...
check() {
    "$python" - "$@" <<'END' || fail "$*"
import sys
from st import read
path, name, kind, *values = sys.argv[1:]
tensors, metadata = read(path)
assert tensors[name][0] == kind, tensors[name]
want = [float(v) for v in values]
got = tensors[name][2]
assert len(got) == len(want) and all(abs(a - b) <= 1e-6 * max(1, abs(b)) for a, b in zip(got, want)), got
assert metadata.get("format") == "pt", metadata
END
}

expect 0 "tensor by tensor: its network is none" --method linear --set merge.weights=1,3 a.st b.st -o o.st
check o.st w F32 -0.75 -3.25 0.125 0.8125
check o.st ids I64 0 1 2
check o.st bn.num_batches_tracked I64 1
grep -q "weights: \[1, 3\]" o.st.yaml || fail "the record has no weights"
# TIES of the whole (as the paper) and of each tensor: by hand, see ties_by_hand in test_methods.c
expect 0 "" --method ties --base base.st --density 0.5 a.st b.st -o o.st
check o.st w F32 3 -2.5 0 0
check o.st b F32 0 3
check o.st bn.running_var F32 3
expect 0 "" --method ties --base base.st --density 0.5 a.st b.st -o o.st --set merge.scope=whole
check o.st w F32 3 -2.5 0 0
# 3 of six: 3 2 of a, with -1 and 1, which are equal at the border; -4 3 4 of b
check o.st b F32 2 3
# Values by name.
expect 0 "" --method linear a.st b.st -o o.st --set "merge.parameters=w weights=1,0; b weights=0,1"
check o.st w F32 3 -1 0.5 0.25
check o.st b F32 3 4
expect 2 "is the name of no tensor" --method linear a.st b.st -o o.st --set "merge.parameters=v weights=1,0"
expect 2 "expected one number, or 2" --method linear a.st b.st -o o.st --set merge.weights=1,2,3
expect 2 "weights add up to 0" --method linear a.st b.st -o o.st --set merge.weights=1,-1

# LoRA: adapters are merged with adapters, matrix by matrix, and never with whole weights.
"$python" - <<'END'
from st import write
def adapter(path, a, b):
    write(path, {"base_model.model.w.lora_A.weight": ("F32", [1, 2], a), "base_model.model.w.lora_B.weight": ("F32", [2, 1], b)})
adapter("lora1.st", [1, 2], [3, 4])
adapter("lora2.st", [3, -2], [1, 0])
END
expect 0 "LoRA adapters: each matrix is merged by itself" --method linear lora1.st lora2.st -o o.st
check o.st base_model.model.w.lora_A.weight F32 2 0
check o.st base_model.model.w.lora_B.weight F32 2 2
expect 2 "lora1.st is a LoRA adapter, and base.st has whole weights" --method linear base.st lora1.st -o n.st
expect 2 "lora2.st is a LoRA adapter, and base.st has whole weights" --method ties --base base.st lora1.st lora2.st -o n.st

# Types, in and out.
expect 0 "" --method linear F16.st F32.st -o o.st
check o.st w F16 1.5 0 0.375 1
expect 0 "" --method linear BF16.st F32.st -o o.st
check o.st w BF16 1.5 0 0.375 1
expect 0 "" --method linear F64.st F32.st -o o.st
check o.st w F64 1.5 0 0.375 1
expect 0 "" --method linear F16.st F32.st -o o.st --set merge.dtype=f32
check o.st w F32 1.5 0 0.375 1
expect 4 "o.st: w[0,0] is 120000; the merged value is more than F16 holds" --method task-arithmetic \
    --base base.st big.st -o o.st --scale 2 --set merge.dtype=f16

# What does not fit.
expect 4 "nan.st: w[1,0] is nan" --method linear a.st nan.st -o n.st
[ ! -e n.st ] && [ ! -e n.st.mendel-tmp ] && [ ! -e n.st.mendel-merge ] || fail "something of n.st is left"
expect 3 "extra is not in all checkpoints" --method linear a.st other.st -o n.st
expect 0 "1 did not fit together and were copied" --method linear a.st other.st -o n.st --set merge.unmatched=copy
check n.st extra F32 5
expect 0 "1 did not fit together and were left out" --method linear a.st other.st -o n.st \
    --set merge.unmatched=leave_out
expect 3 "w has different shapes" --method linear F32.st head.st -o n.st
expect 2 "tensor ids: whole numbers (I64) that differ" --method linear ids.st ids2.st -o n.st
expect 0 "" --method linear --base ids2.st ids.st ids2.st -o n.st
check n.st ids I64 8
expect 2 "is an input" --method linear a.st b.st -o b.st
expect 2 "--base: expected" --method ties a.st b.st -o n.st
expect 2 "two checkpoints" --method nuslerp a.st b.st base.st -o n.st
expect 3 "greedy runs the networks on images" --method greedy --data digits a.st b.st -o n.st
expect 5 "run.memory_limit" --method linear a.st b.st -o n.st --memory-limit 1MB

# Weights of a network that Mendel knows, in a file that does not say so.
"$python" - <<'END'
from st import write
write("bare.st", {"fc1.weight": ("F32", [2, 64], [0.5] * 128), "fc1.bias": ("F32", [2], [1, 2]),
                  "fc2.weight": ("F32", [10, 2], [1.5] * 20), "fc2.bias": ("F32", [10], [3] * 10)}, {"format": "pt"})
END
expect 0 "" --method average bare.st bare.st -o o.st --set model.kind=mlp --set model.hidden=2 --set data.source=digits \
    --set data.size=native
check o.st fc1.bias F32 1 2

# Several files.
expect 0 "" --method linear a.st b.st -o parts.safetensors --shard-size 16
expect 0 "" --method linear parts.safetensors.index.json b.st -o o.st --set merge.weights=1,0
check o.st w F32 0.5 -2.5 0.25 0.625

# Larger ones: the same bytes by any number of threads and any memory; a kill, and --resume.
"$python" - <<'END'
import random
from st import write
for seed, path in enumerate(["x.st", "y.st", "z.st"]):
    r = random.Random(seed)
    write(path, {f"t{i}": ("F32", [40, 500 + i], [r.gauss(0, 1) for _ in range(40 * (500 + i))]) for i in range(12)})
END
for method in "ties --base z.st" "ties --base z.st --set merge.scope=whole" "slerp" "dare --base z.st" \
    "della --base z.st --set merge.rescale=norm" "sce --base z.st" "breadcrumbs --base z.st" \
    "model-stock --base z.st" "slerp --set merge.scope=whole" "karcher --set merge.scope=row"; do
    # shellcheck disable=SC2086
    "$mendel" merge --method $method x.st y.st -o one.st --threads 1 >out 2>err || fail "$method"
    # shellcheck disable=SC2086
    "$mendel" merge --method $method x.st y.st -o two.st --threads 3 --memory-limit 24MB >out 2>err || fail "$method"
    cmp one.st two.st || fail "$method: threads and memory change the result"
done
grep -q "at most [12][0-9.]* MiB of memory are planned" err || fail "the memory is not told"
for delay in 0.05 0.1 0.2; do
    "$mendel" merge --method della --base z.st x.st y.st -o killed.st --threads 1 >out 2>err &
    victim=$!
    sleep $delay
    kill -9 $victim 2>/dev/null || true
    wait $victim 2>/dev/null || true
    "$mendel" merge --method della --base z.st x.st y.st -o killed.st --threads 2 --resume >out 2>err ||
        fail "--resume after $delay s"
    "$mendel" merge --method della --base z.st x.st y.st -o whole.st >out 2>err || fail "della"
    cmp killed.st whole.st || fail "the resumed merge has other bytes"
    [ ! -e killed.st.mendel-tmp ] && [ ! -e killed.st.mendel-merge ] || fail "something of killed.st is left"
    rm -f killed.st
done
echo "all right"
