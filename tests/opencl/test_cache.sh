#!/bin/sh
# The opencl backend's cache of built programs, on a driver where it is off by default (PoCL): a
# second start builds nothing, what is damaged or belongs to another program is built anew, and two
# that start at once do not hurt each other.  The ops of one small program serve.
# usage: test_opencl_cache.sh TEST_OPS
# Exit 77 (skipped) without a device, unless MDL_TEST_REQUIRE_OPENCL is set.
set -u
dir=$(mktemp -d "${TMPDIR:-/tmp}/mendel-cache-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
export XDG_CACHE_HOME="$dir" MDL_TEST_BACKEND=opencl MDL_TEST_TINY=1
failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# What a start with the cache leaves: number (another one once it is written anew), size and name.
files() {
    find "$dir/mendel" -name '*.bin' -exec ls -is1 {} + | sort
}

# start OP [0]: run the cases of the op, with the cache unless 0 is given.
start() {
    MENDEL_OPENCL_CACHE=${2:-1} MDL_TEST_OP=$1 "$ops" >"$dir/out" 2>&1
    code=$?
    [ $code -eq 0 ] || fail "exit $code with $1: $(tail -n 5 "$dir/out")"
}

ops=$1
start lerp 0
[ $code -ne 77 ] || exit 77
[ -z "$(files)" ] || fail 'MENDEL_OPENCL_CACHE=0 leaves files'

start lerp
first=$(files)
[ "$(echo "$first" | grep -c .)" -eq 1 ] || fail "expected one file: $first"
start lerp
[ "$(files)" = "$first" ] || fail 'a second start built its program again'

file=$(ls "$dir"/mendel/*.bin)
cp "$file" "$dir/whole"
size=$(wc -c <"$file")
start add # another program
other=$(find "$dir/mendel" -name '*.bin' ! -path "$file")
[ -s "$other" ] || fail 'no second file'

# damaged WHAT: the file is not usable; a start writes another, which the next start uses.
damaged() {
    before=$(files)
    start lerp
    [ "$(files)" != "$before" ] || fail "$1: not built anew"
    built=$(files)
    start lerp
    [ "$(files)" = "$built" ] || fail "$1: built anew twice"
}
# Written in place, a file keeps its number.
head -c $((size / 2)) "$dir/whole" >"$file"
damaged 'cut in half'
: >"$file"
damaged 'empty'
{
    head -c $((size - 100)) "$dir/whole"
    head -c 100 /dev/zero
} >"$file"
damaged 'other bytes at the end'
{
    cat "$dir/whole"
    echo
} >"$file"
damaged 'longer'
cat "$other" >"$file"
damaged "another program's"

rm "$dir"/mendel/*.bin
MENDEL_OPENCL_CACHE=1 MDL_TEST_OP=lerp "$ops" >"$dir/one" 2>&1 &
start lerp
wait $! || fail "one of two: $(tail -n 5 "$dir/one")"
both=$(files)
left=$(find "$dir/mendel" -type f ! -name '*.built')
[ "$(echo "$left" | grep -c .)" -eq 1 ] || fail "two at once left $left"
start lerp
[ "$(files)" = "$both" ] || fail 'what two wrote at once is not used'

[ $failures -eq 0 ] || exit 1
echo 'all is well'
