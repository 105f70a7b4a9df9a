#!/usr/bin/env python3
"""Mendel against PyTorch on this machine: both run in turn, several rounds, one table.

    python3 tests/bench/compare.py build/mendel [--python /usr/bin/python3] [--rounds 3]
        [--threads 1,2] [--batches 64,16,256] [--models baseline,hybrid] [--works train,infer]
        [--repeat 7] [--device cpu|cuda --backend cpu|opencl] [--save FILE]
    python3 tests/bench/compare.py --dry FILE       (the table of saved runs; nothing is measured)

A measurement is one process of each side: `mendel bench --json`, and torch_peer.py in NHWC and in
NCHW, of which the faster by its median counts.  In every round all three run one after another, so
that what else the machine does meets all of them.  The table has the medians over the rounds in
images a second, the ratio of the two medians, the least and the greatest ratio of a single round,
and the peak resident memory of both processes (of the operating system, by wait4).

What is measured: training at the first of --batches for each of --threads, the other batches at the
last of --threads, and inference at 1 and at the first batch, also at the last of --threads.

Needs a PyTorch for --python (Debian: python3-torch); this script itself needs nothing.  Not part of
the tests: they only check with saved runs that the table is right.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "torch_peer.py")
SIDES = ("mendel", "nhwc", "nchw")


def numbers(text):
    return [int(part) for part in text.split(",")]


def measurements(a):
    """(model, work, batch, threads) of each line of the table."""
    first, last = a.batches[0], a.threads[-1]
    lines = []
    for model in a.models.split(","):
        if "train" in a.works.split(","):
            lines += [(model, "train", first, threads) for threads in a.threads]
            lines += [(model, "train", batch, last) for batch in a.batches[1:]]
        if "infer" in a.works.split(","):
            lines += [(model, "infer", batch, last) for batch in dict.fromkeys((1, first))]
    return lines


def command(a, side, model, work, batch, threads):
    common = ["--model", model, "--batch", str(batch), "--threads", str(threads), "--repeat",
              str(a.repeat)]
    if side == "mendel":
        return [a.mendel, "bench", "--json", "--only", work, "--backend", a.backend] + common
    return [a.python, PEER, "--work", work, "--layout", side, "--device", a.device] + common


def run(words):
    """(standard output, peak resident bytes) of a process that must succeed."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"exit {process.returncode}: {' '.join(words)}")
    return output, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure(a):
    """Yields one saved run after another: {"side", "round", "line", "output", "peak"}."""
    lines = measurements(a)
    for number in range(a.rounds):
        for line in lines:
            for side in SIDES:
                print(f"\rround {number + 1} of {a.rounds}: {line[0]} {line[1]} batch {line[2]}, "
                      f"{line[3]} threads, {side}      ", end="", file=sys.stderr, flush=True)
                output, peak = run(command(a, side, *line))
                yield {"side": side, "round": number, "line": list(line), "output": output,
                       "peak": peak}
    print(file=sys.stderr)


def images_per_second(saved):
    """Of the line of the output that is the one asked for."""
    model, work, batch, threads = saved["line"]
    wanted = {"model": model, "work": work, "batch": batch}
    for text in saved["output"].splitlines():
        line = json.loads(text)
        if all(line.get(key) == value for key, value in wanted.items()) and "median_s" in line:
            return batch / line["median_s"]
    raise ValueError(f"{saved['side']} said nothing of {wanted}: {saved['output']!r}")


def table(runs):
    """[(line, layout, medians of mendel and of torch, ratio, least, greatest, peaks)]"""
    by_line = {}
    for saved in runs:
        sides = by_line.setdefault(tuple(saved["line"]), {})
        rate = images_per_second(saved)
        sides.setdefault(saved["side"], {})[saved["round"]] = (rate, saved["peak"])
    rows = []
    for line, sides in by_line.items():
        def median(side):
            return statistics.median(rate for rate, _ in sides[side].values())

        def peak(side):
            return statistics.median(bytes_ for _, bytes_ in sides[side].values())
        layout = max(("nhwc", "nchw"), key=median)
        ratios = [sides["mendel"][r][0] / sides[layout][r][0] for r in sides["mendel"]]
        rows.append((line, layout, median("mendel"), median(layout),
                     median("mendel") / median(layout), min(ratios), max(ratios), peak("mendel"),
                     peak(layout)))
    return rows


def show(rows):
    print(f"{'model':9} {'work':6} {'batch':>5} {'threads':>7} {'mendel':>9} {'torch':>9} {'':6} "
          f"{'ratio':>6} {'rounds':>13} {'MiB':>7} {'torch MiB':>9}")
    for (model, work, batch, threads), layout, mendel, torch, ratio, least, most, a, b in rows:
        print(f"{model:9} {work:6} {batch:5} {threads:7} {mendel:9.1f} {torch:9.1f} ({layout}) "
              f"{ratio:6.2f} {least:6.2f}-{most:6.2f} {a / 2**20:7.0f} {b / 2**20:9.0f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mendel", nargs="?", help="the program, e.g. build/mendel")
    parser.add_argument("--python", default=sys.executable, help="one that has PyTorch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--batches", type=numbers, default=[64, 16, 256])
    parser.add_argument("--models", default="baseline,hybrid")
    parser.add_argument("--works", default="train,infer")
    parser.add_argument("--device", default="cpu", help="PyTorch's: cpu or cuda")
    parser.add_argument("--backend", default="cpu", help="Mendel's: cpu or opencl")
    parser.add_argument("--save", help="append the runs to this file")
    parser.add_argument("--dry", help="read runs that were saved instead of measuring")
    a = parser.parse_args()
    if (a.mendel is None) == (a.dry is None):
        parser.error("expected either the program or --dry FILE")
    if a.dry:
        with open(a.dry) as file:
            show(table([json.loads(text) for text in file]))
        return
    runs = []
    for saved in measure(a):
        runs.append(saved)
        if a.save:
            with open(a.save, "a") as file:
                file.write(json.dumps(saved) + "\n")
    show(table(runs))


if __name__ == "__main__":
    main()
