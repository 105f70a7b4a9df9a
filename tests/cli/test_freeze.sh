#!/bin/sh
# train.freeze: what is frozen keeps its bytes, statistics and all; the rest is trained as it would be
# beside it; the plan needs less; a frozen training resumes exactly.
# usage: test_freeze.sh MENDEL
set -u
. "$(dirname "$0")/../expect.sh"
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
dir=$(mktemp -d "${TMPDIR:-/tmp}/mendel-freeze-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export XDG_CACHE_HOME="$dir/cache"

# same A B [PREFIX...]: which tensors of two checkpoints have the same bytes: exactly those that begin
# with one of the prefixes.
same() {
    python3 - "$@" <<'PY' || fail "not the tensors that were expected: $*"
import json, struct, sys
def load(path):
    data = open(path, "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8:8 + n])
    return {k: data[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]]
            for k, v in head.items() if k != "__metadata__" and not k.endswith("tracked")}
a, b, prefixes = load(sys.argv[1]), load(sys.argv[2]), tuple(sys.argv[3:])
wrong = [k for k in a if (a[k] == b[k]) != (k.startswith(prefixes) if prefixes else False)]
assert a and a.keys() == b.keys()
assert not wrong, wrong
PY
}

mlp='--data digits --set data.limit=200 --set model.kind=mlp --set data.size=native --threads 1'
net='--data digits --set data.limit=100 --set model.width=0.25 --set model.depth=0.2 --threads 1'
net="$net --set data.image_size=16"
# shellcheck disable=SC2086 # lists of words
{
expect 0 train $mlp --set train.epochs=1 --out m
# One step from the same weights: the second layer goes where it goes without the first one frozen.
step='--set train.init=m/final.safetensors --set train.max_steps=1 --set train.epochs=9'
expect 0 train $mlp $step --out free
expect 0 train $mlp $step --set train.freeze=fc1 --out half
same m/final.safetensors half/final.safetensors fc1
same free/final.safetensors half/final.safetensors fc2

# Weights, and the statistics of BatchNorms behind which nothing is trained.
expect 0 train $net --set train.epochs=1 --out n
start='--set train.init=n/final.safetensors --set train.epochs=2'
expect 0 train $net $start --set 'train.freeze=all,!classifier' --out head
same n/final.safetensors head/final.safetensors conv_ blocks bn
expect 0 train $net $start --set 'train.freeze=conv_stem,bn1,blocks.0,blocks.1' --out top
same n/final.safetensors top/final.safetensors conv_stem bn1 blocks.0 blocks.1
# One in the middle keeps its weights; its BatchNorms see batches, as those around it do.
expect 0 train $net $start --set 'train.freeze=blocks.3.0.conv_*' --out middle
same n/final.safetensors middle/final.safetensors blocks.3.0.conv_

# It needs less memory, and less than that where more is frozen.
total() {
    "$mendel" plan $net "$@" --json | sed 's/.*"total":\([0-9]*\),.*/\1/'
}
# number KEY: of the JSON in out
number() {
    sed "s/.*\"$1\":\([0-9]*\).*/\1/" out
}
# What is planned is what is allocated, to the byte.
for frozen in "" --set=train.freeze=conv_stem,bn1,blocks.0,blocks.1 '--set=train.freeze=all,!classifier'; do
    expect 0 plan $net $frozen --json
    planned=$(number total)
    expect 0 train $net $frozen --set train.epochs=1 --out planned --overwrite --json
    [ "$planned" -eq "$(number allocated_bytes)" ] ||
        fail "planned $planned bytes, allocated $(number allocated_bytes): $frozen"
done
expect 0 plan $mlp --json
planned=$(number total)
expect 0 train $mlp --set train.epochs=1 --out planned --overwrite --json
[ "$planned" -eq "$(number allocated_bytes)" ] || fail "planned $planned bytes, allocated $(number allocated_bytes)"

whole=$(total) part=$(total --set train.freeze=blocks.0,blocks.1,conv_stem,bn1)
head=$(total --set 'train.freeze=all,!classifier')
[ "$head" -lt "$part" ] && [ "$part" -lt "$whole" ] || fail "memory: $whole, $part, $head"

# Stopped in between and resumed, also with EMA and clipping.
more='--set train.ema=0.9 --set train.clip=0.5 --set optim.kind=sgd --set optim.momentum=0.9 --set optim.lr=0.01'
expect 0 train $net $start $more --set train.freeze=blocks.0 --out whole
expect 0 train $net $start $more --set train.freeze=blocks.0 --set train.max_steps=1 --out cut
expect 0 train --resume --out cut --set train.max_steps=0
cmp whole/final.safetensors cut/final.safetensors || fail "final.safetensors differs after --resume"
cmp whole/ema.safetensors cut/ema.safetensors || fail "ema.safetensors differs after --resume"
# With other parameters frozen it would be another training.
expect 0 train $net $start $more --set train.freeze=blocks.0 --set train.max_steps=1 --out other
expect 2 train --resume --out other --set train.freeze=blocks.1
says err 'train.freeze'

# A rate of 0 is as good as frozen, but for the statistics; a factor of 1 changes nothing.
expect 0 train $net $start --set optim.lr_scale=blocks=0,conv_stem=0 --out still
same n/final.safetensors still/final.safetensors $(python3 - <<'PY'
import json, struct
data = open("n/final.safetensors", "rb").read()
n = struct.unpack("<Q", data[:8])[0]
print(*(k for k in json.loads(data[8:8 + n]) if k.startswith(("blocks", "conv_stem")) and "running" not in k))
PY
)
expect 0 train $net $start --out plain
expect 0 train $net $start --set optim.lr_scale=all=1 --out one
cmp plain/final.safetensors one/final.safetensors || fail "a factor of 1 changes a training"
expect 2 train $net --set optim.lr_scale=classifier --out x
says err 'expected NAME=FACTOR'
expect 2 train $net --set optim.lr_scale=nonsense=2 --out x
says err 'nonsense is the name of no parameter'

expect 2 train $net --set train.freeze=nonsense --out x
says err 'nonsense is the name of no parameter'
expect 2 train $net --set train.freeze=all --out x
says err 'leaves nothing to train'
}
exit "$failures"
