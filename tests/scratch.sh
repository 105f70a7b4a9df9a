# What scripts that run the program begin with, read by `. .../scratch.sh`: the program ($1 of the
# script) becomes $mendel, whole, and the script goes on in an empty folder, $dir, which is removed
# at its end.  No tuning table of this machine is used.
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
dir=$(mktemp -d "${TMPDIR:-/tmp}/mendel-$(basename "$0" .sh)-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export XDG_CACHE_HOME="$dir/cache"

# quietly ARGUMENT...: what must work before anything is tested.
quietly() {
    "$mendel" "$@" >out 2>err || {
        cat err
        exit 1
    }
}
