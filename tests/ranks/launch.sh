# For tests of several processes, behind expect.sh: ranks, which starts them by the MPI library of $library.
# shellcheck shell=sh
OMPI_ALLOW_RUN_AS_ROOT=1
OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
OMPI_MCA_mpi_yield_when_idle=1
OMPI_MCA_btl_base_warn_component_unused=0
OMP_NUM_THREADS=1
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM OMPI_MCA_mpi_yield_when_idle OMP_NUM_THREADS
export OMPI_MCA_btl_base_warn_component_unused

case $library in
openmpi) launcher=$(command -v mpirun.openmpi || command -v mpirun) || exit 77 ;;
mpich) launcher=$(command -v mpirun.mpich || command -v mpirun) || exit 77 ;;
esac
[ -e "$(dirname "$mendel")/mendel_mpi_$library.so" ] || exit 77

# launch N COMMAND...: N ranks of any command; with exec as $how the launcher takes the shell's place.
how=
launch() {
    count=$1
    shift
    case $library in
    openmpi) $how "$launcher" -n "$count" --map-by :OVERSUBSCRIBE "$@" ;;
    mpich) $how "$launcher" -n "$count" "$@" ;;
    esac
}

# ranks CODE N ARGUMENT...: N ranks of mendel exit with CODE; their words are in `out` and `err`.
ranks() {
    code=$1
    count=$2
    shift 2
    launch "$count" "$mendel" "$@" >out 2>err </dev/null
    got=$?
    [ "$got" -eq "$code" ] ||
        fail "$count ranks ($library): exit $got, expected $code: mendel $*: $(grep mendel err | head -3)"
}

# same FOLDER FOLDER FILE...: these are equal in both.
same() {
    one=$1
    two=$2
    shift 2
    for file; do
        cmp "$one/$file" "$two/$file" || fail "$library: $two/$file differs from that in $one"
    done
}

# start N ARGUMENT...: ranks that are to be disturbed, in the background, as $job; each leaves its process
# in pid-RANK.
cat >"$dir/begin.sh" <<'SCRIPT'
echo $$ >"pid-${OMPI_COMM_WORLD_RANK:-$PMI_RANK}"
exec "$@"
SCRIPT
start() {
    count=$1
    shift
    rm -f pid-*
    how=exec
    launch "$count" sh "$dir/begin.sh" "$mendel" "$@" >out 2>err </dev/null &
    job=$!
    how=
}

# begin N FILE ARGUMENT...: start them, and wait until FILE is written.
begin() {
    count=$1
    file=$2
    shift 2
    : >stamp
    start "$count" "$@"
    until [ -n "$(find . -path "./$file" -newer stamp)" ] || ! kill -0 $job 2>/dev/null; do sleep 0.05; done
}

# ended CODE WHAT: the job ends by itself, with that code (any other than 0: fails).
ended() {
    tries=0
    while kill -0 $job 2>/dev/null && [ $tries -lt 300 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    kill -9 $job 2>/dev/null && fail "$library: $2: the job does not end"
    wait $job
    got=$?
    [ "$got" = "$1" ] || { [ "$1" = fails ] && [ $got -ne 0 ]; } || fail "$library: $2: exit $got"
}
