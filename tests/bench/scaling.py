#!/usr/bin/env python3
"""Where training and searching over ranks stop to scale: a calculation from what was measured on two cores.

    python3 tests/bench/scaling.py measure build/mendel [--steps 20] [--small]    (a quiet machine, minutes)
    python3 tests/bench/scaling.py page [--check]

measure writes the times of computing and of messages to bench/scaling.json; page writes the tables of
docs/scaling.md from that file (--check: exit 1 where they are others).  The same file gives the same page.
"""
import argparse
import datetime
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FIGURES = os.path.join(HERE, "scaling.json")
PAGE = os.path.join(HERE, "..", "..", "docs", "scaling.md")
NETWORKS = ((1, 50e-6), (10, 25e-6), (100, 10e-6))  # Gb/s, seconds of a message by TCP, one way
RANKS = (8, 16, 64)
BATCH, PIECE = 64, 4 << 20  # images of a rank; bytes of the gradient that are summed at a time
CHILDREN = 256              # merge.batch
BACKWARD = 2 / 3            # of computing


# ---- measuring ------------------------------------------------------------------------------------

def run(words, folder):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
                          env={**os.environ, "XDG_CACHE_HOME": f"{folder}/cache", "OMPI_ALLOW_RUN_AS_ROOT": "1",
                               "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_mpi_yield_when_idle": "1"})
    if done.returncode != 0:
        sys.exit(f"exit {done.returncode}: {' '.join(words)}\n{done.stderr[-2000:]}")
    return done.stdout


def measure_training(a, small, folder):
    """Seconds of a step on a thread, bytes of the gradient and of the statistics."""
    words = [*small, "--data", f"synthetic:{BATCH * a.steps * 10 // 9 + 10}", "--set", f"train.batch={BATCH}",
             "--threads", "1"]
    run([a.mendel, "train", *words, "--set", "train.epochs=2", "--set", "train.evaluate_every=0", "--out",
         f"{folder}/train"], folder)
    with open(f"{folder}/train/metrics.jsonl") as file:
        step = BATCH / json.loads(file.readlines()[-1])["images_per_second"]
    memory = json.loads(run([a.mendel, "plan", *words, "--json"], folder).splitlines()[0])
    return step, memory["gradients"], memory["buffers"]


def measure_search(a, small, folder):
    """Seconds of a child on a thread, some of them cut short; 5,000 images judge, as a tenth of CIFAR-10."""
    images = 300 if a.small else 25000
    words = ["--data", f"synthetic:{images}", "--set", "data.validation_fraction=0.2", "--threads", "1"]
    for seed in (1, 2):
        run([a.mendel, "train", *small, *words, "--set", "train.max_steps=5", "--seed", str(seed), "--out",
             f"{folder}/{seed}"], folder)
    said = run([a.mendel, "evolve", f"{folder}/1/final.safetensors", f"{folder}/2/final.safetensors", *words, "--set",
                f"merge.evaluations={a.children}", "--set", "merge.batch=8", "--json", "--out", f"{folder}/evolve"],
               folder)
    result = json.loads(said)
    return result["seconds"] / result["evaluations"]


def measure_messages(a, folder):
    """Seconds of an exchange of 8 KiB, and bytes a second of summing 16 MiB, on one host."""
    words = ["mpirun.openmpi", "-n", "2", a.mendel, "bench", "--comm", "--repeat", "50", "--json"]
    lines = [json.loads(line) for line in run(words, folder).splitlines()]
    return lines[0]["median_s"] / 2, lines[-1]["bytes"] / lines[-1]["median_s"]


def measure(a):
    small = ["--set", "model.width=0.25", "--set", "model.depth=0.2"] if a.small else []
    with tempfile.TemporaryDirectory(prefix="mendel-scaling-") as folder:
        step, gradients, buffers = measure_training(a, small, folder)
        child = measure_search(a, small, folder)
        message, adding = measure_messages(a, folder)
    with open("/proc/cpuinfo") as file:
        processor = re.search(r"model name\s*: (.*)", file.read()).group(1)
    figures = {"from": f"measured {datetime.date.today()} on one thread of {processor}", "step_s": step,
               "gradient_bytes": gradients, "buffer_bytes": buffers, "message_s": message,
               "sum_bytes_per_s": adding, "child_s": child, "child_images": 5000}
    with open(a.out, "w") as file:
        file.write(json.dumps(figures, indent=1) + "\n")


# ---- calculating ----------------------------------------------------------------------------------

def training(f, ranks, network):
    """Seconds of a step: computing, sums that follow it, sums beside the backward pass, and of the
    sums what is bytes and what is messages."""
    rate, latency = network[0] * 1e9 / 8, network[1] + f["message_s"]
    whole, last = divmod(f["gradient_bytes"], PIECE)
    pieces = [PIECE] * whole + [last] * (last > 0) + [f["buffer_bytes"]]
    rounds = 2 * (ranks - 1)  # a piece is summed, then shared, each with all others in turn
    sums = [rounds * (latency + p / ranks / rate) + p / f["sum_bytes_per_s"] for p in pieces]
    agreeing = 3 * (ranks - 1) * latency
    done = 0
    for i, seconds in enumerate(sums):  # the last layers' gradients are there first
        part = min((i + 1) / (len(sums) - 1), 1)
        done = max(done, f["step_s"] * (1 - BACKWARD + BACKWARD * part)) + seconds
    return {"compute": f["step_s"], "after": f["step_s"] + sum(sums) + agreeing, "beside": done + agreeing,
            "bytes": rounds * sum(pieces) / ranks / rate, "messages": (len(sums) * rounds + 3 * (ranks - 1)) * latency,
            "adding": sum(pieces) / f["sum_bytes_per_s"]}


