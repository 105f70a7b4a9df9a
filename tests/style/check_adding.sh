#!/bin/sh
# Hold docs/adding.md against the sources: each row of a table has its parts, help names it, some
# test has it, and every file that the page names exists.
# usage: check_adding.sh source-root program
program=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
cd "$1" || exit 1
bad=0

fail() {
    echo "$*"
    bad=1
}

# need PLACE PATTERN WHAT: a file of PLACE (a file or a folder) holds PATTERN.
need() {
    grep -rq -- "$2" $1 || fail "$3: nothing in $1 has $2"
}

# rows FILE MACRO: the first argument of each X(...) of an X-macro list.
rows() {
    awk -v macro="#define $2(X)" '
        index($0, macro) { inside = 1; sub(/^[^X]*X\)/, "") }
        inside { text = text $0 }
        inside && !/\\$/ { exit }
        END { while (match(text, /X\([A-Za-z0-9_]+/)) {
                  print substr(text, RSTART + 2, RLENGTH - 2); text = substr(text, RSTART + RLENGTH) } }' "$1"
}

expect_rows() {
    [ -n "$2" ] || fail "$1: no rows found"
}

lower() {
    echo "$1" | tr 'A-Z' 'a-z'
}

# ---- models
models=$(rows src/models/models.h MDL_MODEL_LIST)
expect_rows models "$models"
help=$("$program" help model.kind)
for model in $models; do
    name=$(lower "$model")
    need src/models "mdl_model_def mdl__model_$name = {" "model $name"
    need tests/models "MDL_MODEL_$model" "model $name"
    echo "$help" | grep -q "^  $name  *[A-Za-z]" || fail "model $name: mendel help model.kind has no line for it"
done

# ---- data sources
sources=$(rows src/data/data.h MDL_SOURCE_LIST)
expect_rows sources "$sources"
help=$("$program" help data)
for source in $sources; do
    need src/data "mdl_source mdl__source_$source = {" "source $source"
    need tests/data "\"$source[:\"]" "source $source"
    need "README.md docs" "$source" "source $source"
    echo "$help" | grep -q "^[* ] $source[: ]" || fail "source $source: mendel help data has no line for it"
done

# ---- searches, methods
searches=$(rows src/merge/merge.h MDL_SEARCH_LIST)
expect_rows searches "$searches"
help=$("$program" help merge.search)
for search in $searches; do
    name=$(lower "$search")
    need src/merge "mdl__strategy mdl__strategy_$name = {" "search $name"
    need src/merge/methods.c "MDL_SEARCH_$search" "search $name"
    echo "$help" | grep -q "[ |]$name\( \|\$\)" || fail "search $name: mendel help merge.search does not name it"
done
methods=$(sed -n 's/.*{\.name = "\([a-z0-9-]*\)".*/\1/p' src/merge/methods.c)
expect_rows methods "$methods"
help=$("$program" help evolve; "$program" help merge)
for method in $methods; do
    echo "$help" | grep -q "^  $method  " || fail "method $method: neither help evolve nor help merge has a line"
done

# ---- rows of the comparison
kinds=$(rows src/experiment/table.h MDL_ROW_KIND_LIST)
expect_rows "kinds of rows" "$kinds"
for kind in $kinds; do
    need src/experiment/entry.c "MDL_ROW_$kind" "row $kind"
done

# ---- commands
commands=$(sed -n '/^commands = \[/,/^\]/p' src/cli/meson.build | grep -o "'[a-z]*'" | tr -d "'")
expect_rows commands "$commands"
help=$("$program" help)
for command in $commands; do
    need "src/cli/cmd_$command.c" "cli_command cli_cmd_$command = {" "command $command"
    need "tests --include=*.sh" "$command " "command $command"
    echo "$help" | grep -q "^  $command " || fail "command $command: mendel help does not name it"
done

# ---- files that the page names
for file in $(grep -o '`[A-Za-z0-9_./-]*/[A-Za-z0-9_./-]*`' docs/adding.md | tr -d '`'); do
    [ -e "$file" ] || fail "docs/adding.md names $file, which is not there"
done
exit $bad
