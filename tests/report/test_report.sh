#!/bin/sh
# The report of a small experiment: what is in it, hostile names, folders that are not finished, the
# paper's experiment, repeats; whether its commands do it again; then in a browser, wide and narrow, light and dark: no error, every picture drawn, nothing sticks out.
# usage: test_report.sh MENDEL [CHROMIUM]; without a browser that part is left out, unless
# MDL_TEST_REQUIRE_BROWSER is set.
set -u
. "$(dirname "$0")/../expect.sh"
chromium=${2:-}
. "$(dirname "$0")/../scratch.sh"

for tool in gnuplot dot; do
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
"$mendel" experiment tiny.yaml --out x >out 2>err || fail 'the experiment'
says out 'x/report.html'
for text in '<!DOCTYPE html>' 'M2N2 fuses better' 'McNemar' 'Reliability' 'Common corruptions' \
    'not comparable with published tables' 'config.yaml: the whole' 'Niches' 'Lineage'; do
    says x/report.html "$text"
done
says x/report.md '| hybrid + M2N2 ('
says x/report.md 'data:'
! grep -qE '<script|(src|href)="?(https?:)?//|@import|url\((.?)http' x/report.html ||
    fail 'something is loaded from elsewhere'

# Members of the archive have names: a parent its training's, a child of the search a number.
grep -qE '>seed [12]( EMA)?<' x/report.html || fail 'no parent has its name in the lineage'
! grep -qE '>n[0-9]+<' x/report.html || fail 'a node of the lineage has no name'
says x/report.html 'the same 24 test images'

# Whoever follows what the page says gets the same bytes, from the text alone.
mkdir follow
sed -n '/^## Doing it again/,/^config.yaml: /s/^    //p' x/report.md >follow/commands
sed -n '/^config.yaml: /,$s/^    //p' x/report.md >follow/config.yaml
says follow/commands 'mendel experiment config.yaml --data synthetic:120 --set run.tuning=off --out again'
(cd follow && PATH=$(dirname "$mendel"):$PATH && mendel() { "$mendel" "$@"; } && . ./commands) \
    >out 2>err || fail 'following the commands of the page'
