#!/bin/sh
# The folder that a report reads is outside bytes: whatever is in its files, the report is written or
# names file and field, and it takes seconds.  And as many rows as there are come into it.
# usage: test_report_bounds.sh MENDEL
set -u
here=$(cd "$(dirname "$0")" && pwd)
table="python3 $here/make_table.py"
. "$(dirname "$0")/../expect.sh"
. "$(dirname "$0")/../scratch.sh"

for tool in gnuplot dot python3; do
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

refused table.json '[1, 2]' 'table.json'
refused table.json '{"version": 2, "rows": {}}' 'table.json'
refused table.json '{"version": 3}' 'newer version'
refused table.json '{"rows": [' 'line 1'
refused table.json "$(printf '%100000s' '' | tr ' ' '[')" 'line 1'
refused evaluation.json '{"models": [{"robustness": {"kinds": 5}}]}' 'kinds: expected a list, got a number'
refused evaluation.json '{"models": [], "models": []}' 'duplicate object key'
refused evaluation.json '{"models": true}' 'models: expected a list, got true or false'
refused evaluation.json '{"models": [3]}' 'models: expected an object, got a number'
refused evaluation.json '{"models": [{"id": 3}]}' 'id: expected text, got a number'
refused evaluation.json '{"models": [{"steps": {"top1": ["much"]}}]}' 'top1: expected a number, got text'
refused evaluation.json "{\"models\": [$(seq -s ', ' 1 65 | sed 's/[0-9]\{1,\}/{}/g')]}" \
    'models: 65 elements, expected at most 64'
refused interpolation.json '{"interpolations": [{"lines": [[]]}]}' 'lines: expected an object, got a list'
refused C-x/winner.json '{"members": [{"id": []}]}' 'id: expected a number, got a list'
refused C-x/winner.json '{"ancestors": [{"parents": [1, 2, 3]}]}' 'parents: 3 elements'
refused predictions.csv "index,label,predicted
0,1,99999999999" 'expected index, label and predicted class'

# Numbers that are not meant: no size, no index, no line of 300 digits.
huge=1e300
for number in $huge -$huge 1e15 -1e15 -1 0 null 99999999999999; do
    all=:low=$number:high=$number:loss=$number:multiply_adds=$number:train_seconds=$number
    all=$all:latency_median_s=$number:latency_p95_s=$number:published=$number:deviation=$number
    written table.json "$($table experiment "hybrid.m2n2:m2n2:$number$all" \
        "hybrid.best-parent:best-parent:$number$all" "hybrid.average:average:$number:each_top1=[$number]" \
        -- "hybrid.m2n2,hybrid.best-parent,mcnemar,open,$number,$number" \
        "hybrid.m2n2,hybrid.average,paired,better,$number,$number")"
    written C-hybrid/winner.json "{\"images\": $number, \"winner\": $number, \"split\": \"train\",
      \"members\": [{\"id\": $number, \"owns\": $number, \"right\": \"10\", \"top1\": $number},
      {\"id\": 2, \"owns\": 1, \"right\": \"1\"}], \"ancestors\": [{\"id\": $number,
      \"parents\": [$number, 2], \"ratio\": $number}, {\"id\": 2, \"parents\": []}]}"
    written evaluation.json "{\"models\": [{\"id\": \"m\", \"robustness\":
      {\"images\": $number, \"kinds\": [{\"name\": \"fog\", \"group\": \"weather\",
      \"top1\": [$number]}]}, \"steps\": {\"trained\": $number, \"top1\": [$number]},
      \"calibration\": {\"plain\": {\"ece\": $number, \"bins\": [{\"count\": $number}]}},
      \"latency\": {\"1\": {\"runs\": $number, \"median_s\": $number}}}]}"
    written interpolation.json "{\"interpolations\": [{\"t\": [$number, 1], \"lines\": [{\"top1\": [$number]}]}]}"
done

# More repeats than any configuration has.
folder
for i in $(seq 1 40); do
    mkdir "f/repeat-$i" && cp f/config.yaml "f/repeat-$i"
    $table experiment hybrid.m2n2:m2n2:0.5 >"f/repeat-$i/table.json"
done
$table repeats hybrid.m2n2:m2n2:0.5 >f/table.json
"$mendel" report f >out 2>err || fail "40 repeats: $(cat err)"
says f/report.md 'repeat 40'

# Long files: empty lines, and lines of which only the last has what is looked for.
folder && mkdir f/C-hybrid f/A-seed1
echo '{"winner": 1, "images": 2, "members": [{"id": 1, "owns": 2, "right": "11"}]}' >f/C-hybrid/winner.json
yes '' | head -n 1500000 >f/C-hybrid/lineage.jsonl
echo '{"id": 1, "source": "A-seed1/final.safetensors"}' >>f/C-hybrid/lineage.jsonl
cp f/C-hybrid/lineage.jsonl f/A-seed1/metrics.jsonl
yes '{"epoch": 1e300, "fitness_top1": -1e300, "train_loss": 3}' | head -n 20000 >>f/A-seed1/metrics.jsonl
seq 1 30000 | sed 's/.*/{"epoch": &, "fitness_top1": 0.5, "train_loss": 3}/' >>f/A-seed1/metrics.jsonl
timeout 60 "$mendel" report f >out 2>err || fail "long files: $(cat err)"
says f/report.md 'A-seed1, winner'

# 120 rows and 100 tests.
folder
$table experiment hybrid.m2n2:m2n2:0.5 hybrid.best-parent:best-parent:0.5 \
    $(for i in $(seq 1 118); do echo "hybrid.other$i:method:0.$i"; done) \
    -- hybrid.m2n2,hybrid.best-parent,mcnemar,open,0,1 \
    $(for i in $(seq 1 99); do echo "hybrid.m2n2,hybrid.other$i,mcnemar,better,0.1,0.01"; done) \
    >f/table.json
"$mendel" report f >out 2>err || fail "many rows: $(cat err)"
python3 "$here/facts.py" table f || fail 'a row or a test is missing'

[ "$failures" -eq 0 ]
