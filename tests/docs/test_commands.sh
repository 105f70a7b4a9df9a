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
    "dpkg-buildpackage "*) ;;        # tests/install/packages.sh does that
    "cc "*) ;;                       # needs what is installed; tests/install/test_install.sh has it
    *"--backend opencl"*) ;;         # needs a device; tests/opencl/test_program.sh has one
    "pip "* | "python3 examples/"*) ;; # tests/python/wheel.sh has them
    *"tests/python/wheel.sh"*) ;;    # needs a network and minutes
    "python3 tests/bench/"*) ;;      # needs PyTorch, and a machine that does nothing else
    *) return 1 ;;
    esac
}

. "$root/tests/docs/house.sh"
enter_house "$scratch/house" "$root"

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
