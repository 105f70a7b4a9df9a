#!/bin/sh
# An installed Mendel is whole: the headers compile alone; the program of examples/predict.c compiles
# and links as C and C++, with the shared and with the static library, and prints the logits of
# `mendel eval` to the last bit; the library can be loaded and unloaded in a loop; the modules are
# found.
# usage: check_prefix.sh PREFIX LIBDIR SOURCE-ROOT "CC" "CXX" (CXX may be empty)
set -u
there=$1 libdir=$2 root=$(cd "$3" && pwd) cc=$4 cxx=$5
set -- "$there/bin/mendel"
. "$root/tests/scratch.sh"
unset MENDEL_BACKENDS LD_LIBRARY_PATH PKG_CONFIG_PATH
library=$there/$libdir/libmendel.so
failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

for file in share/mendel/configs/quickstart.yaml share/doc/mendel/docs/formats.md \
    share/man/man1/mendel-train.1 share/man/man5/mendel-keys.5 share/bash-completion/completions/mendel \
    share/zsh/site-functions/_mendel share/fish/vendor_completions.d/mendel.fish \
    include/mendel/status.h "$libdir/libmendel.so.0"; do
    [ -e "$there/$file" ] || [ -e "$there/$file.gz" ] || fail "$file is not installed"
done
[ "$("$mendel" --version)" = "mendel $("${PKG_CONFIG:-pkg-config}" --modversion "$there/$libdir/pkgconfig/mendel.pc")" ] ||
    fail "the versions of the program and of mendel.pc differ"

# ---- a checkpoint and what eval says of it ---------------------------------------------------------

# Images of the form of MNIST's, 16x16: noise around a grey that says the class.
make_set() { # side count
    awk -v n="$2" 'BEGIN {
        srand(n)
        printf "\\000\\000\\010\\003\\000\\000\\000\\%03o\\000\\000\\000\\020\\000\\000\\000\\020", n
        for (i = 0; i < n * 256; i++)
            printf "\\%03o", 20 + int(i / 256) % 4 * 60 + int(rand() * 40)
    }' >text
    printf '%b' "$(sed 's/\\/\\0/g' text)" >"set/$1-images-idx3-ubyte"
    awk -v n="$2" 'BEGIN {
        printf "\\000\\000\\010\\001\\000\\000\\000\\%03o", n
        for (i = 0; i < n; i++)
            printf "\\%03o", i % 4
    }' >text
    printf '%b' "$(sed 's/\\/\\0/g' text)" >"set/$1-labels-idx1-ubyte"
}
mkdir set
make_set train 32
make_set t10k 12
quietly train --data idx:set --set model.width=0.25 --set model.depth=0.34 --set data.size=native \
    --set train.epochs=1 --set train.batch=8 --set data.validation_fraction=0.25 --threads 1 --out run
quietly eval run/final.safetensors --data idx:set --threads 1 --predictions predictions.csv
awk -F , 'NR == 1 { for (i = 1; i <= NF; i++) if ($i ~ /^logit_/) column[++n] = i; next }
    { for (i = 1; i <= n; i++) printf "%s%s", $column[i], i < n ? " " : "\n" }' predictions.csv >wanted
[ "$(wc -l <wanted)" -eq 12 ] || fail "eval wrote $(wc -l <wanted) predictions, expected 12"
tail -c +17 set/t10k-images-idx3-ubyte >pixels

# ---- programs --------------------------------------------------------------------------------------

strict='-Wall -Wextra -pedantic -Werror'
flags() { # of the moved folder; OPTION...
    PKG_CONFIG_PATH=$there/$libdir/pkgconfig "${PKG_CONFIG:-pkg-config}" \
        --define-variable=prefix="$there" "$@" mendel
}

compile() { # NAME COMPILER...
    name=$1
    shift
    "$@" 2>log || {
        fail "$name does not compile: $*"
        cat log
        return 1
    }
}

predicts() { # PROGRAM
    LD_LIBRARY_PATH=$2 "./$1" run/final.safetensors <pixels >logits 2>log || { fail "$1"; cat log; }
    cmp -s logits wanted || {
        fail "the logits of $1 differ from those of mendel eval:"
        diff logits wanted | head -n 4
    }
}

for header in "$there"/include/mendel/*.h; do
    echo "#include <mendel/${header##*/}>" >header.c
    compile "${header##*/}" $cc -std=c11 $strict $(flags --cflags) -fsyntax-only header.c
    [ -z "$cxx" ] || compile "${header##*/}" $cxx -x c++ -std=c++17 $strict $(flags --cflags) -fsyntax-only header.c
done

both() { # LANGUAGE COMPILER...
    language=$1
    shift
    compile "predict-$language" "$@" "$root/examples/predict.c" $(flags --cflags --libs) -o "predict-$language" &&
        predicts "predict-$language" "$there/$libdir"
    compile "predict-$language-static" "$@" "$root/examples/predict.c" \
        $(flags --static --cflags --libs | sed 's/-lmendel/-l:libmendel.a/') -o "predict-$language-static" &&
        predicts "predict-$language-static" ""
}
both c $cc -std=c11 $strict
[ -z "$cxx" ] || both cpp $cxx -x c++ -std=c++17 $strict

# The same training by the library and by the program: the same bytes.
settings='model.kind=mlp data.size=native data.limit=200 train.epochs=1 run.threads=1'
if compile train_merge $cc -std=c11 $strict "$root/examples/train_merge.c" $(flags --cflags --libs) -o train_merge; then
    LD_LIBRARY_PATH=$there/$libdir ./train_merge digits merged $settings >log 2>&1 || { fail train_merge; cat log; }
    quietly train --data digits $(printf -- '--set %s ' $settings) --seed 1 --out same
    cmp same/final.safetensors merged/seed-1/final.safetensors || fail "the library trains other weights"
fi
[ -z "$cxx" ] || compile train_merge $cxx -x c++ -std=c++17 $strict "$root/examples/train_merge.c" \
    $(flags --cflags --libs) -o train_merge

# ---- load and unload, modules ----------------------------------------------------------------------

if compile load $cc $strict -rdynamic "$root/tests/install/load.c" $(flags --cflags) -ldl -o load; then
    ./load "$library" run/final.safetensors 5 || fail "loading, using and unloading"
    if command -v valgrind >/dev/null; then
        valgrind -q --leak-check=full --errors-for-leak-kinds=definite --error-exitcode=9 \
            ./load "$library" run/final.safetensors 2 >log 2>&1 || { fail "under valgrind"; head -n 30 log; }
    fi
    if [ -e "$there/$libdir/mendel/mendel_opencl.so" ]; then
        ./load "$library" nowhere.safetensors 1 opencl 2>log
        ! grep -q mendel_opencl log || { fail "the library does not find its modules"; cat log; }
        "$mendel" devices >log 2>&1
        ! grep -q 'no such file' log || { fail "the program does not find its modules"; cat log; }
    fi
fi

[ "$failures" -eq 0 ]
