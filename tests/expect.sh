# What the tests of the program share, read by `. "$(dirname "$0")/expect.sh"`: $mendel is run in a
# scratch folder, its output lands in out and err, $failures counts what was not as expected.
failures=0

fail() {
    echo "FAILED: $*"
    [ ! -s err ] || tail -n 5 err | sed 's/^/  err: /'
    failures=$((failures + 1))
}

# expect CODE ARGUMENT...: run, compare the exit code; output in out and err.
expect() {
    wanted=$1
    shift
    "$mendel" "$@" >out 2>err
    got=$?
    [ "$got" -eq "$wanted" ] || fail "exit $got, expected $wanted: mendel $*"
}

# says FILE TEXT: the file contains it.
says() {
    grep -qF -- "$2" "$1" || fail "\"$2\" is not in $1: $(head -c 400 "$1")"
}
