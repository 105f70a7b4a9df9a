#!/bin/sh
# Every kernel of the opencl backend under Oclgrind at small shapes: accesses out of bounds, races,
# reads of what was never written, barriers that part of a group misses, misuse of the API.
# usage: test_oclgrind.sh TEST_OPS
# Oclgrind always exits with 0: what counts is that its log is empty.  Its optimiser makes
# instructions that it does not know, so it is switched off.
# Exit 77 (skipped) without Oclgrind, unless MDL_TEST_REQUIRE_OPENCL is set.
set -u
command -v oclgrind >/dev/null || {
    echo 'oclgrind is not installed'
    [ -n "${MDL_TEST_REQUIRE_OPENCL:-}" ] && exit 1
    exit 77
}
log=$(mktemp "${TMPDIR:-/tmp}/mendel-oclgrind-XXXXXX") || exit 1
trap 'rm -f "$log"' EXIT
MENDEL_OPENCL_CLBLAST_FROM=inf MDL_TEST_TINY=1 MDL_TEST_BACKEND=opencl:oclgrind oclgrind --max-errors 10 --log "$log" \
    --num-threads 1 --data-races --uninitialized --check-api --build-options -cl-opt-disable "$1"
code=$?
[ ! -s "$log" ] || {
    head -c 5000 "$log"
    exit 1
}
exit $code
