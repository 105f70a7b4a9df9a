#!/bin/sh
# sh busy.sh loaded MENDEL [ROUNDS]: two threads against one while a busy process runs on each
#   processor; above 1 where two are faster.
# sh busy.sh quiet MENDEL OLD [ROUNDS]: MENDEL against an older build on a quiet machine, above 1
#   where it is faster.
# For loaded, two ratios are printed, each of the medians over alternating runs: of a run's mean step
# (what the whole takes, with the moments when the system gave the processor to another process)
# and of its median step (what a step takes that was not interrupted).
# WORKS="infer:1 train:64" chooses what is run, as WORK:BATCH.
set -eu

# Median and mean seconds of a step (an older program has no mean): program, work, batch, threads.
step() {
    repeat=5
    [ "$2" = train ] || repeat=15
    "$1" bench --json --model baseline --only "$2" --batch "$3" --threads "$4" --repeat "$repeat" \
        --set run.tuning=off | sed -n "s/.*\"batch\":$3,.*\"median_s\":\([0-9.e-]*\),\(\"mean_s\":\([0-9.e-]*\)\)\{0,1\}.*/\1 \3/p"
}

median() { # of column $1
    cut -d ' ' -f "$1" | sort -g | awk '{ a[NR] = $1 } END { print (a[int((NR + 1) / 2)] + a[int(NR / 2) + 1]) / 2 }'
}

# Alternating runs of two programs, of which the $kinds of step are compared: label, work, batch, first and its threads, second and its.
compare() {
    : >"$scratch/a"
    : >"$scratch/b"
    for _ in $(seq "$rounds"); do
        step "$4" "$2" "$3" "$5" >>"$scratch/a"
        step "$6" "$2" "$3" "$7" >>"$scratch/b"
    done
    for kind in $kinds; do
        [ "$kind" = median ] && column=1 || column=2
        a=$(median "$column" <"$scratch/a")
        b=$(median "$column" <"$scratch/b")
        echo "$2 batch $3, $1, $kind step: $(awk "BEGIN { printf \"%.3f (%.2f ms against %.2f)\", $b / $a, 1e3 * $a, 1e3 * $b }")"
    done
}

how=${1:?loaded or quiet} mendel=${2:?the program}
scratch=$(mktemp -d)
busy=
trap 'for p in $busy; do kill "$p" 2>/dev/null || :; done; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
case $how in
loaded)
    kinds="mean median" rounds=${3:-5}
    for _ in $(seq "$(nproc)"); do
        yes >/dev/null &
        busy="$busy $!"
    done
    for work in ${WORKS:-infer:1 train:64}; do
        compare "two threads against one" "${work%:*}" "${work#*:}" "$mendel" 2 "$mendel" 1
    done
    ;;
quiet)
    kinds=median old=${3:?the older build} rounds=${4:-7}
    for work in ${WORKS:-infer:1 infer:64 train:64}; do
        for threads in 1 2; do
            compare "$threads threads, new against old" "${work%:*}" "${work#*:}" \
                "$mendel" "$threads" "$old" "$threads"
        done
    done
    ;;
*)
    echo "loaded or quiet, not $how"
    exit 2
    ;;
esac
