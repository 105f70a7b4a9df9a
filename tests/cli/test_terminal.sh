#!/bin/sh
# What is redrawn fits the terminal, whatever its width; elsewhere there are plain lines.
# usage: test_terminal.sh mendel on_terminal
on_terminal=$(realpath "$2")
. "$(dirname "$0")/../expect.sh"
. "$(dirname "$0")/../scratch.sh"
net='--set model.width=0.25 --set model.depth=0.2 --set train.epochs=1 --threads 1'
expect 0 train $net --set train.max_steps=1 --out a
expect 0 train $net --set train.max_steps=1 --seed 2 --out b

# fits COLUMNS ARGUMENT...
fits() {
    columns=$1
    shift
    "$on_terminal" "$columns" "$mendel" "$@" >out 2>err
    code=$?
    [ $code -ne 77 ] || exit 77 # no terminals here
    [ $code -eq 0 ] || fail "on a terminal: exit $code: $*"
    read -r lines longest <out
    [ "$lines" -gt 0 ] || fail "nothing was redrawn: $*"
    [ "$longest" -lt "$columns" ] || fail "$longest characters on $columns columns: $*"
}
for columns in 40 100; do
    fits $columns train $net --out t$columns
    fits $columns evolve a/final.safetensors b/final.safetensors --data digits --threads 1 \
        --set merge.evaluations=20 --out e$columns
    fits $columns eval a/final.safetensors --data digits --full --images 30 --threads 1
done
"$mendel" train $net --out plain >out 2>err
if grep -q "$(printf '\r')" out; then fail 'a line is redrawn in a file'; fi

[ $failures -eq 0 ] || exit 1