sum=$(sed -n 's/.*the SHA-256 of C-hybrid.merged.safetensors is \([0-9a-f]*\)\..*/\1/p' x/report.md)
[ ${#sum} -eq 64 ] || fail 'the page has no hash of the fused model'
says out "$sum"

# What made a folder is recorded; an older folder that is gone on with says so.
says x/report.md 'Made by Mendel'
says x/report.md 'images to train on, '
cp -r x old && rm old/made.json
"$mendel" experiment tiny.yaml --out old >out 2>err || fail 'a folder without made.json'
says old/report.md 'Begun by a version that kept no record of itself.'
says old/report.md 'Then gone on with by Mendel'
! grep -h 'train the' out err | grep -qv 'finished before' || fail 'a finished folder was trained again'

# The paths between parents, as another part of the program writes them.
cat >x/paths.json <<'JSON'
{"paths": [{"arm": "hybrid", "between": "independent", "first": "a", "second": "b", "images": 30,
  "t": [0, 0.5, 1], "lines": [
  {"aligned": false, "recalibrated": false, "top1": [0.9, 0.1, 0.8], "loss": [1, 2, 1], "barrier": 1},
  {"aligned": false, "recalibrated": true, "top1": [0.9, 0.3, 0.8], "loss": [1, 2, 1], "barrier": 1},
  {"aligned": true, "recalibrated": false, "top1": [0.9, 0.4, 0.8], "loss": [1, 2, 1], "barrier": 1},
  {"aligned": true, "recalibrated": true, "top1": [0.9, 0.6, 0.8], "loss": [1, 2, 1], "barrier": 1}]}]}
JSON
"$mendel" report x >out 2>err || fail 'the report with paths'
says x/report.html 'between independent seeds'

# Published values stand beside ours.
mkdir beside && cp x/config.yaml beside
cat >beside/table.json <<'JSON'
{"title": "T", "images": 360, "verdict": "V", "tests": [], "rows": [
  {"name": "M2N2", "kind": "other", "top1": 0.86, "low": 0.82, "high": 0.89, "published": 0.873},
  {"name": "GA", "kind": "other", "top1": 0.67, "low": 0.62, "high": 0.72, "published": null}]}
JSON
"$mendel" report beside >out 2>err || fail 'the report with published values'
says beside/report.html '<td>87.30</td>'
says beside/report.html 'published %'

# The paper's experiment: the answer speaks of its methods, not of tests that it does not have.
cp -r beside paper
cat >paper/results.json <<'JSON'
{"title": "T", "setting": "specialists", "source": "arXiv 2508.16204", "evaluations": 10, "runs": 3,
 "images": 360, "test": "paired t", "methods": [
  {"name": "m2n2", "title": "M2N2", "published": 0.683, "mean": 0.8, "top1": [0.79, 0.80, 0.81]},
  {"name": "ga", "title": "GA", "published": 0.52, "mean": 0.7, "top1": [0.69, 0.70, 0.71001]},
  {"name": "x", "title": "other", "published": null, "mean": 0.8, "top1": [0.80, 0.79, 0.81]},
  {"name": "y", "title": "better", "published": null, "mean": 0.9, "top1": [0.89, 0.90, 0.91001]}],
 "order": [{"better": "m2n2", "worse": "ga", "published": 0.163, "ours": 0.1, "same": true}]}
JSON
"$mendel" report paper >out 2>err || fail 'the report of the paper'"'"'s experiment'
says paper/report.md 'of 3 other methods it is ahead of 1, which is shown for 1 (by 10.00 to 10.00 points'
says paper/report.md 'nothing is shown against other (+0.00 points, p = 1)'
says paper/report.md 'it is worse than better (-10.00 points'
says paper/report.md 'Of 1 pairs of methods that are more than 3 points apart in print, 1 stand in the same order'
! grep -q 'comparisons' paper/report.md || fail 'tests that are not there are counted'

# The question is about all parents, so one test is half an answer; p is said to be corrected or not, not
# both.
mkdir half && cp x/config.yaml half
cat >half/table.json <<'JSON'
{"title": "T", "images": 100, "verdict": "A word.\np is not corrected for the 2 tests here.", "rows": [
  {"name": "h + M2N2", "arm": "h", "kind": "fused", "top1": 0.8},
  {"name": "h: best parent", "arm": "h", "kind": "best_parent", "top1": 0.7},
  {"name": "h: child 1", "arm": "h", "kind": "parent", "top1": 0.75}], "tests": [
  {"test": "mcnemar", "first": "h + M2N2", "second": "h: best parent", "difference": 0.1, "b": 12, "c": 2,
   "p": 0.013, "low": 0.05, "high": 0.15},
  {"test": "mcnemar", "first": "h + M2N2", "second": "h: child 1", "difference": 0.05, "b": 9, "c": 4,
   "p": 0.27, "low": -0.02, "high": 0.12}]}
JSON
sed -i 's/"h"/"hybrid"/' half/table.json
"$mendel" report half >out 2>err || fail 'the report with one parent beaten'
says half/report.md '**In part.** h + M2N2 is right on 80.00 % of the 100 test images, its best parent by held-out score'
says half/report.md 'better than every parent is not shown: h: child 1 (75.00 %: +5.00 points, p = 0.27).'
says half/report.md '- A word.'
! grep -q 'not corrected' half/report.md || fail 'p is not corrected, and it is'
sed -i 's/"p": 0.27/"p": 0.02/' half/table.json
"$mendel" report half >out 2>err || fail 'the report with all parents beaten'
says half/report.md '**Yes.** h + M2N2'
says half/report.md 'better than each of the others, too.'
! "$mendel" report half -o half/table.json >out 2>err || fail 'the table is written over'
says err 'ends in .html'
says half/table.json '"kind": "fused"'

# Repeats: values in pairs, learning curves, tests over them; also where the last is not finished.
mkdir many && cp -r x/config.yaml x/table.json many && cp -r x many/repeat-1 && cp -r x many/repeat-2
mkdir many/repeat-10 && cp -r x/config.yaml x/A-seed1 many/repeat-10
cat >many/table.json <<'JSON'
{"title": "T", "images": 72, "verdict": "V", "rows": [
  {"name": "hybrid + M2N2", "arm": "hybrid", "kind": "fused", "top1": 0.7, "seed_top1": [0.69, 0.71]},
  {"name": "hybrid: best parent", "arm": "hybrid", "kind": "best_parent", "top1": 0.5,
   "seed_top1": [0.48, 0.52]},
  {"name": "average of strangers", "arm": "hybrid", "kind": "independent", "top1": 0.1}], "tests": [
  {"test": "paired", "first": "hybrid + M2N2", "second": "hybrid: best parent", "difference": 0.2,
   "t": 20, "df": 1, "p": 0.0318, "sign_flip_p": 0.5, "seeds": [2, 2]}]}
JSON
"$mendel" report many >out 2>err || fail 'the report of repeats'
for text in 'on the mean over' 'Held-out accuracy in each repeat' 'The hybrid, repeat by repeat' \
    'paired t = 20.00 (flips: p = 0.5)' 'far below: average of strangers (10.00 %)' \
    '| repeat-10 (not finished) |' 'repeat-2, seed 1'; do
    says many/report.md "$text"
done

# Names are text, never code: not for HTML, Markdown, gnuplot, nor Graphviz.
cp -r x hostile
evil="<script>alert(1)</script><img src=x onerror=alert(1)> 5 %d ' \`touch owned\` | \\\\\\\\"
sed -i "s#greedy soup#$evil#g" hostile/table.json hostile/evaluation.json
sed -i "s#seed1/final#$evil#g" hostile/C-*/winner.json
"$mendel" report hostile -o h.html >out 2>err || fail 'the report with hostile names'
says h.md 'touch owned'
! grep -q '<script\|<img' h.html || fail 'a name became HTML'
! grep -q '[^\\]<script' h.md || fail 'a name became Markdown'
[ -z "$(find . -name owned)" ] || fail 'a name became a command'

# What is not there is left out.
mkdir part && cp x/config.yaml part
"$mendel" report part >out 2>err || fail 'a folder with a configuration only'
says part/report.html 'Not known yet'
mkdir training && cp -r x/config.yaml x/A-seed1 training
"$mendel" report training >out 2>err || fail 'a folder with one training'
says training/report.html 'Held-out accuracy'
mkdir nothing
"$mendel" report nothing >out 2>err && fail 'an empty folder passes for an experiment'
says err 'no folder of an experiment'
cp -r part broken && echo '{"rows": [' >broken/table.json
"$mendel" report broken >out 2>err && fail 'broken JSON is taken'
says err 'table.json:'
mkdir bin
PATH=$dir/bin "$mendel" report x >out 2>err && fail 'a report without gnuplot'
says err 'apt-get install gnuplot-nox'

# A part without data has no heading; the last part names it.
says part/report.md 'What this folder does not have'
for page in x part training beside paper many; do
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
