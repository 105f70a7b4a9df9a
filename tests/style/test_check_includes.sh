#!/bin/sh
# Does check_includes.sh see what it must see?  usage: test_check_includes.sh checker
checker=$1
root=$(mktemp -d) || exit 1
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/include/mendel" "$root/src/base" "$root/src/ops" "$root/src/train" \
    "$root/src/data" "$root/src/models" "$root/src/cli" "$root/backends/cpu" "$root/backends/reference"
failed=0

# expect 0|1 file 'included path': a tree with this one line passes (0) or not (1)
expect() {
    printf '#include <stdio.h>\n#include "%s"\n' "$3" >"$root/$2"
    got=0
    sh "$checker" "$root" >"$root/out" || got=1
    if [ "$got" -ne "$1" ]; then
        echo "$2 includes $3: expected $1, got $got" && failed=1
    fi
    rm "$root/$2"
}

expect 0 src/ops/a.c base/base.h
expect 0 src/ops/a.c mendel/status.h
expect 0 src/ops/a.c rules.h
expect 0 src/ops/a.c ops/rules.h
expect 0 src/train/a.c data/data.h
expect 0 backends/cpu/a.c backends/backend.h
expect 0 backends/cpu/a.c backends/cpu/kernels.h
expect 0 include/mendel/a.h mendel/status.h
expect 1 src/ops/a.c train/train.h
expect 1 src/base/a.h ops/ops.h
expect 1 src/train/a.c data/reader.h
expect 1 src/data/a.c models/models.h
expect 1 src/ops/a.c backends/backend.h
expect 1 src/train/a.c backends/cpu/kernels.h
expect 1 backends/cpu/a.c backends/reference/kernels.h
expect 1 include/mendel/a.h base/base.h
expect 1 src/ops/a.c nowhere/nowhere.h
expect 0 src/cli/cmd_train.c mendel/work.h
expect 0 src/cli/cmd_train.c base/base.h
expect 0 src/cli/cmd_bench.c cli/bench.h
expect 0 src/cli/cmd_plan.c cli/engine.h
expect 0 src/cli/engine.h api/api.h
expect 1 src/cli/cmd_train.c cli/engine.h
expect 1 src/cli/cmd_train.c train/train.h
expect 1 src/cli/cli.h api/api.h
exit $failed
