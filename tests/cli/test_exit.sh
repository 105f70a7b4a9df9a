#!/bin/sh
# Exit codes over all commands, as README.md says them: 1 a device, 2 usage or configuration, 3 data or
# a file, 4 not finite, 5 memory.  (130: test_stop.sh.)
# usage: test_exit.sh mendel
. "$(dirname "$0")/../expect.sh"
. "$(dirname "$0")/../scratch.sh"
small='--set model.kind=mlp --set data.size=native --set model.hidden=16 --set train.epochs=1
    --threads 1'
expect 0 train $small --out a
expect 0 train $small --seed 2 --out b
one=a/final.safetensors two=b/final.safetensors
echo '{}' >bad.safetensors
: >file

# table: each line is a code and a command line, run in turn.
table() {
    while read -r code line; do
        [ -z "$code" ] || eval "expect $code $line"
    done
}
expect 0 help
for command in $(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' out); do
    expect 0 $command --help
    expect 2 $command --no-such-option
done
table <<'TABLE'
0 help
0 --version
2 no-such-command
2 help no-such-topic
2 train --set no.such.key=1
2 train --set train.epochs=many
2 train --set train.epochs
2 train --threads x
2 train --memory-limit lots
2 train --config
2 train --backend gpu
2 train extra
2 eval
2 eval $one --split half
2 eval $one --batch 0
2 evolve $one
2 evolve $one $two --method none
2 merge --method none $one $two -o c
2 merge --method average $one $two
2 merge --method ties $one $two -o c
2 align $one
2 align $one $two
2 align $one $two --method none -o c
2 interpolate $one
2 interpolate $one $two --points 1
2 recalibrate $one
2 export $one
2 convert $one
2 convert $one c --dtype f8
2 plan extra
2 bench --only nothing
2 bench --repeat 0
2 devices extra
2 data
2 data fetch nothing
2 experiment
2 report
1 train --backend reference:7 $small --out c
1 train --backend cpu:z80 $small --out c
1 eval $one --backend cpu:z80
1 evolve $one $two --backend cpu:z80 --out c
1 merge --method average $one $two --backend cpu:z80 -o c
1 align $one $two --backend cpu:z80 -o c
1 interpolate $one $two --backend cpu:z80
1 recalibrate $one --backend cpu:z80 -o c
1 plan --backend cpu:z80
1 bench --backend cpu:z80
3 train --config missing.yaml
3 train $small --data folder:missing --out c
3 train $small --data cifar10:missing --out c
3 train $small --data idx:missing --out c
2 train $small --out file/c
3 eval missing.safetensors
3 eval bad.safetensors
3 eval $one --data folder:missing
3 eval $one --predictions missing/p.csv
3 evolve missing.safetensors $two --out c
3 evolve $one bad.safetensors --out c
2 evolve $one $two --set merge.evaluations=2 --out file/c
3 merge --method average missing.safetensors $two -o c
3 merge --method average $one $two -o missing/c
3 merge --method greedy $one $two --data digits -o file/c
3 align $one missing.safetensors -o c
3 align $one $two -o missing/c
3 interpolate $one missing.safetensors
3 interpolate $one $two --points 2 -o missing/c
3 recalibrate missing.safetensors -o c
3 recalibrate $one --data digits -o missing/c
3 export missing.safetensors -o c
3 export $one -o missing/c
3 convert missing.pt c
3 convert $one missing/c
3 experiment missing.yaml
3 report missing
3 data info folder:missing
3 plan --config missing.yaml
3 bench --config missing.yaml
4 train $small --set optim.lr=1000 --set optim.kind=sgd --set train.epochs=20 --set train.clip=0 --out nan
5 train $small --memory-limit 1KB --out c
5 plan --memory-limit 1MB
5 evolve $one $two --memory-limit 1KB --out c
TABLE
[ ! -e c ] || fail 'a refused command left something'
if [ "$(id -u)" -ne 0 ]; then
    cp $one locked.safetensors
    chmod 000 locked.safetensors
    expect 3 eval locked.safetensors
fi

# A standard output that takes nothing.
if [ -w /dev/full ]; then
    for line in 'help' '--version' 'train --help' 'devices' 'devices --json' 'plan' 'plan --json' \
        "eval $one" "eval $one --json" 'data info digits' 'data info digits --json' \
        "path $one $two --points 2" "path $one $two --points 2 --json" "train $small --out f" \
        "train $small --out g --json" \
        'bench --only infer --batch 1 --repeat 1 --model baseline --set model.width=0.25'; do
        "$mendel" $line >/dev/full 2>err
        code=$?
        [ $code -eq 3 ] || fail "$line into a full disk: exit $code"
        says err 'standard output'
        [ "$(grep -c 'standard output' err)" -eq 1 ] || fail "$line into a full disk: said twice"
    done
    [ -s f/final.safetensors ] || fail 'a training whose output goes nowhere left no result'
fi

# A limit on the size of files: said, and nothing is left half written.
for line in "train $small --set model.hidden=64 --out l" "merge --method average $one $two -o l.safetensors" \
    "align $one $two -o l.safetensors" "recalibrate $one --data digits -o l.safetensors" \
    "eval $one --predictions l.csv"; do
    (
        ulimit -f 2
        "$mendel" $line >out 2>err
    )
    code=$?
    [ $code -eq 3 ] || fail "$line under ulimit -f: exit $code"
done
[ ! -e l.safetensors ] && [ ! -e l.csv ] && [ ! -e l/final.safetensors ] ||
    fail 'a file is there that could not be written'

[ $failures -eq 0 ] || exit 1
