#!/bin/sh
# What the library and the Python package say is for people who may have no command line: they speak
# of `resume`, `run.backend=cpu` and `keys` (cli_own_words makes options and commands of these), and
# never of --resume or `mendel help`.  Exempt: the commands that a report or a recipe shows, and `mendel bench
# --tune`, which only the program can do.
# usage: check_words.sh source-root
cd "$1" || exit 1
find include src backends -name '*.[ch]' ! -path 'src/cli/*' ! -path src/report/reproduce.c \
    ! -path src/merge/layers_text.c | sort | xargs awk '
FNR == 1 { files++ }
/^[ \t]*(\/\*|\*)/ { next } # a comment
{
    parts = split($0, part, "\"")
    for (i = 2; i <= parts; i += 2) {
        text = part[i]
        gsub(/var\(--[a-z0-9]+|mendel bench --tune/, "", text)
        if (text ~ /(^|[^-a-z])--[a-z]|`mendel |mendel help/)
            complain()
    }
}
function complain() {
    print FILENAME ":" FNR ": " $0
    bad = 1
}
END { exit bad || files == 0 }' && ! grep -nE '(^|[^-a-z])--[a-z]|mendel help' include/mendel/*.h python/mendel/*.py
