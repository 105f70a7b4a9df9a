#!/bin/sh
# How fast the first signal is answered: each command is started in each of its phases and gets
# SIGINT or SIGTERM at a random moment.  Printed for each: the seconds until its word is on the
# standard error (wanted 0.2) and until the process has ended (wanted 1), as median and maximum.
# usage: response.sh MENDEL CIFAR [ROUNDS [CASE...]]
# CIFAR: folder of CIFAR-10's binaries.  On a machine that does nothing else.
set -u
mendel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cifar=$(cd "$2" && pwd)
rounds=${3:-5}
shift $(($# < 3 ? $# : 3))
dir=${RESPONSE_FOLDER:-$(mktemp -d "${TMPDIR:-/tmp}/mendel-response-XXXXXX")} || exit 1
[ -n "${RESPONSE_FOLDER:-}" ] || trap 'rm -rf "$dir"' EXIT # a given one is kept for the next call
mkdir -p "$dir"
cd "$dir" || exit 1
export XDG_CACHE_HOME="$dir/cache"

python3 - "$mendel" "$cifar" "$rounds" "$@" <<'PY'
import os, random, signal, statistics, subprocess, sys, time, zlib, struct

mendel, cifar, rounds, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
data = ["--data", "cifar10:" + cifar, "--threads", "2"]
few = data + ["--set", "data.limit=1000"]
A, B = "a/final.safetensors", "b/final.safetensors"


def must(*arguments):
    done = subprocess.run([mendel, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"{arguments}: exit {done.returncode}: {done.stderr.decode()[-300:]}")


def png(path, value):
    raw = b"".join(b"\0" + bytes((x * 7 + y * 11 + value) & 255 for x in range(96)) for y in range(32))
    chunk = lambda kind, body: (struct.pack(">I", len(body)) + kind + body +
                                struct.pack(">I", zlib.crc32(kind + body)))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)) +
                   chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def prepare():
    for seed, name in ((1, "a"), (2, "b")):
        if not os.path.exists(f"{name}/final.safetensors"):
            must("train", *few, "--set", "train.max_steps=2", "--seed", str(seed), "--out", name,
                 "--overwrite")
    if not os.path.isdir("photos"):
        for side in ("train", "test"):
            for label in "xy":
                os.makedirs(f"photos/{side}/{label}")
                for i in range(8000):
                    png(f"photos/{side}/{label}/{i}.png", i)
    with open("tiny.yaml", "w") as file:
        file.write("model: {kind: mlp, hidden: 16}\ndata: {source: digits, size: native}\n"
                   "train: {epochs: 2}\nmerge: {generations: 1, batch: 2, archive: 4}\n"
                   "experiment: {hybrid: false, seeds: 2, latency_runs: 20, corrupt_images: 500,"
                   " tta_images: 500}\nrun: {threads: 2}\n")
    if not os.path.exists("x/report.html"):
        must("experiment", "tiny.yaml", "--out", "x")


# name: earliest and latest moment in seconds, arguments; OUT is a new name each time
CASES = {
    "reading a folder": (0.1, 0.6, ["data", "info", "folder:photos"]),
    "reading CIFAR": (0.05, 0.2, ["train", *data, "--out", "OUT"]),
    "training step": (1.5, 5, ["train", *data, "--out", "OUT"]),
    "training step, batch 256": (2, 6, ["train", *data, "--set", "train.batch=256", "--out", "OUT"]),
    "hybrid's step": (2, 6, ["train", *data, "--set", "model.kind=hybrid", "--out", "OUT"]),
    "evaluation of an epoch": (1, 4, ["train", *data, "--set", "data.limit=4000", "--set",
                                      "data.validation_fraction=0.9", "--set", "train.batch=32",
                                      "--out", "OUT"]),
    "eval": (0.5, 3, ["eval", A, *data]),
    "eval --full": (0.5, 10, ["eval", A, *few, "--full"]),
    "recalibrate": (0.5, 3, ["recalibrate", A, *data, "-o", "OUT.safetensors"]),
    "align by weights": (0.1, 1.5, ["align", A, B, "--threads", "2", "-o", "OUT.safetensors"]),
    "align by activations": (0.5, 3, ["align", A, B, *data, "--method", "activations", "-o",
                                      "OUT.safetensors"]),
    "average": (0.5, 3, ["merge", "--method", "average", A, B, *data, "-o", "OUT.safetensors"]),
    "greedy soup": (0.5, 5, ["merge", "--method", "greedy", A, B, *data, "-o", "OUT.safetensors"]),
    "TIES": (0.05, 0.6, ["merge", "--method", "ties", "--base", A, A, B, "-o", "OUT.safetensors"]),
    "ensemble": (0.5, 5, ["merge", "--method", "ensemble", A, B, *data]),
    "evolve, a batch of children": (2, 8, ["evolve", A, B, *few, "--set", "merge.evaluations=400",
                                           "--set", "merge.batch=8", "--out", "OUT"]),
    "interpolate": (0.5, 6, ["interpolate", A, B, *few]),
    "experiment": (0.1, 3, ["experiment", "tiny.yaml", "--out", "OUT"]),
    "report": (0.02, 0.7, ["report", "x", "-o", "OUT.html"]),
    "bench": (0.3, 3, ["bench", "--repeat", "1000", "--threads", "2"]),
    "bench --tune": (0.5, 6, ["bench", "--tune", "--threads", "2"]),
    "bench, reference": (0.5, 3, ["bench", "--backend", "reference", "--only", "infer"]),
}


def once(first, last, arguments, number):
    """Seconds to the word and to the end; None where the command had ended before."""
    arguments = [a.replace("OUT", f"out-{number}") for a in arguments]
    process = subprocess.Popen([mendel, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    os.set_blocking(process.stderr.fileno(), False)
    time.sleep(random.uniform(first, last))
    process.stderr.read()
    if process.poll() is not None:
        return None
    began, word, text = time.monotonic(), None, b""
    process.send_signal(random.choice((signal.SIGINT, signal.SIGTERM)))
    while True:
        ended = process.poll() is not None
        text += process.stderr.read() or b""
        now = time.monotonic() - began
        if word is None and b"stopping" in text:
            word = now
        if ended:
            # one that ended by itself at that moment says no word
            return (word if word is not None else now, now) if process.returncode == 130 else None
        if now > 30:
            process.kill()
            return (word if word is not None else now, now)
        time.sleep(0.002)


prepare()
random.seed(int(os.environ.get("SEED", "1")))
number, slow = 0, 0
print(f"{'phase':30} {'runs':>4} {'word':>6} {'most':>6} {'end':>6} {'most':>6}", flush=True)
for name, (first, last, arguments) in CASES.items():
    if wanted and name not in wanted:
        continue
    got = []
    for _ in range(rounds):
        number += 1
        times = once(first, last, arguments, f"{os.getpid()}-{number}")
        if times is not None:
            got.append(times)
    if not got:
        print(f"{name:30} had ended before every signal")
        continue
    words, ends = [g[0] for g in got], [g[1] for g in got]
    slow += max(words) > 0.2 or max(ends) > 1
    print(f"{name:30} {len(got):4} {statistics.median(words):6.3f} {max(words):6.3f} "
          f"{statistics.median(ends):6.3f} {max(ends):6.3f}", flush=True)
print(f"{slow} of them over 0.2 s or 1 s")
PY
