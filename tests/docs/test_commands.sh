#!/bin/sh
# Every command in the documents is run: each line of a fenced `sh` block of README.md,
# CONTRIBUTING.md and docs/*.md, in the order of the document, in a folder where the paths that it
# names are there.  A command runs as it is written; build/mendel is a wrapper there that adds
# settings (few images, small networks), so that all of them together take some seconds.  Links to
# files of the project must lead somewhere, too.
# usage: test_commands.sh mendel source-root
set -u
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
root=$(cd "$2" && pwd)
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
failures=0

# ---- what is not run, by the beginning of the command, and why -------------------------------------

not_run() {
    case $1 in
    "./bootstrap"*) ;;               # installs packages
    "apt-get "*) ;;                  # installs packages
    "build/mendel data fetch"*) ;;   # downloads 170 MB
    "build/mendel bench --tune"*) ;; # takes minutes; tests/dispatch/test_tuning.c has a short one
    "meson "* | *" meson test "*) ;; # builds, and runs this very test
    "cc "*) ;;                       # needs what is installed; tests/install/test_install.sh has it
    *"--backend opencl"*) ;;         # needs a device; tests/opencl/test_program.sh has one
    "python3 tests/bench/"*) ;;      # needs PyTorch, and a machine that does nothing else
    *) return 1 ;;
    esac
}

# ---- the folder ------------------------------------------------------------------------------------

# A data set in the form of CIFAR-10's: few images, noise and all ten classes.
make_cifar() {
    mkdir -p "$1"
    printf 'airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n' >"$1/batches.meta.txt"
    for file in data_batch_1 data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch; do
        awk -v seed="$file" 'BEGIN {
            srand(length(seed) + substr(seed, 12, 1))
            for (i = 0; i < 10; i++) {
                printf "\\%03o", i
                for (j = 0; j < 3072; j++)
                    printf "\\%03o", 64 + i * 12 + int(rand() * 8)
            }
        }' >"$1/$file.text"
        printf '%b' "$(sed 's/\\/\\0/g' "$1/$file.text")" >"$1/$file.bin"
        rm "$1/$file.text"
    done
}

# Two classes of 8x8 PNG files, white and black with grey dots.
make_photos() {
    white=iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAF0lEQVR42mNo+P8fjBigNJABFWIgRQoAeTQ1VtQGWtIAAAAASUVORK5CYII=
    black=iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAE0lEQVR42mNoYGCAIHS6gYEUKQCB1wqB+Ex92wAAAABJRU5ErkJggg==
    for side in train test; do
        for class in white black; do
            mkdir -p "$1/$side/$class"
            eval "text=\$$class"
            for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
                printf '%s' "$text" | base64 -d >"$1/$side/$class/$i.png"
            done
        done
    done
}

# What makes a command small, by its name.
write_wrapper() {
    small='--set data.limit=24 --set model.width=0.25 --set model.depth=0.34 --set data.image_size=16'
    train="$small --set train.epochs=1 --set train.batch=4 --set data.validation_fraction=0.4"
    experiment="$train --set experiment.seeds=1 --set merge.generations=1 --set merge.batch=2
        --set experiment.latency_runs=1 --set experiment.corrupt_images=1
        --set experiment.tta_images=1 --set trm.dim=32"
    {
        echo '#!/bin/sh'
        echo 'case $1 in'
        echo "train) set -- \"\$@\" $train ;;"
        echo "experiment) set -- \"\$@\"" $experiment ";;"
        echo "eval) set -- \"\$@\" --set data.limit=8 --images 1 --set experiment.latency_runs=1 ;;"
        echo "evolve) set -- \"\$@\" --set data.limit=24 --set merge.generations=1 --set merge.batch=2 ;;"
        echo "merge | interpolate | recalibrate | align) set -- \"\$@\" --set data.limit=24 ;;"
        echo "bench) set -- \"\$@\" --repeat 1 ;;"
        echo 'esac'
        echo 'case $1 in data | report | devices | help) ;; *) set -- "$@" --threads 1 ;; esac'
        echo "exec \"$mendel\" \"\$@\""
    } >build/mendel
    chmod +x build/mendel
}

mkdir "$scratch/house" && cd "$scratch/house" && mkdir build || exit 1
ln -s "$root/configs" configs
ln -s "$root/tests" tests
make_cifar data/cifar-10-batches-bin
make_photos photos
write_wrapper
export XDG_CACHE_HOME="$scratch/cache"

# ---- the documents ---------------------------------------------------------------------------------

# The commands of a document's sh blocks, a line each; a line that ends in \ goes on in the next.
commands_of() {
    awk '/^```sh$/ { inside = 1; next }
        /^```/ { inside = 0 }
        inside && /\\$/ { sub(/\\$/, ""); held = held $0; next }
        inside && !/^ *(#|$)/ { print held $0; held = "" }' "$1" | sed 's/  *# .*//'
}

check_links() {
    grep -o ']([^)#: ]*[)#]' "$1" | sed 's/^](//; s/[)#]$//' | while read -r link; do
        [ -z "$link" ] || [ -e "$(dirname "$1")/$link" ] || echo "$1: the link to $link leads nowhere"
    done >"$scratch/links"
    [ ! -s "$scratch/links" ] || {
        cat "$scratch/links"
        failures=$((failures + 1))
    }
}

ran=0
for document in "$root/README.md" "$root/CONTRIBUTING.md" "$root"/docs/*.md; do
    check_links "$document"
    commands_of "$document" >"$scratch/commands"
    while read -r command <&3; do
        not_run "$command" && continue
        ran=$((ran + 1))
        sh -c "$command" >"$scratch/out" 2>"$scratch/err" </dev/null || {
            echo "FAILED (exit $?), in ${document#"$root"/}: $command"
            tail -n 3 "$scratch/err" | sed 's/^/  /'
            failures=$((failures + 1))
        }
    done 3<"$scratch/commands"
done
echo "$ran commands ran, $failures failures"
[ "$ran" -gt 10 ] && [ "$failures" -eq 0 ]
