#!/bin/sh
# What `meson install` puts into a folder is enough for programs outside of the tree, also where the
# folder was moved; when it is uninstalled, nothing of it is left.
# usage: test_install.sh MESON BUILD-FOLDER SOURCE-ROOT PREFIX LIBDIR "CC" "CXX" (CXX may be empty)
set -u
meson=$1 build=$2 root=$(cd "$3" && pwd) prefix=$4 libdir=$5
dir=$(mktemp -d "${TMPDIR:-/tmp}/mendel-installed-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
DESTDIR="$dir/staged" "$meson" install -C "$build" --no-rebuild >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
mv "$dir/staged$prefix" "$dir/moved"
DESTDIR="$dir/again" "$meson" install -C "$build" --no-rebuild >"$dir/log" 2>&1 &&
    (cd "$build" && "$meson" --internal uninstall) >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
left=$(find "$dir/again" ! -type d)
[ -z "$left" ] || { printf 'what was installed is left:\n%s\n' "$left"; exit 1; }
sh "$root/tests/install/check_prefix.sh" "$dir/moved" "$libdir" "$root" "$6" "$7"
