#!/bin/sh
# sh test_limits.sh MENDEL: what does not fit a limit of the system's on memory ends with exit code 5
# and a sentence, whatever the limit, and never waits for a library's exit handler.
. "$(dirname "$0")/../scratch.sh"

# Under a limit of $1 KiB, mendel with the other arguments ends within the time with one of the codes.
within() {
    limit=$1 codes=$2
    shift 2
    (
        ulimit -v "$limit"
        exec timeout -s KILL 60 "$mendel" "$@"
    ) >out 2>&1
    code=$?
    case " $codes " in
    *" $code "*) ;;
    *)
        echo "FAILED: ulimit -v $limit; mendel $*: exit $code, expected $codes"
        cat out
        exit 1
        ;;
    esac
    [ "$code" -ne 5 ] || grep -q 'cannot allocate\|memory\|cannot start a thread' out || {
        echo "FAILED: ulimit -v $limit; mendel $*: exit 5 without the reason"
        cat out
        exit 1
    }
}

(ulimit -v 150000 && "$mendel" --version) >out 2>&1 || {
    echo "the program does not start in 150 MB (with sanitizers it does not): skipped"
    cat out
    exit 77
}
for limit in 130000 150000 200000; do
    within $limit 5 train --data synthetic:64 --out run --threads 2 --set train.epochs=1
    within $limit "0 5" train --data digits --set model.kind=mlp --set data.size=native \
        --set model.hidden=16 --set data.limit=64 --set train.epochs=1 --threads 2 --out small$limit
    within $limit "0 5" bench --only infer --model baseline --repeat 1 --threads 2 --batch 2
    within $limit 2 train --no-such-option
    within $limit 3 eval nothing.safetensors
done
echo ok
