#!/bin/sh
# The Debian packages, from nothing: follows the lines of Containerfile in a bare Debian 12, which
# builds the packages in one folder and installs them in another; there the program trains, and
# programs in C and C++ are compiled and compared (check_prefix.sh).  The source package is made, and
# lintian, where it is here, must have nothing to say of all of it.  The packages' own tests run
# (debian/tests), a package that is purged leaves nothing, and with WHEELS (of KEEP=WHEELS
# tests/python/wheel.sh) the wheel is installed in a bare Debian.  Prints what an installation takes.
# As root, with debootstrap and a network; takes some ten minutes and 3 GB.
# usage: packages.sh [FOLDER [WHEELS]]
#   packages and chroots stay in FOLDER; without it all goes at the end
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
[ "$(id -u)" -eq 0 ] || { echo "packages.sh: run it as root, which chroot needs" >&2; exit 2; }
for tool in debootstrap dpkg-source unshare; do
    command -v $tool >/dev/null || { echo "packages.sh: $tool is not installed" >&2; exit 2; }
done
wheels=${2:+$(cd "$2" && pwd)}
if [ $# -gt 0 ]; then
    mkdir -p "$1"
    dir=$(cd "$1" && pwd)
else
    dir=$(mktemp -d /tmp/mendel-packages-XXXXXX)
    trap 'rm -rf --one-file-system "$dir"' EXIT
fi

say() {
    printf '== %s\n' "$*"
}

# ---- the Containerfile's instructions --------------------------------------------------------------

stage=   # folder of the stage that is made
env=     # of ENV, words
place=/  # of WORKDIR

# inside COMMAND: by the shell of the stage, with a /proc of its own that goes with the command.
inside() {
    unshare --mount --pid --fork --mount-proc="$stage/proc" \
        chroot "$stage" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        $env sh -c "cd $place && $1"
}

from() { # IMAGE [AS NAME]
    stage=$dir/${3:-last} env='' place=/
    rm -rf --one-file-system "$stage"
    cp -a "$dir/base" "$stage"
    cp -L /etc/resolv.conf "$stage/etc/resolv.conf"
}

copy() { # . TARGET | --from=STAGE PATTERN TARGET
    case $1 in
    --from=*)
        mkdir -p "$stage$3"
        cp "$dir/${1#--from=}"$2 "$stage$3"
        ;;
    .) (cd "$root" && git ls-files -z --cached --others --exclude-standard | tar --null -c -T -) | tar -x -C "$stage$place" --no-same-owner ;;
    *) echo "packages.sh does not know COPY $*" >&2 && return 1 ;;
    esac
}

follow() { # CONTAINERFILE
    grep -v '^#' "$1" | sed -e ':a' -e '/\\$/N; s/\\\n//; ta' | while read -r word rest; do
        [ -z "$word" ] || say "$word $rest"
        case $word in
        '') ;;
        FROM) from $rest ;;
        ENV) env="$env $rest" ;;
        WORKDIR) place=$rest && mkdir -p "$stage$place" ;;
        COPY) copy $rest ;;
        RUN) inside "$rest" >"$dir/log" 2>&1 </dev/null || { tail -n 40 "$dir/log" && exit 1; } ;;
        ENTRYPOINT | CMD) ;; # called below
        *) echo "packages.sh does not know $word" >&2 && exit 1 ;;
        esac
    done
}

if [ ! -d "$dir/base" ]; then
    say "debootstrap"
    debootstrap --variant=minbase bookworm "$dir/base" "$mirror" >"$dir/log" 2>&1 || { tail "$dir/log"; exit 1; }
fi
follow "$root/Containerfile"

# ---- the source package, and lintian ---------------------------------------------------------------

say "source package, lintian"
version=$(sed -n '1s/.*(\(.*\)-[0-9]*).*/\1/p' "$root/debian/changelog")
packages=$dir/build/build
stage=$dir place=/source/mendel
rm -rf "$dir/source" && mkdir -p "$stage$place" && copy .
(cd "$dir/source" && tar --exclude=mendel/debian -cJf "mendel_$version.orig.tar.xz" mendel &&
    dpkg-source -b mendel >"$dir/log" 2>&1) || { cat "$dir/log" && exit 1; }
