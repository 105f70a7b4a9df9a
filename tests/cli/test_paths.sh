#!/bin/sh
# Names that are no UTF-8, hold a newline or an escape sequence, or are very long, in every option
# that takes a path of a checkpoint or a folder; what is written about them stays readable.
# usage: test_paths.sh MENDEL
set -u
. "$(dirname "$0")/../expect.sh"
. "$(dirname "$0")/../scratch.sh"
escape=$(printf '\033')

small='--set model.kind=mlp --set data.size=native --set model.hidden=8 --set train.epochs=1 --threads 1'
part=$(printf '%0240d' 0)

# clean FILE...: no escape sequence and no byte that is no UTF-8 is in it.
clean() {
    for file in "$@"; do
        [ -e "$file" ] || continue
        ! grep -q "$escape" "$file" || fail "an escape sequence is in $file"
        ! command -v iconv >/dev/null || iconv -f UTF-8 -t UTF-8 "$file" >/dev/null 2>&1 ||
            fail "$file is no UTF-8"
    done
}

for folder in "$(printf 'caf\351')" "$(printf 'a\nb')" "$(printf 'x\033[31my')" \
    "$part/$part/$part/$part/$part/$part/$part/$part/$part/$part/$part/$part/$part/$part"; do
    mkdir -p "$folder"
    a=$folder/a/final.safetensors b=$folder/b/final.safetensors
    expect 0 train $small --out "$folder/a"
    expect 0 train $small --seed 2 --out "$folder/b" --json
    clean out err
    expect 0 train --out "$folder/a" --resume
    expect 0 eval "$a" --data digits -p "$folder/p.csv"
    clean out err
    expect 0 eval "$a" --data digits --json
    clean out
    expect 0 merge --method average "$a" "$b" -o "$folder/m.safetensors"
    expect 0 merge --method ties --trunk "$a" "$a" "$b" -o "$folder/t.safetensors"
    expect 0 align "$a" "$b" -o "$folder/l.safetensors" --json
    clean out
    expect 0 interpolate "$a" "$b" --data digits --points 2 -o "$folder/p.json"
    expect 0 recalibrate "$a" --data digits -o "$folder/r.safetensors"
    expect 0 evolve "$a" "$b" --data digits --set merge.evaluations=2 --threads 1 --out "$folder/e"
    clean out err "$folder/p.json" "$folder/e/lineage.jsonl" "$folder/e/winner.json"
    lines=$(wc -l <"$folder/e/lineage.jsonl")
    ended=$(grep -c '^{.*}$' "$folder/e/lineage.jsonl")
    [ "$lines" -eq "$ended" ] || fail "lineage.jsonl: $lines lines, $ended objects"
    expect 0 train $small --set "train.init=$a" --out "$folder/i"
    expect 0 train --out "$folder/i" --resume
    clean "$folder/i/config.yaml"
    expect 3 eval "$folder/none.safetensors" --data digits
    clean err
    [ "$(wc -l <err)" -eq 1 ] || fail "the error is of $(wc -l <err) lines"
done

# What stands where a configuration is expected is called by its kind.
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n' >pointer.yaml
expect 2 train --config pointer.yaml --out c
says err 'git lfs pull'
expect 2 train --config "$b" --out c
says err 'a safetensors checkpoint'
exit $((failures > 0))
