#!/bin/sh
# Hold what a script can hold of the style of CONTRIBUTING.md.
#   - A file has at most 400 lines, a function at most 60 (from its name to its last brace); tests
#     may have more.
#   - A section banner fits on one line of at most 100 columns; no line has a tab.
#   - sizeof has parentheses, and a pointer is compared with NULL: `p == NULL`, not `!p`.
# A pointer is known by its declaration in the same function, so some escape; no other name is blamed.
# usage: check_style.sh source-root
cd "$1" || exit 1

# Files that are about to be split, a line each.  Nothing should have to stand here.
exceptions='
'

find include src backends tests -name '*.[ch]' | sort | EXCEPTIONS=$exceptions xargs awk '
BEGIN {
    n = split(ENVIRON["EXCEPTIONS"], names, /[ \n]+/)
    for (i = 1; i <= n; i++)
        excepted[names[i]] = 1
    lines_most = 400
    function_most = 60
}
function complain(line, text) {
    print FILENAME ":" line ": " text
    bad = 1
}
function has_limits(name) {
    return name !~ /^tests/ && !(name in excepted)
}
# The end of a file, told at the beginning of the next one.
function end_of_file() {
    if (lines > lines_most && has_limits(last)) {
        print last ": " lines " lines; at most " lines_most ": split it by topic"
        bad = 1
    }
}
FNR == 1 {
    end_of_file()
    files++
    inside = start = 0
}
{
    last = FILENAME
    lines = FNR
    code = $0
    gsub(/"([^"\\]|\\.)*"/, "\"\"", code) # no texts,
    gsub(/\/\*.*\*\//, "", code)          # no comments
    sub(/\/\*.*/, "", code)
    if (code ~ /^ \*/)
        code = ""
}
/\t/ {
    complain(FNR, "a tab; indent with spaces")
}
/^\/\* ---/ && !/ ---+ \*\/$/ {
    complain(FNR, "a banner over two lines; shorten it")
}
/^\/\* ---/ && length($0) > 100 {
    complain(FNR, "a banner of more than 100 columns; shorten it")
}
code ~ /(^|[^A-Za-z0-9_])sizeof *[A-Za-z_*]/ {
    complain(FNR, "sizeof without parentheses")
}
# A function begins with the first line of its head, which is not indented, and ends with a brace.
/^[A-Za-z_]/ && !inside {
    start = FNR
    split("", pointers)
}
/^\{/ {
    inside = 1
}
/^\}/ {
    if (inside && FNR - start + 1 > function_most && has_limits(FILENAME))
        complain(start, "a function of " FNR - start + 1 " lines; at most " function_most)
    inside = 0
    split("", pointers)
}
inside || start {
    rest = code
    while (match(rest, /[A-Za-z_0-9] \*+(const )?[A-Za-z_][A-Za-z_0-9]*( *[,;)=]|$)/)) {
        name = substr(rest, RSTART, RLENGTH)
        rest = substr(rest, RSTART + RLENGTH - 1)
        sub(/^.*\*(const )?/, "", name)
        sub(/[ ,;)=]*$/, "", name)
        if (code ~ /^[A-Za-z_]/ || code ~ /^ +(const |static |struct |unsigned )*[a-z_0-9]+ \*/)
            pointers[name] = 1
    }
    rest = code
    while (inside && match(rest, /![A-Za-z_][A-Za-z_0-9]*([^A-Za-z_0-9(\[.\->=]|$)/)) {
        name = substr(rest, RSTART + 1, RLENGTH - 1)
        rest = substr(rest, RSTART + RLENGTH - 1)
        sub(/[^A-Za-z_0-9]$/, "", name)
        if (name in pointers && substr(rest, 1, 2) != "->")
            complain(FNR, "compare the pointer with NULL: " name " == NULL")
    }
}
END {
    end_of_file()
    if (files == 0)
        print "no files found"
    exit bad || files == 0
}'
