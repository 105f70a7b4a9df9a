#!/bin/sh
# Classes by their names, odd names, damaged images, changed images, given constants: from outside.
# usage: test_names.sh MENDEL
set -u
. "$(dirname "$0")/../expect.sh"
. "$(dirname "$0")/../scratch.sh"

small='--set model.kind=mlp --set data.size=native --set model.hidden=16 --set train.batch=8 --threads 1'

# 2x2 images of one colour.
head='iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAA'
image() {
    case $1 in
    RED) rest=EElEQVR4nGP4xcUFRAwQCgAhVgQ5/ucr5wAAAABJRU5ErkJggg== ;;
    GREEN) rest=EElEQVR4nGPg+sUFRAwQCgAdlgQ5XQwmfAAAAABJRU5ErkJggg== ;;
    BLUE) rest=EElEQVR4nGPg4voFRAwQCgAZ1gQ5E3IYMwAAAABJRU5ErkJggg== ;;
    *) rest=EElEQVR4nGP48EEEiBggFAA6LgfRNSyeGwAAAABJRU5ErkJggg== ;;
    esac
    mkdir -p "$(dirname "$2")"
    echo "$head$rest" | base64 -d >"$2"
}

# fill FOLDER CLASS COLOUR: ten images in train and in test
fill() {
    for number in 0 1 2 3 4 5 6 7 8 9; do
        image "$3" "$1/train/$2/$number.png"
        image "$3" "$1/test/$2/$number.png"
    done
}

lacks() {
    ! grep -qF -- "$2" "$1" || fail "\"$2\" is in $1: $(head -c 400 "$1")"
}

# ---- matching by name --------------------------------------------------------------------------------
fill abc a RED
fill abc b GREEN
fill abc c BLUE
learn='--set train.epochs=30 --set optim.lr=0.01 --set train.keep=0'
expect 0 train $small $learn --data folder:abc --out abc-run
grep -aq '"mendel.classes":"\[\\"a\\",\\"b\\",\\"c\\"\]"' abc-run/final.safetensors ||
    fail "the names of the classes are not in the checkpoint"
expect 0 eval abc-run/final.safetensors --data folder:abc --predictions p.csv
says out 'top-1 100.00 %'
says p.csv ',label_name,predicted_name'
says p.csv ',b,b'
# fewer of them: matched, and said
cp -r abc bc
rm -r bc/train/a bc/test/a
expect 0 eval abc-run/final.safetensors --data folder:bc
says out 'top-1 100.00 %'
says err 'have no images here: a'
# the same classes under other numbers: an empty folder that sorts first takes number 0
cp -r bc zbc
mkdir zbc/train/Z zbc/test/Z
expect 0 eval abc-run/final.safetensors --data folder:zbc
says out 'top-1 100.00 %'
says err 'no images to test on: Z'
# one that the checkpoint does not know
fill bcd b GREEN
fill bcd c BLUE
fill bcd d YELLOW
for command in "eval abc-run/final.safetensors" "recalibrate abc-run/final.safetensors -o r.safetensors" \
    "path abc-run/final.safetensors abc-run/final.safetensors" \
    "evolve abc-run/final.safetensors abc-run/final.safetensors --out never" \
    "merge --method greedy abc-run/final.safetensors abc-run/final.safetensors -o r.safetensors"; do
    expect 3 $command --data folder:bcd
    says err 'does not have: d'
done
[ ! -e r.safetensors ] && [ ! -e never ] || fail "a refused command wrote something"

# ---- two checkpoints -----------------------------------------------------------------------------------
expect 0 train $small $learn --data folder:bcd --out bcd-run
expect 0 train $small $learn --data folder:abc --seed 2 --out abc-2
for method in average slerp ensemble greedy; do
    expect 3 merge --method $method abc-run/final.safetensors bcd-run/final.safetensors -o m.safetensors --data folder:abc
    says err 'other classes'
done
expect 3 merge --method average abc-run/final.safetensors bcd-run/final.safetensors -o m.safetensors
says err 'only the first has a; only the second has d'
expect 3 align abc-run/final.safetensors bcd-run/final.safetensors -o m.safetensors
expect 0 merge --method average abc-run/final.safetensors abc-2/final.safetensors -o m.safetensors
grep -aqF 'mendel.classes' m.safetensors || fail "a merged checkpoint has lost the names"
expect 0 train $small $learn --data folder:bcd --set train.init=abc-run/final.safetensors --out from-abc
says err 'only the first has a; only the second has d'

# ---- odd names -------------------------------------------------------------------------------------------
latin=$(printf 'caf\351')
line=$(printf 'two\nlines')
escape=$(printf 'bell\033[31m,"q"')
for name in "$latin" "$line" "$escape"; do fill odd "$name" RED; done
fill odd plain BLUE
expect 0 data info folder:odd
says out 'caf\xE9'
says out 'two\x0Alines'
lacks out "$(printf '\033')"
expect 0 train $small --set train.epochs=1 --data folder:odd --out odd-run
expect 0 eval odd-run/final.safetensors --data folder:odd --predictions p.csv
lacks p.csv "$(printf '\033')"
says p.csv '"bell\x1B[31m,""q"""'
[ "$(wc -l <p.csv)" -eq 41 ] || fail "a name breaks a line of the CSV"
lacks err 'matched by name'
rm -r odd/train/"$latin" odd/test/"$latin"
expect 0 eval odd-run/final.safetensors --data folder:odd
says err 'caf\xE9'

