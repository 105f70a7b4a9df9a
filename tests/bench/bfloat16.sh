#!/bin/sh
# What gradients as bfloat16 do to the accuracy: small trainings on the digits with float32 and with bfloat16
# gradients, from the same seeds, and their differences.  It asserts nothing; the figures are for the documents.
# usage: bfloat16.sh MENDEL [SEEDS [KEY=VALUE...]]
set -e
mendel=$(realpath "$1")
seeds=${2:-5}
shift
[ $# -eq 0 ] || shift
settings=
for setting; do
    settings="$settings --set $setting"
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# value KEY FILE: a number of a result.
value() {
    sed -n "s/.*\"$1\": *\([-0-9.e+]*\).*/\1/p" "$2" | head -1
}

seed=1
while [ "$seed" -le "$seeds" ]; do
    for gradients in float32 bfloat16; do
        # shellcheck disable=SC2086
        "$mendel" train --data digits --set model.width=0.25 --set model.depth=0.3 --set data.image_size=16 \
            --set train.epochs=15 --set train.batch=64 --set train.shards=4 --set schedule.warmup=1 $settings \
            --set comm.gradients=$gradients --seed "$seed" --out run --overwrite --json >result 2>/dev/null
        echo "$seed $gradients $(value validation_top1 result) $(value validation_loss result) $(value train_loss result)"
    done
    seed=$((seed + 1))
done | awk '
    { top1[$2, $1] = 100 * $3; loss[$2, $1] = $4; train[$2, $1] = $5; n = $1 }
    END {
        printf "%-5s %24s %24s %24s\n", "seed", "top-1 on validation (%)", "loss on validation", "loss in training"
        printf "%-5s %12s %11s %12s %11s %12s %11s\n", "", "float32", "bfloat16", "float32", "bfloat16", "float32", "bfloat16"
        for (s = 1; s <= n; s++) {
            printf "%-5d %12.2f %11.2f %12.4f %11.4f %12.4f %11.4f\n", s, top1["float32", s], top1["bfloat16", s],
                loss["float32", s], loss["bfloat16", s], train["float32", s], train["bfloat16", s]
            d = top1["bfloat16", s] - top1["float32", s]
            mean += d / n
            square += d * d / n
            a += top1["float32", s] / n
            b += top1["bfloat16", s] / n
        }
        error = n > 1 ? sqrt((square - mean * mean) / (n - 1)) : 0
        printf "\nmean top-1: float32 %.2f %%, bfloat16 %.2f %%; difference %+.2f points, standard error %.2f\n", a, b, mean, error
    }'
