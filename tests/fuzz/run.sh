#!/bin/sh
# Runs the fuzz targets with libFuzzer, one after the other, and prints a table.
#   tests/fuzz/run.sh [SECONDS] [TARGET...]      60 seconds each, all of them
# The build is build-fuzz (Clang, AddressSanitizer, UndefinedBehaviorSanitizer, leaks).  What a run
# learns is kept in build-fuzz/corpus/TARGET, what fails in build-fuzz/crashes/TARGET-*, the words of
# libFuzzer in build-fuzz/logs.  An input that takes 10 seconds or 2 GB is a failure.
# Exit: 0 no failure, 1 there was one, 2 wrong usage.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${FUZZ_BUILD:-build-fuzz}

seconds=60
case ${1:-} in
'') ;;
*[!0-9]*)
    case $1 in -*)
        sed -n '2,7s/^# \{0,1\}//p' "$0"
        exit 2
        ;;
    esac
    ;;
*)
    seconds=$1
    shift
    ;;
esac
targets=$*
[ -n "$targets" ] || targets=$(find tests/fuzz -name 'fuzz_*.c' | sed 's/.*fuzz_\(.*\)\.c$/\1/' | sort)
for target in $targets; do
    [ -f "tests/fuzz/fuzz_$target.c" ] || {
        echo "run.sh: there is no target $target (tests/fuzz/fuzz_$target.c)" >&2
        exit 2
    }
done

# ---- build ---------------------------------------------------------------------------------------

if [ ! -f "$build/build.ninja" ]; then
    CC=${CC:-clang} meson setup "$build" -Dfuzz=true -Dopencl=disabled -Dlibxsmm=disabled \
        -Dbuildtype=debugoptimized -Db_lundef=false >/dev/null || {
        echo "run.sh: no build with Clang and libFuzzer (Debian: clang libclang-rt-dev)" >&2
        exit 1
    }
fi
programs=
for target in $targets; do
    programs="$programs tests/fuzz/fuzz_$target"
done
# shellcheck disable=SC2086 # a list of words
ninja -C "$build" $programs >"$build/fuzz-build.log" 2>&1 || {
    tail -40 "$build/fuzz-build.log" >&2
    exit 1
}

# ---- run -----------------------------------------------------------------------------------------

# The longest inputs: as long as what the reader takes in a few pieces.
length_of() {
    case $1 in
    archive | batches | report) echo 8192 ;;
    tar) echo 16384 ;;
    set | text) echo 512 ;;
    *) echo 4096 ;;
    esac
}

stat_of() { # name, file
    sed -n "s/^stat::$1: *//p" "$2" | tail -1
}

mkdir -p "$build/corpus" "$build/crashes" "$build/logs"
# Files of the targets lie in memory; a crash leaves them behind.
memory=/dev/shm
[ -w $memory ] || memory=${TMPDIR:-/tmp}
TMPDIR=$(mktemp -d "$memory/mendel-fuzz-XXXXXX") || exit 1
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 130' INT TERM
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
export ASAN_OPTIONS="quarantine_size_mb=16:allocator_may_return_null=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
failures=0
printf '%-12s %12s %8s %9s %8s\n' target inputs inputs/s coverage failures
for target in $targets; do
    log=$build/logs/$target.log
    set --
    [ ! -f "tests/fuzz/$target.dict" ] || set -- "-dict=tests/fuzz/$target.dict"
    mkdir -p "$build/corpus/$target"
    "$build/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2000 \
        -max_len="$(length_of "$target")" -print_final_stats=1 \
        -artifact_prefix="$build/crashes/$target-" "$@" "$build/corpus/$target" "tests/fuzz/corpus/$target" >"$log" 2>&1
    code=$?
    [ $code -eq 0 ] || failures=$((failures + 1))
    printf '%-12s %12s %8s %9s %8s\n' "$target" "$(stat_of number_of_executed_units "$log")" \
        "$(stat_of average_exec_per_sec "$log")" "$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -c6-)" \
        "$([ $code -eq 0 ] && echo 0 || echo "1, see $log")"
done
[ $failures -eq 0 ]
