#!/bin/sh
# The report of a small experiment by its facts: every number of the table stands in the page under its
# row's id.  Hostile names, folders that are not finished, of a training, a search, an evaluation, of the
# paper's experiment, of repeats; whether its commands do it again; then in a browser, wide and narrow,
# light and dark: no error, every picture drawn, nothing sticks out.
# usage: test_report.sh MENDEL [CHROMIUM]; without a browser that part is left out, unless
# MDL_TEST_REQUIRE_BROWSER is set.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$(dirname "$0")/../expect.sh"
chromium=${2:-}
. "$(dirname "$0")/../scratch.sh"

for tool in gnuplot dot python3; do
    command -v $tool >/dev/null || { echo "$tool is missing"; exit 77; }
done

cat >tiny.yaml <<'YAML'
data: {source: "synthetic:120", image_size: 8, validation_fraction: 0.25}
model: {width: 0.25, depth: 0.2}
trm: {dim: 8}
train: {epochs: 2, batch: 16, evaluate_every: 1}
merge: {evaluations: 4, batch: 2}
experiment: {epochs_merged: 0, latency_runs: 2, corrupt_images: 2, tta_images: 4}
run: {threads: 1}
YAML
facts="python3 $here/facts.py"
table="python3 $here/make_table.py"

# has PAGE SECTION..., lacks PAGE SECTION: by their ids
has() {
    page=$1
    shift
    for section in "$@"; do
        case " $($facts sections "$page") " in
        *" $section "*) ;;
        *) fail "$page has no section $section" ;;
        esac
    done
}
lacks() {
    case " $($facts sections "$1") " in
    *" $2 "*) fail "$1 has a section $2" ;;
    esac
}

# outcome PAGE NUMBER: 0 no test, 1 alike, 2 open, 3 better, 4 worse
outcome() {
    [ "$($facts outcome "$1")" = "$2" ] || fail "$1: the outcome is $($facts outcome "$1"), not $2"
}

expect 0 experiment tiny.yaml --out x
says out 'x/report.html'
$facts table x || fail 'a number of the table is not in the page'
has x/report.html answer compared results tests speed training search recursion errors calibration \
    robustness tta again missing
lacks x/report.html interpolation
! grep -qE '<script|(src|href)="?(https?:)?//|@import|url\((.?)http' x/report.html ||
    fail 'something is loaded from elsewhere'

# For a terminal: the verdict before the rows, the tests where they are asked for, lines that fit.
! grep -q 'McNemar, ' out || fail 'tests without --tests'
[ "$(grep -n 'Is the model' out | cut -d : -f 1)" -lt "$(grep -n 'top-1 %' out | cut -d : -f 1)" ] ||
    fail 'the verdict does not come first'
for width in 40 80 120; do
    COLUMNS=$width "$mendel" experiment tiny.yaml --out x --tests >out 2>err || fail "$width columns"
    says out 'McNemar, '
    sed -n '/^Experiment on/,/^The table/p' out | grep -v '^The table' | awk -v most=$width \
        'length($0) > most { print; bad = 1 } END { exit bad }' || fail "lines wider than $width"
done
cmp -s x/table.txt x/table.md && fail 'the two texts are one'
says x/table.md '| M2N2 ('

# Members of the archive have names: a parent its training's, a child of the search a number.
grep -qE '>seed [12]( EMA)?<' x/report.html || fail 'no parent has its name in the lineage'

# Whoever follows what the page says gets the same bytes, from the text alone.
mkdir follow
sed -n '/^## Doing it again/,/^config.yaml: /s/^    //p' x/report.md >follow/commands
sed -n '/^config.yaml: /,$s/^    //p' x/report.md >follow/config.yaml
says follow/commands 'mendel experiment config.yaml --data synthetic:120 --set run.tuning=off --out again'
(cd follow && PATH=$(dirname "$mendel"):$PATH && mendel() { "$mendel" "$@"; } && . ./commands) \
    >out 2>err || fail 'following the commands of the page'
