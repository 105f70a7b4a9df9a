#!/bin/sh
# Images a second of mendel predict on JPEG files, beside a loop over PyTorch's DataLoader with the same
# weights (timm's network, torchvision's resizing), and the largest difference of probabilities.
# usage: predict_speed.sh MENDEL [IMAGES [BATCH]]
# PYTHON (python3) needs torch, torchvision, timm, safetensors, Pillow, NumPy; without them: exit code 77.
set -u
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
images=${2:-1000}
batch=${3:-32}
python=${PYTHON:-python3}
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/mendel-predict-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export XDG_CACHE_HOME="$dir/cache"
"$python" -c 'import torch, torchvision, timm, safetensors' 2>/dev/null || exit 77
"$python" "$here/photographs.py" photos "$images" || exit $?
"$mendel" train --data folder:photos --set data.image_size=224 --set model.stem_stride=2 --set data.resize=crop \
    --set data.limit=64 --set 'data.mean=[0.485,0.456,0.406]' --set 'data.std=[0.229,0.224,0.225]' \
    --set 'train.freeze=all,!classifier' --set train.batch=16 --set train.epochs=1 --out run >out 2>err || { cat err; exit 1; }
"$mendel" predict run/final.safetensors photos/test --json >/dev/null 2>&1 # files and code are in memory
begun=$(date +%s.%N)
"$mendel" predict run/final.safetensors photos/train --top 2 --batch "$batch" --json >ours.jsonl || exit 1
ended=$(date +%s.%N)
awk "BEGIN { printf \"mendel predict   %7.1f images/s\\n\", $images / ($ended - $begun) }"
"$python" "$here/predict_peer.py" run/final.safetensors photos/train "$batch" ours.jsonl
