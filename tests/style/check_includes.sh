#!/bin/sh
# Hold the #includes of src and backends against the order of the modules: a file may include its
# own module, and of a lower one only the header that others may use (<module>/<module>.h).
# usage: check_includes.sh source-root
cd "$1" || exit 1
find include src backends -name '*.[ch]' | sort | xargs awk '
BEGIN {
    # Modules of one rank do not include each other.
    n = split("include base ops=stats=formats=page backends dispatch graph models=data=checkpoint train=onnx merge " \
              "config runs experiment report api cli", level, " ")
    for (i = 1; i <= n; i++) {
        m = split(level[i], names, "=")
        for (j = 1; j <= m; j++)
            rank[names[j]] = i
    }
    # What of the program may know more of the library than its public functions.
    n = split("bench.h cmd_devices.c cmd_help.c cmd_plan.c completion.c engine.c manual.c plan.h words.c", names, " ")
    for (i = 1; i <= n; i++)
        engine["src/cli/" names[i]] = 1
}
FNR == 1 {
    parts = split(FILENAME, part, "/")
    module = part[1] == "src" ? part[2] : part[1]
    own = part[1] == "backends" && parts > 2 ? "backends/" part[2] : module
    files++
    if (!(module in rank))
        complain("a module that the order does not know")
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, quoted, "\"")
    path = quoted[2]
    parts = split(path, part, "/")
    if (path == "cli/engine.h" && !(FILENAME in engine))
        complain("includes \"" path "\": its work is public, so mendel/*.h is enough")
    if (parts == 1 || index(path, own "/") == 1)
        next # of its own folder
    target = part[1]
    if (target == "mendel" && parts == 2)
        next
    # The program knows the library by its public functions; cli/engine.h is for those that need more.
    if (module == "cli" && FILENAME != "src/cli/engine.h" && target != "base")
        complain("includes \"" path "\": the program includes mendel/*.h, base/base.h or cli/engine.h")
    if (!(target in rank))
        complain("includes \"" path "\": no such module")
    else if (target == "backends" ? path != "backends/backend.h" : path != target "/" target ".h")
        complain("includes \"" path "\": private to its module")
    else if (target != module && rank[target] >= rank[module])
        complain("includes \"" path "\": not below " module)
}
function complain(text) {
    print FILENAME ":" FNR ": " text
    bad = 1
}
END {
    if (files == 0)
        print "no files found"
    exit bad || files == 0
}'