def searching(f, ranks, network):
    """Seconds of a batch of children: the slowest rank's, and the exchange of scores."""
    drawn = random.Random(1)  # a child that is cut short takes less; their mean is what was measured
    times = [2 * f["child_s"] * drawn.random() for _ in range(CHILDREN)]
    slowest = max(sum(times[rank::ranks]) for rank in range(ranks))
    scores = 4 * f["child_images"] * math.ceil(CHILDREN / ranks)
    exchange = (ranks - 1) * (network[1] + f["message_s"] + scores * 8 / (network[0] * 1e9))
    return {"alone": sum(times), "slowest": slowest, "exchange": exchange, "all": slowest + exchange}


def most(holds):
    """The greatest power of two, up to 4096, up to which it holds; 1: for none."""
    ranks = 1
    while ranks < 4096 and holds(2 * ranks):
        ranks *= 2
    return ranks


def training_table(f):
    lines = ["| ranks | network | step, ms | of it bytes | messages | additions | speed-up | of the ranks | "
             "beside the backward pass |",
             "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for network in NETWORKS:
        for ranks in RANKS:
            t = training(f, ranks, network)
            gain, hidden = ranks * t["compute"] / t["after"], ranks * t["compute"] / t["beside"]
            lines.append(f"| {ranks} | {network[0]} Gb/s | {1e3 * t['after']:.0f} | {1e3 * t['bytes']:.1f} | "
                         f"{1e3 * t['messages']:.1f} | {1e3 * t['adding']:.1f} | {gain:.1f} | "
                         f"{100 * gain / ranks:.0f} % | {hidden:.1f}, {100 * hidden / ranks:.0f} % |")
    return lines


def training_ends(f):
    lines = []
    for network in NETWORKS:
        t = training(f, 64, network)
        why = max(("bytes", "messages", "adding"), key=lambda part: t[part])
        name = {"bytes": "the bytes of the gradient", "messages": "the number of messages",
                "adding": "adding the vectors"}[why]
        ends = []
        for side, how in (("after", "one after another"), ("beside", "beside the backward pass")):
            well = most(lambda n: t["compute"] >= 0.8 * training(f, n, network)[side])
            ends.append(f"{how} up to {well}")
        lines.append(f"- **{network[0]} Gb/s**: {', '.join(ends)}. At 64 most of the exchange is {name} "
                     f"({1e3 * t[why]:.0f} ms).")
    return lines


def search_table(f):
    lines = ["| ranks | network | a batch, s | of it the exchange, ms | speed-up | of the ranks |",
             "| ---: | ---: | ---: | ---: | ---: | ---: |"]
    for network in NETWORKS:
        for ranks in RANKS:
            t = searching(f, ranks, network)
            gain = t["alone"] / t["all"]
            lines.append(f"| {ranks} | {network[0]} Gb/s | {t['all']:.2f} | {1e3 * t['exchange']:.1f} | {gain:.1f} | "
                         f"{100 * gain / ranks:.0f} % |")
    return lines


def page(a):
    with open(a.figures) as file:
        f = json.load(file)
    inputs = [f"From: {f['from']}. A step of 64 images takes {1e3 * f['step_s']:.0f} ms, a child "
              f"{f['child_s']:.2f} s, an exchange {1e6 * f['message_s']:.0f} us besides the network's, and a host sums "
              f"{1e-9 * f['sum_bytes_per_s']:.1f} GB/s. The gradient has {1e-6 * f['gradient_bytes']:.1f} MB."]
    parts = {"inputs": inputs, "training": training_table(f), "training-ends": training_ends(f),
             "search": search_table(f)}
    with open(PAGE) as file:
        old = new = file.read()
    for name, lines in parts.items():
        mark, end = f"<!-- {name} -->", "<!-- end -->"
        before, _, rest = new.partition(mark)
        new = before + mark + "\n" + "\n".join(lines) + "\n" + end + rest.partition(end)[2]
    if a.check:
        sys.exit(0 if new == old else "docs/scaling.md is not what bench/scaling.json gives: scaling.py page")
    with open(PAGE, "w") as file:
        file.write(new)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["measure", "page"])
    parser.add_argument("mendel", nargs="?", type=os.path.abspath, help="measure: the program, e.g. build/mendel")
    parser.add_argument("--steps", type=int, default=20, help="of an epoch")
    parser.add_argument("--children", type=int, default=48)
    parser.add_argument("--small", action="store_true", help="a small network: shows that the script works")
    parser.add_argument("--figures", default=FIGURES, help="what page reads")
    parser.add_argument("--out", default=FIGURES, help="what measure writes")
    parser.add_argument("--check", action="store_true")
    a = parser.parse_args()
    if a.command == "measure" and a.mendel is None:
        parser.error("measure needs the program")
    {"measure": measure, "page": page}[a.command](a)


if __name__ == "__main__":
    main()
