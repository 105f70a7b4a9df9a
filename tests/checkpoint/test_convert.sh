#!/bin/sh
# mendel convert as its users have it: kinds of files, types, names, metadata; what is refused, and
# that then nothing is written.  Values of tensors: test_torch.c, test_convert.c, and
# check_lite0.py for the published network.
# usage: test_convert.sh MENDEL
set -u
corpus=$(cd "$(dirname "$0")/../fuzz/corpus" && pwd)
. "$(dirname "$0")/../expect.sh"
. "$(dirname "$0")/../scratch.sh"

quietly train --data digits --set data.limit=64 --set train.max_steps=1 --set train.batch=16 --threads 1 \
    --set model.kind=mlp --set model.hidden=8 --out a
A=a/final.safetensors

# ---- what is taken -------------------------------------------------------------------------------
expect 0 convert "$corpus/torch/plain.pt" plain.safetensors
says out 'plain.safetensors is written: 11 tensors'
expect 0 convert "$corpus/torch/older.pt" older.safetensors
expect 0 convert "$corpus/torch/nested.pt" nested.safetensors --json
says out '"taken":"state_dict"'
expect 0 convert $A copy.safetensors
grep -q mendel.config copy.safetensors || fail 'the metadata is gone'
quietly eval copy.safetensors --data digits --set data.limit=64
# Halves of the bytes, and back; a copy of the copy is the copy.
expect 0 convert $A half.safetensors --dtype bf16
[ "$(wc -c <half.safetensors)" -lt $(($(wc -c <$A) * 6 / 10)) ] || fail 'bf16 is not smaller'
expect 0 convert half.safetensors wide.safetensors --dtype f32
expect 0 convert wide.safetensors again.safetensors --dtype bf16
cmp -s half.safetensors again.safetensors || fail 'bf16, f32, bf16 is not bf16'
quietly eval half.safetensors --data digits --set data.limit=64
# Several files: the index, or its folder.
mkdir shards && cp $A shards/one.safetensors
names=$(grep -ao '"[a-z_0-9.]*":{"dtype"' $A | sed 's/:{"dtype"/: "one.safetensors"/' | paste -sd, -)
printf '{"metadata": {}, "weight_map": {%s}}' "$names" >shards/model.safetensors.index.json
expect 0 convert shards whole.safetensors
cmp -s whole.safetensors copy.safetensors || fail 'several files give another one'
quietly eval shards --data digits --set data.limit=64
# A file through a pipe, as before.
quietly eval /dev/stdin --data digits --set data.limit=64 <$A

# ---- what is refused -----------------------------------------------------------------------------
expect 2 convert $A
expect 2 convert $A x.safetensors --dtype int8
says err 'f32, f16 or bf16'
expect 2 convert $A x.safetensors --preset resnet
says err efficientnet_lite0_timm
expect 3 convert $A x.safetensors --preset efficientnet_lite0
expect 2 convert $A $A
expect 2 convert shards shards/one.safetensors --overwrite
expect 2 convert $A a/metrics.csv
says err --overwrite
expect 3 convert missing.pt x.safetensors
expect 3 convert "$corpus/torch/script.pt" x.safetensors
says err TorchScript
expect 2 convert "$corpus/torch/system.pt" x.safetensors
says err 'posix.system'
expect 3 convert "$corpus/torch/cut.pt" x.safetensors
[ ! -e x.safetensors ] || fail 'a refused conversion wrote a file'
expect 3 convert $A missing/x.safetensors
exit $((failures > 0))
