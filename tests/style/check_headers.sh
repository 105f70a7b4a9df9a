#!/bin/sh
# Each public header must compile alone.  usage: check_headers.sh include-folder compiler...
# with the compiler's language options last (-x c -std=c11, or -x c++).
include=$1
shift
failed=0
for header in "$include"/mendel/*.h; do
    printf '#include "mendel/%s"\n' "${header##*/}" |
        "$@" -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$include" - ||
        { echo "not self-contained: $header" && failed=1; }
done
exit $failed
