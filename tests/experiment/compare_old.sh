#!/bin/sh
# Do two versions of the program do the same work?  Both run small forms of the experiments, and
# compare_old.py compares their folders: the trainings' weights byte for byte, accuracies, intervals
# and tests.  Each needs some minutes on two cores.
# usage: compare_old.sh OLD-PROGRAM NEW-PROGRAM OLD-CONFIGS CIFAR-10-FOLDER OUT [NAME...]
# OLD-CONFIGS is the folder configs/ of the old version, whose words both must understand.  NAMEs
# choose among quickstart, repeats, controls, digits and specialists; all run without one.
[ $# -ge 5 ] || {
    sed -n '2,7s/^# //p' "$0"
    exit 2
}
old=$1 new=$2 configs=$3 cifar=$4 out=$5
shift 5
here=$(dirname "$0")
failed=0

# compare NAME CONFIG OPTION...
compare() {
    name=$1 config=$2
    shift 2
    case " $wanted " in *" $name "*) ;; *) return ;; esac
    for version in old new; do
        eval "program=\$$version"
        mkdir -p "$out" || exit 1
        "$program" experiment "$configs/$config.yaml" --threads 1 --out "$out/$name-$version" \
            --set run.tuning=off "$@" >"$out/$name-$version.txt" 2>&1 || {
            tail -5 "$out/$name-$version.txt"
            echo "FAILED: $name with the $version program"
            failed=1
            return
        }
    done
    echo "== $name"
    python3 "$here/compare_old.py" "$out/$name-old" "$out/$name-new" || failed=1
}

wanted=${*:-quickstart repeats controls digits specialists}
few='--set experiment.latency_runs=2 --set experiment.corrupt_images=20 --set experiment.tta_images=20'
# shellcheck disable=SC2086 # lists of words
{
    compare quickstart quickstart $few --set train.epochs=6 --set merge.generations=3
    compare repeats fuse-repeats $few --data "cifar10:$cifar" --set data.limit=400 \
        --set experiment.repeats=2 --set experiment.trunk_epochs=2 --set experiment.child_epochs=1 \
        --set merge.generations=2 --set merge.batch=4
    # Every kind of row and of test that there is.
    compare controls fuse-repeats $few --data "cifar10:$cifar" --set data.limit=300 \
        --set experiment.repeats=1 --set experiment.baseline=true --set train.epochs=1 \
        --set experiment.merge_baseline=true \
        --set experiment.trunk_epochs=1 --set experiment.child_epochs=1 \
        --set experiment.matched=true --set experiment.independent=2 \
        --set experiment.control_mlp_head=true --set experiment.control_no_recursion=true \
        --set experiment.control_tokens=true --set experiment.path_points=3 \
        --set experiment.methods=no-attraction,ga,random,line,ties,dare \
        --set merge.generations=2 --set merge.batch=4
    compare digits digits-m2n2 --set experiment.seeds=3 --set merge.evaluations=600
    compare specialists digits-specialists --set experiment.seeds=3 --set merge.evaluations=400
}
exit $failed
