#!/bin/sh
# Models that are not finite: every command refuses such weights and names file, tensor and place;
# finite weights whose results overflow are told, and no search or soup ends with one.
# usage: test_finite.sh MENDEL PREDICT
set -u
. "$(dirname "$0")/../expect.sh"
predict=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
. "$(dirname "$0")/../scratch.sh"

small='--set model.kind=mlp --set data.size=native --set model.hidden=16 --threads 1'
for s in 1 2; do
    expect 0 train $small --set train.epochs=1 --seed $s --out r$s
done
a=r1/final.safetensors
b=r2/final.safetensors
size=$(wc -c <$a)

# spoil FILE COUNT BYTES: a copy of a whose last COUNT float32 are these four bytes (the end is
# fc2.weight, 10 x 16, or fc2.bias, 10).
spoil() {
    cp $a "$1"
    i=0
    while [ $i -lt "$2" ]; do
        printf "$3"
        i=$((i + 1))
    done >tail
    dd if=tail of="$1" bs=1 seek=$((size - 4 * $2)) conv=notrunc 2>/dev/null
}
spoil nan.st 1 '\000\000\300\177'
spoil minus.st 1 '\000\000\200\377'
spoil large.st 160 '\377\377\177\177'

# refused FILE PLACE ARGUMENT...: exit 4, the place named, nothing written.
refused() {
    file=$1 place=$2
    shift 2
    expect 4 "$@"
    says err "$file"
    says err "$place"
    [ ! -e o.st ] || fail "mendel $* wrote o.st"
    rm -f o.st
}
for bad in 'nan.st nan' 'minus.st -inf'; do
    set -- $bad
    p="fc2.bias[9] is $2"
    refused $1 "$p" eval $1 --data digits
    refused $1 "$p" eval $1 --data digits --full --json
    refused $1 "$p" align $b $1 -o o.st
    refused $1 "$p" align $1 $b -o o.st
    refused $1 "$p" interpolate $1 $b --data digits --points 2 -o o.st
    refused $1 "$p" recalibrate $1 --data digits -o o.st
    refused $1 "$p" merge --method average $b $1 -o o.st
    refused $1 "$p" merge --method slerp $1 $b -o o.st
    refused $1 "$p" merge --method greedy $b $1 --data digits -o o.st
    refused $1 "$p" merge --method ties --base $1 $a $b -o o.st
    refused $1 "$p" merge --method dare --base $a $b $1 -o o.st
    refused $1 "$p" merge --method ensemble $b $1 --data digits
    refused $1 "$p" evolve $1 $b --data digits --set merge.evaluations=4 --out e --threads 1
    refused $1 "$p" evolve $b $1 --data digits --set merge.evaluations=4 --out e --threads 1
    refused $1 "$p" train $small --set train.epochs=1 --set train.init=$1 --out q
    [ ! -e q/final.safetensors ] || fail "a training began from $1"
    "$predict" $1 </dev/null >out 2>err && fail "the predictor opened $1"
    says err "$p"
done

# ---- finite weights, results that are not ----------------------------------------------------------
expect 4 eval large.st --data digits
says err 'large.st: the loss of 360 of 360 images is not finite'
says out 'the loss is not finite'
expect 4 interpolate $a large.st --data digits --points 2
says err 'large.st'
expect 4 merge --method ensemble $a large.st --data digits
says err 'large.st: the loss'
expect 0 merge --method greedy large.st $b --data digits -o soup.st
says err 'large.st is left out'
expect 0 eval soup.st --data digits
for order in "large.st $b" "$b large.st"; do
    expect 0 evolve $order --data digits --set merge.evaluations=24 --out e --threads 1
    says err 'large.st is left out'
    expect 0 eval e/merged.safetensors --data digits
    grep -qi '[: -]nan\|[: -]inf' e/lineage.jsonl e/winner.json && fail 'the search wrote what is no JSON'
    rm -r e
done
expect 4 evolve large.st large.st --data digits --set merge.evaluations=4 --out e --threads 1
says err 'none of the models'
[ ! -e e/merged.safetensors ] || fail 'a search of nothing finite has a winner'
for method in no-attraction ga map-elites random line; do
    expect 0 evolve large.st $b --data digits --method $method --set merge.evaluations=12 \
        --out m-$method --threads 1
    expect 0 eval m-$method/merged.safetensors --data digits
done
expect 0 evolve --set model.kind=mlp --set data.size=native --set model.hidden=16 --method cma-es \
    --set merge.from_scratch=1 --set merge.archive=4 --set merge.evaluations=24 \
    --set merge.slerp_all=true --set merge.step=1000 --data digits --out cma --threads 1
expect 0 eval cma/merged.safetensors --data digits

# ---- a training that diverges --------------------------------------------------------------------------
expect 4 train $small --set optim.kind=sgd --set optim.lr=1000 --set data.normalize=none --out n
for file in n/*.safetensors; do
    [ ! -e "$file" ] || expect 0 eval "$file" --data digits --set data.normalize=none
done
exit $((failures > 0))
