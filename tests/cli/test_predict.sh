#!/bin/sh
# mendel predict: files, folders and lists; its probabilities are those of the logits that eval
# writes; a damaged file is told and the others go on.
# usage: test_predict.sh MENDEL
set -u
. "$(dirname "$0")/../expect.sh"
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
corpus=$(cd "$(dirname "$0")/../fuzz/corpus" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/mendel-predict-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export XDG_CACHE_HOME="$dir/cache"

# Two classes of the corpus's own pictures, in one size, so that nothing is resized.
for class in "a cat" dog; do
    mkdir -p "photos/train/$class" "photos/test/$class"
done
for side in train test; do
    cp "$corpus/png/rgb.png" "photos/$side/a cat/1.png"
    cp "$corpus/jpeg/rgb.jpg" "photos/$side/dog/2.jpg"
done
small='--set model.kind=mlp --set model.hidden=8 --set data.image_size=16 --threads 1'
# shellcheck disable=SC2086 # a list of words
{
expect 0 train $small --data folder:photos --set data.validation_fraction=0 --set train.epochs=2 \
    --set train.batch=2 --out r
}
model=r/final.safetensors

# One picture: its name, its class, its probability.
expect 0 predict $model "photos/test/a cat/1.png"
says out 'photos/test/a cat/1.png  '
expect 0 predict $model photos --csv --top 2
says out 'file,class_1,probability_1,class_2,probability_2'
[ "$(wc -l <out)" -eq 5 ] || fail "five lines are expected: $(cat out)"
says out '"a cat"'
# All probabilities of a picture add up to 1.
tail -n +2 out | sed 's/"[^"]*"/x/g' | awk -F, '{ if (($3 + $5 - 1) ^ 2 > 1e-8) exit 1 }' ||
    fail "probabilities do not add up: $(cat out)"

# The logits of eval say the same: the CSV of both, in one order.
expect 0 eval $model --data folder:photos --threads 1 --predictions p.csv
expect 0 predict $model photos/test --csv --top 2 --threads 1
python3 - out p.csv <<'PY' || fail "predict and eval differ: $(cat out p.csv)"
import csv, math, sys
predicted = list(csv.DictReader(open(sys.argv[1])))
rows = list(csv.DictReader(open(sys.argv[2])))
assert len(predicted) == len(rows) == 2
for mine, row in zip(predicted, rows):
    logits = [float(row["logit_0"]), float(row["logit_1"])]
    top = max(logits)
    parts = [math.exp(x - top) for x in logits]
    probability = max(parts) / sum(parts)
    assert mine["class_1"] == row["predicted_name"], (mine, row)
    assert abs(float(mine["probability_1"]) - probability) < 2e-2, (mine, probability)
PY

# Images are prepared as eval prepares them, whatever their size is and the checkpoint says: smaller
# than the model's input (stretched in numbers, padded, cut) and larger (in bytes).
cat >pictures.py <<'PY'
import os, random, struct, sys, zlib
folder, width, height = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random.seed(1)
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
for side in "train", "test":
    for name in "dark", "light":
        os.makedirs(os.path.join(folder, side, name))
        for i in range(3):
            low, high = (0, 160) if name == "dark" else (96, 255)
            rows = b"".join(b"\0" + bytes(random.randint(low, high) for _ in range(3 * width)) for _ in range(height))
            with open(os.path.join(folder, side, name, f"{i}.png"), "wb") as file:
                file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                           chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
PY
cat >same.py <<'PY'
import csv, math, sys
predicted, rows = (list(csv.DictReader(open(name))) for name in sys.argv[1:])
assert len(predicted) == len(rows) == 6
for mine, row in zip(predicted, rows):
    logits = [float(row["logit_0"]), float(row["logit_1"])]
    probability = 1 / sum(math.exp(x - max(logits)) for x in logits)
    assert mine["class_1"] == row["predicted_name"], (mine, row)
    assert abs(float(mine["probability_1"]) - probability) < 1e-5, (mine, probability)
PY
python3 pictures.py smaller 11 14 && python3 pictures.py larger 37 26 || fail 'no pictures'
for size in smaller larger; do
    for resize in stretch pad crop; do
        # shellcheck disable=SC2086 # a list of words
        expect 0 train $small --data folder:$size --set data.resize=$resize --set data.validation_fraction=0 \
            --set train.epochs=2 --set train.batch=3 --out $size-$resize
        expect 0 eval $size-$resize/final.safetensors --data folder:$size --threads 1 --predictions p.csv
        expect 0 predict $size-$resize/final.safetensors $size/test --csv --threads 1
        python3 same.py out p.csv || fail "predict and eval differ: $size, $resize"
    done
done

# A list on the standard input, JSON lines, batches smaller than the list.
ls photos/test/*/* >list
"$mendel" predict $model - --json --batch 1 <list >out 2>err || fail "a list: $(cat err)"
[ "$(grep -c '^{"file":"photos' out)" -eq 2 ] || fail "two objects are expected: $(cat out)"

# A damaged file, one that is missing and one that is no picture: told, the rest goes on, exit 3.
head -c 40 "$corpus/png/rgb.png" >cut.png
echo text >text.jpg
expect 3 predict $model cut.png photos/test/dog/2.jpg missing.jpg text.jpg
says out 'photos/test/dog/2.jpg'
says err 'cut.png'
says err 'missing.jpg'
says err 'text.jpg'
says err '3 of 4 files could not be read'
mkdir empty
expect 3 predict $model empty
says err 'there are no images'
expect 2 predict $model
expect 3 predict missing.safetensors cut.png

# A name of any bytes is escaped once.
printf 'caf\351.png\n' | "$mendel" predict $model - >out 2>err
says err 'caf\xE9.png'

# Names of classes that are no plain text: shown on one line each, and in JSON escaped once.
odd=$(printf 'caf\351') lines=$(printf 'two\nlines')
for side in train test; do
    for name in "$odd" "$lines"; do
        mkdir -p "odd/$side/$name"
        cp "$corpus/png/rgb.png" "odd/$side/$name/"
    done
done
expect 0 train --data folder:odd --set data.image_size=16 --set model.kind=mlp --set train.epochs=1 \
    --set train.batch=2 --out odd-run
expect 0 predict odd-run/final.safetensors "$corpus/png/rgb.png" --top 2
[ "$(wc -l <out)" -eq 1 ] || fail "one line is expected: $(cat out)"
says out 'caf\xE9'
says out 'two\x0Alines'
expect 0 predict odd-run/final.safetensors "$corpus/png/rgb.png" --top 2 --json
says out '"name":"caf\\xE9"'
says out '"name":"two\nlines"'
[ $failures -eq 0 ]
