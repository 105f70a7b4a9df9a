#!/bin/sh
# Searches over several processes: the same bytes as one process, also after a stop and with another
# number of ranks; what goes wrong is said once, by the rank that it is.
# usage: test_evolve.sh MENDEL openmpi|mpich
library=$2
. "$(dirname "$0")/../expect.sh"
. "$(dirname "$0")/../scratch.sh"
. "$(dirname "$0")/launch.sh"

results='merged.safetensors lineage.jsonl winner.json'
mlp='--set model.kind=mlp --set model.hidden=32 --set model.mlp_init=normal --set data.size=native
    --set data.normalize=none --set data.validation_fraction=0 --set merge.fitness=train
    --set merge.mutation=0.02 --threads 1 --data digits'

# The other library serves alike: a part is enough there.
[ "$library" = openmpi ] && methods='m2n2 ga map-elites cma-es random' || methods='m2n2'

# ---- each way to search, from random models; children are abandoned in most of them --------------
for method in $methods; do
    set -- $mlp --method $method --set merge.from_scratch=2 --set merge.archive=8 --set merge.batch=6 \
        --set merge.evaluations=120
    [ $method != cma-es ] || set -- "$@" --set merge.from_scratch=1 --set merge.slerp_all=true
    expect 0 evolve "$@" --out $method-1
    for n in 2 4; do
        [ $method = m2n2 ] || [ $n = 4 ] || continue
        ranks 0 $n evolve "$@" --out $method-$n
        same $method-1 $method-$n $results
    done
done
[ -s m2n2-4/rank-3.log ] || fail "rank 3 has no log"
[ ! -e m2n2-4/rank-0.log ] || fail "rank 0 has a log"
[ "$(grep -c 'are written\|is written' out)" -eq 1 ] || fail "more than one rank prints"

# ---- trained parents, whose children get statistics of their own; a stop, and other numbers --------
net='--set model.width=0.25 --set model.depth=0.2 --set data.limit=300 --set data.image_size=16 --threads 1'
for seed in 1 2; do
    expect 0 train $net --data digits --set train.epochs=1 --seed $seed --out p$seed
done
set -- evolve p1/final.safetensors p2/final.safetensors --data digits --set data.limit=300 --threads 1 \
    --set merge.batch=4 --set merge.batch_norm=recalibrate --set merge.archive=6
expect 0 "$@" --set merge.evaluations=24 --out net-1
ranks 0 2 "$@" --set merge.evaluations=8 --out net-2
ranks 0 3 "$@" --set merge.evaluations=16 --out net-2 --resume
expect 0 "$@" --set merge.evaluations=24 --out net-2 --resume
same net-1 net-2 $results

# ---- weights by layers: the numbers travel with nobody, each rank makes them for itself -----------
for method in layers layers-cma-es; do
    set -- evolve p1/final.safetensors p2/final.safetensors --data digits --set data.limit=300 --threads 1 \
        --method $method --set merge.layer_method=ties --set merge.base=p1/final.safetensors \
        --set merge.batch=4 --set merge.archive=6 --set merge.layer_granularity=2
    expect 0 "$@" --set merge.evaluations=24 --out $method-1
    ranks 0 2 "$@" --set merge.evaluations=12 --out $method-2
    ranks 0 3 "$@" --set merge.evaluations=24 --out $method-2 --resume
    same $method-1 $method-2 $results recipe.yaml
done
set -- evolve p1/final.safetensors p2/final.safetensors --data digits --set data.limit=300 --threads 1 \
    --set merge.batch=4 --set merge.batch_norm=recalibrate --set merge.archive=6

# ---- failures ------------------------------------------------------------------------------------
ranks 3 2 evolve p1/final.safetensors none.safetensors --out x
[ "$(grep -c 'none.safetensors' err)" -eq 1 ] || fail "a missing file is told $(grep -c none err) times"
ranks 2 2 "$@" --set merge.evaluations=24 --out net-1
says err 'net-1 holds a search'
# The second rank has another seed, other kernels, other images.
cat >differ.sh <<'SCRIPT'
#!/bin/sh
mendel=$1 what=$2 value=$3
shift 3
[ "${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}}" -eq 0 ] || set -- "$@" "$what" "$value"
exec "$mendel" "$@"
SCRIPT
differs() {
    launch 2 sh differ.sh "$mendel" "$1" "$2" evolve $mlp --set merge.from_scratch=2 \
        --set merge.evaluations=20 --out differ >out 2>err
    [ $? -ne 0 ] || fail "ranks with another $1 do not fail"
    [ ! -e differ/merged.safetensors ] || fail "ranks with another $1 wrote a result"
    says err 'rank 1 ('
    says err "$3"
}
differs --seed 7 'run.seed 1'
differs --backend cpu:base 'run.backend'
differs --set data.limit=200 'data.limit'

# ---- a rank that is stopped, killed or hangs: what is saved goes on with any number of ranks --------
set -- evolve $mlp --set merge.from_scratch=2 --set merge.batch=4 --set merge.archive=8 --set merge.evaluations=15000
expect 0 "$@" --out whole
begin 2 lost/config.yaml "$@" --out lost
sleep 0.3
kill -TERM "$(cat pid-1)"
ended 130 'a signal for rank 1'
says err 'interrupted after'
begin 3 lost/config.yaml "$@" --out lost --resume
sleep 0.3
kill -KILL "$(cat pid-2)"
ended fails 'rank 2 was killed'
begin 2 lost/config.yaml "$@" --out lost --resume --set comm.timeout=1
sleep 0.3
kill -STOP "$(cat pid-1)"
ended fails 'rank 1 hangs'
kill -KILL "$(cat pid-1)" 2>/dev/null
says err 'nothing came from rank 1 ('
ranks 0 2 "$@" --out lost --resume
same whole lost $results

# ---- nothing of MPI in the program ------------------------------------------------------------------
# Without the module it is said what to install.
mkdir empty
MENDEL_BACKENDS=$PWD/empty launch 2 "$mendel" evolve $mlp --set merge.from_scratch=2 --out y >out 2>err &&
    fail "ranks without a module do not fail"
says err 'install it'
MENDEL_BACKENDS=$PWD/empty expect 0 evolve $mlp --set merge.from_scratch=2 --set merge.evaluations=2 --out z
[ $failures -eq 0 ] || exit 1
