#!/bin/sh
# An experiment over the ranks of one job: the bytes of one process, whether they share its steps or do
# them together, also after a kill and with another number of ranks.
# usage: test_experiment.sh MENDEL openmpi|mpich
library=$2
. "$(dirname "$0")/../expect.sh"
fault=$(cd "$(dirname "$0")/../fault" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
. "$(dirname "$0")/../scratch.sh"
. "$here/launch.sh"
. "$fault/small.sh" # tiny.yaml

# What an experiment made, without what depends on the clock.
made() {
    (cd "$1" && find . -name '*.safetensors' -o -name lineage.jsonl -o -name winner.json -o -name table.csv) | LC_ALL=C sort
}
answers() {
    grep -E '"(id|top1|loss|correct)"' "$1/test.json" >"$1.answers"
}
# alike FOLDER FOLDER: all that the two made is the same, and nothing else is left.
alike() {
    made "$1" >one
    made "$2" >two
    cmp -s one two || fail "$library: $2 has other files than $1: $(diff one two | head -3)"
    [ "$(wc -l <one)" -ge 10 ] || fail "too few results to compare in $1: $(cat one)"
    grep -v csv one >names
    while read -r file; do
        cmp -s "$1/$file" "$2/$file" || fail "$library: $2/$file differs from that in $1"
    done <names
    answers "$1"
    answers "$2"
    cmp -s "$1.answers" "$2.answers" || fail "$library: $2 has other answers on the test split"
    left=$(find "$2" -name 'leases*' -o -name 'mendel.lock' -o -name '*.mendel-tmp')
    [ -z "$left" ] || fail "$library: $left is left"
}

# each FOLDER N ARGUMENT...: as many ranks (1: the program alone) do the experiment in a folder of their own.
each() {
    folder=$1
    count=$2
    shift 2
    mkdir "$dir/$folder" && cp tiny.yaml "$dir/$folder" && cd "$dir/$folder" || exit 1
    if [ "$count" = 1 ]; then
        expect 0 experiment tiny.yaml "$@" --out w
    else
        ranks 0 "$count" experiment tiny.yaml "$@" --out w
    fi
    cd "$dir" || exit 1
}

# ---- ranks that share the steps; searches are done together, where children suffice ---------------------
set -- --set merge.batch=4 --set merge.evaluations=40 --set experiment.methods=ga
each alone 1 "$@"
[ "$library" = openmpi ] && numbers='2 3' || numbers=2
for n in $numbers; do
    each share$n $n "$@"
    alike alone/w share$n/w
    [ -s share$n/w/report.html ] || fail "$n ranks write no report"
    [ -s share$n/w/rank-1.log ] || fail "rank 1 of $n has no log"
    [ "$(grep -c 'The table is in' share$n/out)" -eq 1 ] || fail "more than one rank prints"
    cmp -s share$n/w/config.yaml alone/w/config.yaml || fail "the configuration of $n ranks is another"
done

# ---- trainings in shards are done together by as many ranks as divide them -------------------------------
set -- --set train.shards=4 --set merge.batch=2 --set merge.evaluations=10 --set experiment.hybrid=false
each shards1 1 "$@"
[ "$library" = openmpi ] && numbers='2 4' || numbers=4
for n in $numbers; do
    each shards$n $n "$@"
    alike shards1/w shards$n/w
done
says shards4/w/rank-3.log 'of 4'

# ---- stopped, killed, hanging, in whatever it does; gone on with by another number -----------------------
long='--set train.shards=2 --set train.epochs=20 --set train.save_every=1 --set merge.batch=2
    --set merge.evaluations=60 --set experiment.hybrid=false'
each long 1 $long
set -- experiment tiny.yaml $long
mkdir lost && cp tiny.yaml lost && cd lost || exit 1
begin 2 w/A-seed1/resume.state "$@" --out w
kill -TERM "$(cat pid-1)"
ended 130 'a signal for rank 1'
begin 4 w/rank-3.log "$@" --out w
kill -KILL "$(cat pid-1)"
ended fails 'rank 1 was killed'
begin 2 w/rank-1.log "$@" --out w --set comm.timeout=2
kill -STOP "$(cat pid-1)"
ended fails 'rank 1 hangs'
kill -KILL "$(cat pid-1)" 2>/dev/null
says err 'nothing came from rank'
begin 3 w/rank-2.log "$@" --out w
kill -KILL "$(cat pid-0)"
ended fails 'rank 0 was killed'
ranks 0 2 "$@" --out w
cd "$dir" || exit 1
alike long/w lost/w

# ---- what goes wrong is said once, and nothing is lost --------------------------------------------------
hopeless='--set optim.kind=sgd --set optim.lr=1000 --set train.clip=0'
for shards in 1 2; do
    ranks 4 2 experiment tiny.yaml $hopeless --set experiment.hybrid=false --set train.shards=$shards --out none$shards
    says err 'rank '
    [ "$(grep -c 'mendel experiment: ' err)" -eq 1 ] || fail "a failure is told by more than one rank"
done
# The ranks have folders that are not the same.
cat >elsewhere.sh <<'SCRIPT'
#!/bin/sh
mkdir -p "host$RANK" && cp tiny.yaml "host$RANK" && cd "host$RANK" && exec "$@"
SCRIPT
launch 2 sh -c 'RANK=${OMPI_COMM_WORLD_RANK:-$PMI_RANK}; export RANK; exec sh elsewhere.sh "$@"' - \
    "$mendel" experiment tiny.yaml --out w >out 2>err && fail "ranks with folders of their own do not fail"
says err 'a folder that all see'

# ---- the paper's experiment -----------------------------------------------------------------------------
if [ "$library" = openmpi ]; then
    set -- --set merge.from_scratch=2 --set merge.slerp_all=true --set merge.fitness=train --set merge.mutation=0.01 \
        --set merge.batch=1 --set merge.evaluations=20 --set experiment.seeds=2 --set data.source=digits \
        --set data.limit=200 --set data.size=native --set data.normalize=none --set data.validation_fraction=0 \
        --set model.kind=mlp --set model.hidden=8 --set model.mlp_init=normal
    each paper1 1 "$@"
    each paper2 2 "$@"
    made paper1/w | grep -v csv >one
    while read -r file; do
        cmp -s "paper1/w/$file" "paper2/w/$file" || fail "paper: $file differs"
    done <one
fi

[ $failures -eq 0 ] || exit 1