if command -v lintian >/dev/null; then
    # Nobody has announced these packages to Debian, whose report a first upload would close.
    lintian --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs --allow-root \
        "$dir"/source/*.dsc "$packages"/*.changes
fi

# ---- what is installed -----------------------------------------------------------------------------

stage=$dir/last env=DEBIAN_FRONTEND=noninteractive place=/root
say "the program"
inside 'mendel --version'
inside 'mendel train --data digits --set model.kind=mlp --set data.size=native --set train.epochs=2 --out run' |
    tail -n 2
say "programs in C and C++"
mkdir -p "$stage/packages" "$stage/root/source"
cp "$packages"/libmendel0_*.deb "$packages"/libmendel-dev_*.deb "$packages"/mendel-opencl_*.deb \
    "$packages"/python3-mendel_*.deb "$stage/packages"
place=/root/source
copy .
place=/root
needed=$(dpkg-deb -f "$packages"/libmendel-dev_*.deb Suggests | tr -d ',\n')
inside "apt-get update && apt-get install -y --no-install-recommends /packages/*.deb g++ pkgconf $needed" \
    >"$dir/log" 2>&1 || { tail -n 20 "$dir/log"; exit 1; }
inside 'cd source && sh debian/tests/library'

say "Python"
inside 'cd source && sh debian/tests/python' >"$dir/log" 2>&1 || { cat "$dir/log" && exit 1; }

if [ -n "$wheels" ]; then
    say "the wheel in a bare Debian"
    from bare AS wheel
    env=DEBIAN_FRONTEND=noninteractive place=/root
    cp -r "$wheels" "$stage/root/wheels"
    cp "$root/examples/train_numpy.py" "$stage/root"
    inside 'apt-get update && apt-get install -y --no-install-recommends python3-venv &&
        python3 -m venv here && here/bin/pip install --no-index --find-links wheels mendel' >"$dir/log" 2>&1 ||
        { tail -n 20 "$dir/log" && exit 1; }
    inside 'here/bin/python train_numpy.py runs 2'
fi

# ---- what an installation takes --------------------------------------------------------------------

measure() { # PACKAGE COMMAND: from a bare system to the first answer
    from bare AS measured
    env=DEBIAN_FRONTEND=noninteractive
    mkdir "$stage/packages"
    cp "$packages/$1"_*.deb "$dir/last/root/predict" "$dir/last/root/run/final.safetensors" "$stage/packages"
    inside 'apt-get update' >/dev/null 2>&1
    before=$(ls "$stage"/var/lib/dpkg/info/*.list | wc -l)
    size=$(du -sm --exclude=var "$stage" | cut -f 1)
    began=$(date +%s)
    inside 'apt-get install -y --no-install-recommends /packages/*.deb' >"$dir/log" 2>&1
    installed=$(date +%s)
    inside "$2" >"$dir/log" 2>&1 || { cat "$dir/log" && exit 1; }
    answered=$(date +%s)
    packs=$(($(ls "$stage"/var/lib/dpkg/info/*.list | wc -l) - before))
    grown=$(($(du -sm --exclude=var "$stage" | cut -f 1) - size))
    inside "apt-get purge -y $1" >"$dir/log" 2>&1 || { cat "$dir/log" && exit 1; }
    left=$(find "$stage" -xdev -name '*mendel*' -not -path "$stage/packages/*")
    [ -z "$left" ] || { printf '%s leaves:\n%s\n' "$1" "$left" && exit 1; }
    echo "$1: $packs packages, $grown MiB; apt-get took $((installed - began)) s," \
        "with the first prediction $((answered - began)) s; purged, it leaves nothing"
}
say "what an installation takes"
inside 'gcc source/examples/predict.c $(pkg-config --cflags --libs mendel) -o predict'
measure mendel 'mendel eval /packages/final.safetensors --data digits'
measure libmendel0 'head -c 64 /dev/zero | /packages/predict /packages/final.safetensors'
say "done"
