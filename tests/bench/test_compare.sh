#!/bin/sh
# The table of tests/bench/compare.py, of runs that were saved (times made up).
# usage: test_compare.sh python3 tests/bench
set -u
table=$("$1" "$2/compare.py" --dry "$2/example.jsonl") || exit 1
expected='model     work   batch threads    mendel     torch         ratio        rounds     MiB torch MiB
baseline  train     64       2     500.0     160.0 (nhwc)   3.12   2.00-  4.00     240       700
baseline  infer     64       2    2000.0    1000.0 (nchw)   2.00   2.00-  2.00     100       310'
[ "$table" = "$expected" ] || { echo "$table"; exit 1; }
"$1" "$2/compare.py" 2>/dev/null && { echo 'neither program nor --dry: expected a refusal'; exit 1; }
sed "s/median_s/mean_s/g" "$2/example.jsonl" | "$1" "$2/compare.py" --dry /dev/stdin 2>/dev/null &&
    { echo 'runs without median_s: expected a refusal'; exit 1; }
exit 0