sum=$(sed -n 's/.*the SHA-256 of C-hybrid.merged.safetensors is \([0-9a-f]*\)\..*/\1/p' x/report.md)
[ ${#sum} -eq 64 ] || fail 'the page has no hash of the merged model'
says out "$sum"

# What made a folder is recorded; an older folder that is gone on with says so.
says x/report.md 'Made by Mendel'
cp -r x old && rm old/made.json
"$mendel" experiment tiny.yaml --out old >out 2>err || fail 'a folder without made.json'
says old/report.md 'Begun by a version that kept no record of itself.'
says old/report.md 'Then gone on with by Mendel'

# The interpolation between parents.
cat >x/interpolation.json <<'JSON'
{"interpolations": [{"arm": "hybrid", "between": "independent", "first": "a", "second": "b", "images": 30,
  "t": [0, 0.5, 1], "lines": [
  {"aligned": false, "recalibrated": false, "top1": [0.9, 0.1, 0.8], "loss": [1, 2, 1], "barrier": 1.25},
  {"aligned": false, "recalibrated": true, "top1": [0.9, 0.3, 0.8], "loss": [1, 2, 1], "barrier": 1},
  {"aligned": true, "recalibrated": true, "top1": [0.9, 0.6, 0.8], "loss": [1, 2, 1], "barrier": 1}]}]}
JSON
expect 0 report x
has x/report.html interpolation
[ "$($facts value x/report.html '' barrier 2>&1)" = 1.25 ] || fail 'the barrier'

# The paper's experiment: published values beside ours.
mkdir paper && cp x/config.yaml paper
$table paper m2n2:method:0.8:published=0.873 ga:method:0.7:published=0.68 random:method:0.8 \
    cma-es:method:0.9 -- m2n2,ga,paired,better,0.1,0.002 m2n2,random,paired,open,0,1 \
    m2n2,cma-es,paired,worse,-0.1,0.002 >paper/table.json
expect 0 report paper
$facts table paper || fail 'the table of the paper'
outcome paper/report.html 2

# The question is about all parents, so one test is half an answer.
mkdir half && cp x/config.yaml half
half() {
    $table experiment hybrid.m2n2:m2n2:0.8 hybrid.best-parent:best-parent:0.7 hybrid.child-1:parent:0.75 \
        -- "hybrid.m2n2,hybrid.best-parent,mcnemar,$1,0.1,0.013" \
        "hybrid.m2n2,hybrid.child-1,mcnemar,$2,0.05,0.27" >half/table.json
    expect 0 report half
    outcome half/report.html "$3"
}
half better open 2
says half/report.md '**In part.**'
half better better 3
half open open 2
half worse open 4
half alike open 1
half none open 0
! "$mendel" report half -o half/table.json >out 2>err || fail 'the table is written over'
says err 'ends in .html'
says half/table.json '"version": 2'

# A table of an older version is refused, with what to do.
mkdir older && cp x/config.yaml older && echo '{"title": "T", "rows": []}' >older/table.json
expect 3 report older
says err 'run the experiment in this folder again'

# Repeats: values in pairs, learning curves, tests over them; also where the last is not finished.
mkdir many && cp -r x/config.yaml many && cp -r x many/repeat-1 && cp -r x many/repeat-2
mkdir many/repeat-10 && cp -r x/config.yaml x/A-seed1 many/repeat-10
$table repeats 'hybrid.m2n2:m2n2:0.7:each="repeat":each_top1=[0.69,0.71]' \
    'hybrid.best-parent:best-parent:0.5:each="repeat":each_top1=[0.48,0.52]' \
    hybrid.independent-average:independent-average:0.1 \
    -- hybrid.m2n2,hybrid.best-parent,paired,better,0.2,0.0318 >many/table.json
expect 0 report many
$facts table many || fail 'the table of repeats'
has many/report.html repeats
outcome many/report.html 3
says many/report.md 'far below: hybrid: independent average (10.00 %)'

# Names are text, never code: not for HTML, Markdown, gnuplot, nor Graphviz.
cp -r x hostile
evil="<script>1</script><img src=x> 5 %d ' \`touch owned\` | \\\\\\\\"
sed -i "s#seed 1, final#$evil#g; s#\"synthetic\"#\"<script>synthetic\"#" hostile/table.json
sed -i "s#C-hybrid/average#$evil#g" hostile/C-*/lineage.jsonl
"$mendel" report hostile -o h.html >out 2>err || fail 'the report with hostile names'
! grep -q '<script\|<img src=x' h.html || fail 'a name became HTML'
! grep -q '[^\\]<script' h.md || fail 'a name became Markdown'
[ -z "$(find . -name owned)" ] || fail 'a name became a command'

# What is not there is left out; a training, a search and an evaluation have pages of their own.
mkdir part && cp x/config.yaml part
expect 0 report part
lacks part/report.html results
has part/report.html answer missing
mkdir unfinished && cp -r x/config.yaml x/A-seed1 unfinished
expect 0 report unfinished
has unfinished/report.html training
expect 0 train --config tiny.yaml --out training
expect 0 report training
has training/report.html answer training again
lacks training/report.html missing
expect 0 evolve x/A-seed1/final.safetensors x/A-seed2/final.safetensors --data synthetic:120 \
    --set merge.evaluations=4 --out evolved
expect 0 report evolved
has evolved/report.html answer search
mkdir evaluated
"$mendel" eval x/A-seed1/final.safetensors --data synthetic:120 --json \
    --predictions evaluated/predictions.csv >evaluated/eval.json 2>err || fail 'the evaluation'
expect 0 report evaluated
has evaluated/report.html answer predictions
ours=$(python3 -c 'import json; print(float(json.load(open("evaluated/eval.json"))["top1"]))')
[ "$($facts value evaluated/report.html eval.json top1)" = "$ours" ] || fail 'the accuracy of an evaluation'
has evaluated/report.html errors
! grep -q '<img' evaluated/report.html || fail 'mistakes that nobody asked for'

# Where it errs: as many pictures of mistakes as there are; what is no picture is not put into the page.
mkdir errs
"$mendel" eval x/A-seed1/final.safetensors --data synthetic:120 --mistakes 40 -o errs/eval.json >out 2>err ||
    fail 'the evaluation with mistakes'
expect 0 report errs
mistakes=$(python3 -c 'import json; print(sum(m["image"] is not None for m in json.load(open("errs/eval.json"))["mistakes"]))')
[ "$(grep -c '<img alt="" src="data:image/png;base64,' errs/report.html)" = "$mistakes" ] ||
    fail "not $mistakes pictures"
grep -q '^- .* called .* with .* %, image ' errs/report.md || fail 'no mistakes in the Markdown'
python3 - <<'PY'
import json
look = json.load(open("errs/eval.json"))
look["mistakes"][0]["image"] = 'x" onerror="alert(1)'
for one in look["classes"]["each"]:
    one["name"] = "<script>1</script> | `a` " + str(one["class"])
look["classes"]["confusion"][0] = "nothing"
json.dump(look, open("errs/eval.json", "w"))
PY
expect 0 report errs
[ "$(grep -c '<img' errs/report.html)" = $((mistakes - 1)) ] || fail 'what is no picture is in the page'
! grep -q 'onerror\|<script' errs/report.html || fail 'a class became HTML'
! grep -q '[^\\]<script\|[^\\]`a' errs/report.md || fail 'a class became Markdown'
cat >evaluated/bound.json <<'JSON'
{"checkpoint": "a", "images": 10, "top1": 0.5, "calibration": {"plain": {"ece": 0.1}, "scaled": {"temperature": 49.9}}}
JSON
expect 0 report evaluated
says evaluated/report.md 'at the bound of the fit'
mkdir nothing
"$mendel" report nothing >out 2>err && fail 'an empty folder passes for an experiment'
says err 'nothing to report'
cp -r part broken && echo '{"rows": [' >broken/table.json
"$mendel" report broken >out 2>err && fail 'broken JSON is taken'
says err 'table.json'
mkdir bin
PATH=$dir/bin "$mendel" report x >out 2>err && fail 'a report without gnuplot'
says err 'apt-get install'

# A part without data has no heading.
for page in x part training evolved evaluated paper many; do
    awk '/^## / { if (heading) exit 1; heading = 1; next } NF { heading = 0 } END { if (heading) exit 1 }' \
        $page/report.md || fail "an empty heading in $page/report.md"
    ! tr -d '\n' <$page/report.html | grep -qE '</h2></section>|<div class="figures"></div>' ||
        fail "an empty part in $page/report.html"
done

if [ -z "$chromium" ]; then
    [ -z "${MDL_TEST_REQUIRE_BROWSER:-}" ] || fail 'there is no chromium'
    [ $failures -eq 0 ] || exit 1
    echo 'all is well; there is no browser to look with'
    exit 0
fi

# ---- in a browser --------------------------------------------------------------------------------
# A copy of the page says what it looks like: charts with fewer than 8 marks that take room, and graphs
# with none, count as not drawn.  A window is never narrower than 500 pixels: a frame is.
cat >probe.html <<'HTML'
<script>
addEventListener('load', function () {
    var seen = document.documentElement, figures = document.querySelectorAll('figure'), empty = 0;
    figures.forEach(function (figure) {
        var drawn = 0;
        figure.querySelectorAll('.plot svg path, .plot svg use, .plot svg polygon').forEach(
            function (mark) {
                var box = mark.getBoundingClientRect();
                if (!mark.closest('defs') && (box.width > 0 || box.height > 0)) drawn++;
            });
        if (drawn < (figure.classList.contains('graph') ? 1 : 8)) empty++;
    });
    var ids = Array.from(document.querySelectorAll('[id]')).map(function (e) { return e.id; });
    var text = 'figures ' + figures.length + ' empty ' + empty + ' sticks-out ' +
        (seen.scrollWidth > innerWidth) + ' twice ' + (ids.length - new Set(ids).size) +
        ' narrow ' + (innerWidth < 400) + ' paper ' +
        getComputedStyle(document.body).backgroundColor.replace(/ /g, '');
    seen.setAttribute('data-seen', text);
    parent.postMessage(text, '*');
});
</script></body>
HTML
sed -e '/<\/body>/{' -e 'r probe.html' -e 'd' -e '}' x/report.html >probed.html
cat >frame.html <<'HTML'
<!DOCTYPE html><html lang="en"><head><meta name="color-scheme" content="light dark"></head><body>
<script>addEventListener('message', function (e) {
    document.documentElement.setAttribute('data-seen', e.data); });</script>
<iframe src="probed.html" width="390" height="800"></iframe></body></html>
HTML

# look PAGE WORDS FLAG...: what the copy says contains the words, and nobody complains.
look() {
    page=$1
    words=$2
    shift 2
    timeout 120 "$chromium" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
        --user-data-dir="$dir/profile" --enable-logging=stderr --dump-dom "$@" \
        --virtual-time-budget=5000 "file://$dir/$page" >dom 2>log || fail "chromium $*: $(tail -n 3 log)"
    seen=$(grep -o 'data-seen="[^"]*"' dom)
    case $seen in
    *"$words"*) ;;
    *) fail "expected $words, got ${seen:-nothing} ($*)" ;;
    esac
    ! grep 'CONSOLE' log || fail "the console complains ($*)"
}

figures=$(grep -c '<figure' x/report.html)
[ "$figures" -ge 12 ] || fail "only $figures figures"
good="figures $figures empty 0 sticks-out false twice 0"
look probed.html "$good narrow false paper rgb(255,255,255)" --window-size=1366,900
look frame.html "$good narrow true paper rgb(255,255,255)" --window-size=1366,900
look probed.html "$good narrow false paper rgb(20,23,26)" --window-size=1366,900 \
    --blink-settings=preferredColorScheme=0
timeout 120 "$chromium" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
    --user-data-dir="$dir/profile" --print-to-pdf="$dir/x.pdf" "file://$dir/x/report.html" \
    >out 2>log || fail 'printing'
[ "$(head -c 4 x.pdf)" = %PDF ] || fail 'no PDF'

[ $failures -eq 0 ] || exit 1
echo "all is well: $figures figures"
