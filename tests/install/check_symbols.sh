#!/bin/sh
# The shared library exports what symbols.txt lists, and nothing else.  The list is renewed by
#   sh tests/install/check_symbols.sh build/libmendel.so --update
# A symbol that goes breaks programs: then the soversion in meson.build grows.
# usage: check_symbols.sh LIBRARY [--update]
list=$(dirname "$0")/symbols.txt
found=$(nm -D --defined-only "$1" | awk '{ print $NF }' | LC_ALL=C sort) || exit 1
[ -n "$found" ] || { echo "$1 exports nothing, or nm cannot read it"; exit 1; }
if [ "${2:-}" = --update ]; then
    echo "$found" >"$list"
    exit
fi
echo "$found" | diff "$list" - || {
    echo "The library exports other symbols (>) than $list has (<).  If that is meant, run:"
    echo "  sh tests/install/check_symbols.sh build/libmendel.so --update"
    exit 1
}
