#!/usr/bin/env python3
"""Processor time of a training step: Mendel against PyTorch, one thread, batch 64, in turn.

    python3 tests/bench/cpu_time.py build/mendel [--python /usr/bin/python3] [--rounds 3]

For a machine that does other work, too, where the time on the clock says nothing: a run of many steps
less a run of few, in user and system time of the whole process (getrusage).  Prints the medians in
milliseconds; PyTorch's is the faster of its two memory layouts.  On a quiet machine use compare.py.
"""
import argparse
import os
import resource
import statistics
import subprocess

PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "torch_peer.py")


def spent(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def step(command, few, many):
    times = [spent(command + ["--repeat", str(repeat)]) for repeat in (few, many)]
    return 1e3 * (times[1] - times[0]) / (many - few)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mendel")
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--rounds", type=int, default=3)
    a = parser.parse_args()
    common = ["--model", "baseline", "--batch", "64", "--threads", "1"]
    ours = [a.mendel, "bench", "--json", "--only", "train"] + common
    layouts = {layout: [a.python, PEER, "--work", "train", "--layout", layout] + common
               for layout in ("nhwc", "nchw")}
    times = {name: [] for name in ["mendel", *layouts]}
    for _ in range(a.rounds):
        times["mendel"].append(step(ours, 2, 10))
        for layout, command in layouts.items():
            times[layout].append(step(command, 1, 5))
    median = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(f"{name}: {median[name]:.0f} ms a step ({', '.join(f'{v:.0f}' for v in values)})")
    print(f"ratio {min(median[name] for name in layouts) / median['mendel']:.2f}")


if __name__ == "__main__":
    main()
