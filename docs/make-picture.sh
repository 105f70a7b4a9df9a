#!/bin/sh
# The picture of a report in README.md: runs a small experiment, writes its report, photographs the
# top of the page in headless Chromium and shrinks it to at most 200 kB.
# usage: docs/make-picture.sh [MENDEL [OUT.png]]        (default: build/mendel docs/report.png)
# Needs chromium and ImageMagick (convert).  Takes about a minute on a quiet machine; the folder
# of an experiment that is there already can be given in $RUN.
set -e
cd "$(dirname "$0")/.."
mendel=${1:-build/mendel} out=${2:-docs/report.png}
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
for tool in "${browser:-chromium}" convert gnuplot dot "$mendel"; do
    command -v "$tool" >/dev/null ||
        { echo "$0: $tool is missing (chromium, imagemagick, gnuplot-nox, graphviz; build/mendel is built by ninja -C build)" >&2; exit 1; }
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [ -z "${RUN:-}" ]; then
    RUN=$scratch/run
    "$mendel" experiment configs/quickstart.yaml --threads 1 --set run.tuning=off \
        --set train.epochs=6 --set merge.generations=3 --set experiment.latency_runs=2 \
        --set experiment.corrupt_images=20 --set experiment.tta_images=20 --out "$RUN"
fi
"$mendel" report "$RUN" -o "$scratch/report.html"
"$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1000,700 \
    --user-data-dir="$scratch/profile" --screenshot="$scratch/page.png" "file://$scratch/report.html" 2>"$scratch/err" ||
    { cat "$scratch/err" >&2; exit 1; }
convert "$scratch/page.png" -resize 800x -colors 64 -strip -define png:compression-level=9 "$out"
size=$(wc -c <"$out")
echo "$out: $size bytes"
[ "$size" -le 200000 ]