# Folders, too: what the library says of them as JSON is opened and printed as it is.
cat >once.yaml <<'END'
experiment: {hybrid: false, seeds: 2, latency_runs: 1, corrupt_images: 0, tta_images: 0}
merge: {generations: 1, batch: 2, archive: 4}
END
expect 0 experiment once.yaml $small --set train.epochs=1 --data synthetic:100 --out "$latin-once"
says out 'into caf\xE9-once'
says out 'The report is in caf\xE9-once/report.html'
[ -s "$latin-once/report.html" ] || fail "there is no report"
expect 0 train $small --set train.epochs=1 --data synthetic:100 --out "$latin-run"
says out 'caf\xE9-run/final.safetensors is written'
expect 0 status "$latin-run"
says out 'caf\xE9-run: a training'

# ---- damage ----------------------------------------------------------------------------------------------
cp -r abc hurt
: >hurt/train/a/empty.png
echo text >hurt/train/b/text.jpg
mkdir hurt/train/b/folder.png
mkfifo hurt/train/c/pipe.png
ln -s loop.png hurt/train/c/loop.png
head -c 50 abc/train/a/1.png >hurt/test/a/cut.png
expect 3 data info folder:hurt
for name in empty.png text.jpg folder.png pipe.png loop.png cut.png; do says err $name; done
says err '6 of 66 images cannot be read'
says err 'data.skip_damaged=true'
expect 0 data info folder:hurt --set data.skip_damaged=true
for name in empty.png text.jpg folder.png pipe.png loop.png cut.png; do says err $name; done
says err '5 of 35 images to train on are damaged and left out'
expect 0 train $small --set train.epochs=1 --data folder:hurt --set data.skip_damaged=true --out hurt-run
expect 3 eval abc-run/final.safetensors --data folder:hurt
expect 0 eval abc-run/final.safetensors --data folder:hurt --set data.skip_damaged=true
says out 'top-1 100.00 %'

# ---- a class without images, or on one side only -----------------------------------------------------------
cp -r abc lone
mkdir lone/train/empty
fill lone once YELLOW
rm -r lone/test/once
expect 0 data info folder:lone
says err 'no images to train on: empty'
says err 'no images to test on: empty, once'
fill lone once YELLOW
rm -r lone/train/once
expect 3 data info folder:lone
says err 'has 1 class that train does not have: once'

# ---- other images under the same names ---------------------------------------------------------------------
cp -r abc moving
few='--set train.epochs=4 --set train.keep=0 --data folder:moving'
expect 0 train $small $few --set train.max_steps=1 --out moved
image YELLOW moving/train/a/3.png
expect 2 train $small $few --out moved --resume
says err 'other images, labels or names of classes'
image RED moving/train/a/3.png
expect 0 train $small $few --out moved --resume

cat >x.yaml <<'END'
model: {kind: mlp, hidden: 8}
data: {size: native, source: "folder:moving"}
train: {epochs: 1, batch: 8}
merge: {generations: 1, batch: 2, archive: 4}
experiment: {hybrid: false, seeds: 2, latency_runs: 1, corrupt_images: 0, tta_images: 0}
run: {threads: 1}
END
expect 0 experiment x.yaml --out x
lacks err 'others than those that x was begun with'
image YELLOW moving/train/a/3.png
expect 0 experiment x.yaml --out x --resume
says err 'others than those that x was begun with'

# ---- constants that are given --------------------------------------------------------------------------------
given='--set data.mean=[0.5,0.25,0.125] --set data.std=0.5'
expect 0 train $small --set train.epochs=1 --data folder:abc $given --out given
grep -aqF '"mendel.mean":"0.5 0.25 0.125","mendel.std":"0.5 0.5 0.5"' given/final.safetensors ||
    fail "the constants that were given are not in the checkpoint"
expect 0 eval given/final.safetensors --data folder:abc
cp out kept
expect 0 eval given/final.safetensors --data folder:abc $given
cmp -s out kept || fail "a checkpoint's constants are not those that it was trained with"
expect 0 eval given/final.safetensors --data folder:abc --set data.mean=0 --set data.std=2
cmp -s out kept && fail "--set does not go before the checkpoint"
expect 2 train $small --data folder:abc --set data.mean=0.5 --out never
says err 'data.std'
expect 2 train $small --data folder:abc --set 'data.mean=[1,2]' --set data.std=1 --out never
says err '2 numbers are given'
expect 2 train $small --data folder:abc --set data.mean=0.5 --set data.std=0 --out never
expect 2 train $small --data folder:abc $given --set data.normalize=unit --out never
expect 0 help data.mean

[ $failures -eq 0 ] || { echo "$failures failures"; exit 1; }
echo "all is as expected"
