#!/bin/sh
# The manual pages and completions that the program makes of its tables: roff without warnings, and
# each shell that is here takes its completion and completes a command, an option, a key and a value.
# usage: test_pages.sh mendel
set -u
. "$(dirname "$0")/../expect.sh"
. "$(dirname "$0")/../scratch.sh"

# ---- manual pages --------------------------------------------------------------------------------

for page in mendel keys $("$mendel" help | sed -n '/^Commands/,/^$/s/^  \([a-z]*\)  .*/\1/p'); do
    expect 0 help --man "$page"
    mv out page
    says page '.SH SEE ALSO'
    command -v man >/dev/null && command -v groff >/dev/null || continue
    LC_ALL=C MANWIDTH=80 man --warnings -l page >shown 2>err
    [ ! -s err ] || fail "man warns of $page"
    [ -s shown ] || fail "man shows nothing of $page"
done
expect 0 help --man train
says out '\-\-memory\-limit'
expect 0 help --man merge
says out 'a random tenth'
expect 0 help --man keys
says out 'optim.lr'
expect 2 help --man nothing
says err 'no manual page nothing'
expect 2 help --completion tcsh
expect 2 help --man train merge

# ---- completions ---------------------------------------------------------------------------------

for shell in bash zsh fish; do
    expect 0 help --completion $shell
    mv out "completion.$shell"
    command -v $shell >/dev/null || continue
    $shell -n "completion.$shell" 2>err || fail "$shell does not take its completion"
done

mkdir photos

# completes LINE WORD: among what completes the line is the word.
completes() {
    if command -v bash >/dev/null; then
        bash -c '. ./completion.bash; COMP_LINE=$1 COMP_POINT=${#1}; _mendel; printf "%s\n" "${COMPREPLY[@]}"' \
            bash "$1" >out 2>err
        { grep -qxF -- "$2" out && [ ! -s err ]; } || fail "bash, \"$1\": no $2 but $(head -c 200 out)"
    fi
    if command -v fish >/dev/null; then
        fish -c 'source completion.fish; complete -C $argv[1]' "$1" >out 2>err
        grep -q -- "^\([a-z]*[.:=]*[a-z_]*[=:]\)*$2/\{0,1\}\($(printf '\t')\|\$\)" out ||
            fail "fish, \"$1\": no $2 but $(head -c 200 out)"
    fi
}
completes 'mendel tra' train
completes 'mendel train --memo' --memory-limit
completes 'mendel train --set optim.l' optim.lr=
completes 'mendel train --set model.kind=hy' hybrid
completes 'mendel eval --split ' validation
completes 'mendel train --data syn' synthetic:
completes 'mendel train --data folder:ph' photos
completes 'mendel evolve --method map' map-elites
completes 'mendel data fe' fetch

[ "$failures" -eq 0 ]
