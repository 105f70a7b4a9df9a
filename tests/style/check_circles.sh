#!/bin/sh
# The files of a room use each other in one direction: no file calls what calls it, over whatever
# detour.  Held for the rooms that decide and say things, from the symbols of their objects.
# usage: check_circles.sh BUILD-FOLDER
found=0
for room in experiment report page config runs; do
    scratch=$(mktemp -d) || exit 1
    for object in "$1"/libmendel.*.p/src_"$room"_*.o; do
        [ -e "$object" ] || continue
        found=1
        name=$(basename "$object" .c.o)
        nm -g "$object" | awk -v name="$name" '
            $2 ~ /^[TRDBVWu]$/ { print name, $3 >>defined }
            $1 == "U" { print name, $2 >>used }' defined="$scratch/defined" used="$scratch/used"
    done
    awk 'FNR == NR { owner[$2] = $1; next }
        $2 in owner && owner[$2] != $1 && !seen[$1, owner[$2]]++ { print $1, owner[$2] }' \
        "$scratch/defined" "$scratch/used" | tsort >/dev/null 2>"$scratch/loops"
    if [ -s "$scratch/loops" ]; then
        echo "src/$room: these files use each other in a circle:"
        sed -n 's/^tsort: src_/    /p' "$scratch/loops"
        failed=1
    fi
    rm -rf "$scratch"
done
[ $found -eq 1 ] || { echo "no objects in $1"; exit 1; }
exit ${failed:-0}
