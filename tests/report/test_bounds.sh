#!/bin/sh
# The folder that a report reads is outside bytes: whatever is in its files, the report is written or
# names file and field, and it takes seconds.  And as many rows as there are come into it.
# usage: test_report_bounds.sh MENDEL
set -u
. "$(dirname "$0")/../expect.sh"
. "$(dirname "$0")/../scratch.sh"

for tool in gnuplot dot; do
    command -v $tool >/dev/null || { echo "$tool is missing"; exit 77; }
done

# folder: a new one with nothing but a configuration
folder() {
    rm -rf f && mkdir f && echo 'train.epochs: 1' >f/config.yaml
}

# refused FILE TEXT MESSAGE: a folder with this file makes no report, and the message says why
refused() {
    folder && mkdir -p "f/$(dirname "$1")" && printf '%s' "$2" >"f/$1"
    "$mendel" report f >out 2>err
    [ $? -eq 3 ] || fail "$1 with $(printf "%.60s" "$2"): expected exit code 3"
    says err "$1"
    says err "$3"
}

# written FILE TEXT: this file does no harm
written() {
    folder && mkdir -p "f/$(dirname "$1")" && printf '%s' "$2" >"f/$1"
    "$mendel" report f >out 2>err || fail "$1 with $(printf '%.60s' "$2"): $(cat err)"
}

refused table.json '[1, 2]' 'expected an object, got a list'
refused table.json '{"rows": {}}' 'rows: expected a list, got an object'
refused table.json '{"rows": [3]}' 'rows[]: expected an object, got a number'
refused table.json '{"rows": [{"name": 3}]}' 'rows[].name: expected text, got a number'
refused table.json '{"rows": [{"top1": "much"}]}' 'rows[].top1: expected a number, got text'
refused table.json '{"rows": [], "rows": []}' 'duplicate object key'
refused table.json '{"tests": true}' 'tests: expected a list, got true or false'
refused table.json '{"rows": [' 'table.json: line 1'
refused table.json "{\"rows\": [$(seq -s ', ' 1 2001 | sed 's/[0-9]\{1,\}/{}/g')]}" \
    'rows: 2001 elements, expected at most 2000'
refused table.json "$(printf '%100000s' '' | tr ' ' '[')" 'table.json: line 1'
refused results.json '{"methods": "all"}' 'methods: expected a list, got text'
refused evaluation.json '{"models": [{"robustness": {"kinds": 5}}]}' 'kinds: expected a list'
refused paths.json '{"paths": [{"lines": [[]]}]}' 'paths[].lines[]: expected an object'
refused C-x/winner.json '{"members": [{"id": []}]}' 'members[].id: expected a number, got a list'
refused C-x/winner.json '{"ancestors": [{"parents": [1, 2, 3]}]}' 'parents: 3 elements'

# Numbers that are not meant: no size, no index, no line of 300 digits.
huge=1e300
test_row='{"kind": "KIND", "arm": "hybrid", "name": "NAME", "top1": N, "low": N, "high": N,
  "seed_top1": [N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N], "latency_median_s": N,
  "train_seconds": N, "parameters": N, "multiply_adds": N, "loss": N, "note": "a note"}'
