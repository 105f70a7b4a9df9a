#!/bin/sh
# mendel export as its users have it: what it says, what it refuses, and that a refused or failed
# export leaves what was there.  What the files hold: test_onnx.c, and check_onnx.py for values.
# usage: test_export.sh MENDEL
set -u
. "$(dirname "$0")/../expect.sh"
. "$(dirname "$0")/../scratch.sh"

small='--data digits --set data.limit=64 --set train.max_steps=1 --set train.batch=16 --threads 1'
quietly train $small --set model.kind=mlp --set model.hidden=8 --out a
quietly train $small --set model.kind=hybrid --set model.width=0.25 --set model.depth=0.34 \
    --set data.image_size=16 --set trm.dim=32 --set trm.n_sup=2 --out h
A=a/final.safetensors H=h/final.safetensors

expect 0 export $A -o a.onnx
says out 'a.onnx is written: ONNX, opset 13, 6 nodes'
says out 'normalised floats [N, 3, 32, 32]'
expect 0 export $A --with-preprocessing -o bytes.onnx
says out 'bytes [N, 32, 32, 3]'
expect 0 export $H --all-steps --steps 3 -o h.onnx --json
says out '"outputs":7'
says out '"model":"hybrid"'
says out '"preprocessing":false'
grep -q mendel.config h.onnx || fail 'the metadata is not in the file'
# The same checkpoint, the same bytes; what was there is replaced.
cp a.onnx first.onnx
expect 0 export $A -o a.onnx
cmp -s a.onnx first.onnx || fail 'two exports differ'
[ "$(wc -c <a.onnx)" -gt $((4 * (3072 * 8 + 8 + 80 + 10))) ] || fail 'the weights are not all there'

# ---- refused -------------------------------------------------------------------------------------
cp $A kept
ln -s $A soft.safetensors
for out in $A "$PWD/$A" soft.safetensors; do
    expect 2 export $A -o "$out"
    expect 2 export $A -o "$out" --overwrite
done
cmp -s $A kept || fail 'the checkpoint was written over'
expect 2 export $A -o a/metrics.csv
says err --overwrite
expect 2 export $A
expect 2 export -o x.onnx
expect 2 export $A $H -o x.onnx
expect 2 export $A --all-steps -o x.onnx
says err 'mlp has no supervision steps'
expect 2 export $A --steps 2 -o x.onnx
expect 2 export $H --steps 0 -o x.onnx
expect 2 export $H --steps 33 -o x.onnx
says err 33
expect 3 export missing.safetensors -o x.onnx
expect 3 export a.onnx -o x.onnx
expect 3 export $A -o missing/x.onnx
# Other weights than the model's; weights of nobody knows what images.
expect 3 export $A --set model.hidden=9 -o x.onnx
says err fc1.weight
# A value that cannot be computed with, the last one (in fc2.bias or another): named with its place.
python3 - $A nan.safetensors <<'PYTHON' 2>/dev/null && { expect 4 export nan.safetensors -o x.onnx; says err 'is nan'; }
import struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
data[-4:] = struct.pack("<f", float("nan"))
open(sys.argv[2], "wb").write(data)
PYTHON
head -c 3000 $A >cut.safetensors
expect 3 export cut.safetensors -o x.onnx
[ ! -e x.onnx ] || fail 'a refused export left a file'
# A full disk and a limit: said, and the older file stays.
[ ! -w /dev/full ] || expect 3 export $A -o /dev/full
(
    ulimit -f 2
    "$mendel" export $A -o a.onnx >out 2>err
)
[ $? -eq 3 ] || fail 'a limit on the size of files was not said'
cmp -s a.onnx first.onnx || fail 'a failed export changed the file that was there'
[ "$(ls | grep -c tmp)" -eq 0 ] || fail 'a failed export left a temporary file'
expect 0 export $A -o /dev/null
exit $((failures > 0))