row() {
    echo "$test_row" | sed "s/KIND/$1/; s/NAME/$2/; s/\bN\b/$3/g"
}
for number in $huge -$huge 1e15 -1e15 -1 0 18446744073709551615 null 99999999999999; do
    case $number in 18446744073709551615) continue ;; esac # more than 64 bits: JSON's own error
    fused=$(row fused 'hybrid + M2N2' "$number")
    parent=$(row best_parent 'hybrid: best parent' "$number")
    average=$(row average 'hybrid: uniform average' "$number")
    test="{\"test\": \"paired\", \"first\": \"hybrid + M2N2\", \"second\": \"hybrid: SECOND\",
      \"difference\": $number, \"p\": $number, \"t\": $number, \"sign_flip_p\": $number}"
    written table.json "{\"title\": \"t\", \"images\": $number, \"rows\": [$fused, $parent, $average],
      \"tests\": [$(echo "$test" | sed 's/SECOND/best parent/'),
      $(echo "$test" | sed 's/SECOND/uniform average/')], \"verdict\": \"x\"}"
    written C-hybrid/winner.json "{\"images\": $number, \"winner\": $number, \"split\": \"train\",
      \"members\": [{\"id\": $number, \"owns\": $number, \"right\": \"10\", \"top1\": $number},
      {\"id\": 2, \"owns\": 1, \"right\": \"1\"}], \"ancestors\": [{\"id\": $number,
      \"parents\": [$number, 2], \"ratio\": $number}, {\"id\": 2, \"parents\": []}]}"
    written evaluation.json "{\"models\": [{\"name\": \"m\", \"kind\": \"fused\", \"robustness\":
      {\"images\": $number, \"kinds\": [{\"name\": \"fog\", \"group\": \"weather\",
      \"top1\": [$number]}]}, \"steps\": {\"trained\": $number, \"top1\": [$number]}}]}"
    written paths.json "{\"paths\": [{\"t\": [$number, 1], \"lines\": [{\"top1\": [$number]}]}]}"
done

# More repeats than any configuration has.
folder
for i in $(seq 1 40); do
    mkdir "f/repeat-$i" && cp f/config.yaml "f/repeat-$i"
    echo '{"images": 4, "rows": [{"kind": "fused", "arm": "hybrid", "name": "a", "top1": 0.5}]}' \
        >"f/repeat-$i/table.json"
done
"$mendel" report f >out 2>err || fail "40 repeats: $(cat err)"
says f/report.md 'repeat-40'

# Long files: empty lines, and lines of which only the last has what is looked for.
folder && mkdir f/C-hybrid f/A-seed1
echo '{"winner": 1, "images": 2, "members": [{"id": 1, "owns": 2, "right": "11"}]}' >f/C-hybrid/winner.json
yes '' | head -n 1500000 >f/C-hybrid/lineage.jsonl
echo '{"id": 1, "source": "A-seed1/final.safetensors"}' >>f/C-hybrid/lineage.jsonl
cp f/C-hybrid/lineage.jsonl f/A-seed1/metrics.jsonl
yes '{"epoch": 1e300, "fitness_top1": -1e300, "train_loss": 3}' | head -n 20000 >>f/A-seed1/metrics.jsonl
seq 1 30000 | sed 's/.*/{"epoch": &, "fitness_top1": 0.5, "train_loss": 3}/' >>f/A-seed1/metrics.jsonl
timeout 60 "$mendel" report f >out 2>err || fail "long files: $(cat err)"
says f/report.md 'seed 1, winner'

# 120 rows and 100 tests.
folder
{
    echo '{"title": "many", "images": 100, "rows": ['
    row fused 'hybrid + M2N2' 0.5 && echo ,
    row best_parent 'hybrid: best parent' 0.5
    for i in $(seq 1 118); do echo , && row other "hybrid: other $i" "0.$i"; done
    echo '], "tests": [{"test": "mcnemar", "first": "hybrid + M2N2", "second": "hybrid: best parent"}'
    for i in $(seq 1 99); do
        echo ",{\"test\": \"mcnemar\", \"first\": \"hybrid + M2N2\", \"second\": \"hybrid: other $i\","
        echo '"difference": 0.1, "low": 0.05, "high": 0.2, "p": 0.01, "b": 3, "c": 5}'
    done
    echo '], "verdict": "all told"}'
} >f/table.json
"$mendel" report f >out 2>err || fail "many rows: $(cat err)"
says f/report.md 'hybrid: other 118'
says f/report.md 'hybrid + M2N2 against hybrid: other 99'
says f/report.html 'against other 99'

[ "$failures" -eq 0 ]
