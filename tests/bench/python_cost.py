"""What Python costs: the speed of a training through the package against the program, and the time
of Predictor.logits for one image against the same call of C in a loop.

Both are measured in turns, and the median over the rounds is printed, with the least and the most.
usage: MENDEL_LIBRARY=build/libmendel.so PYTHONPATH=python python3 tests/bench/python_cost.py MENDEL [ROUNDS]
  MENDEL  the program of the same build"""

import ctypes
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mendel
import numpy as np
from mendel._library import library

CONFIG = {"model.width": 0.5, "train.epochs": 2, "run.threads": 1}


def by_program(program, folder):
    """Seconds of the training itself, as the result says."""
    settings = [f"--set={key}={value}" for key, value in CONFIG.items()]
    command = [program, "train", "--data", "digits", "--out", folder, "--json", *settings]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return json.loads(done.stdout)["seconds"]


def by_package(folder):
    steps = []
    result = mendel.train(
        (CONFIG, {"train.metrics_every": 1}),
        "digits",
        out=folder,
        on_step=steps.append,
        on_epoch=steps.append,
    )
    assert len(steps) > 2
    return result["seconds"]


def tell(name, values, unit):
    middle, least, most = statistics.median(values), min(values), max(values)
    print(f"{name}: {middle:.3f} ({least:.3f} to {most:.3f}) {unit}", flush=True)


def training(program, rounds):
    ratios = []
    for i in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            # The one that is first in this round is second in the next.
            if i % 2 == 0:
                own, other = by_package(folder + "/a"), by_program(program, folder + "/b")
            else:
                other, own = by_program(program, folder + "/b"), by_package(folder + "/a")
            same = [Path(folder, name, "final.safetensors").read_bytes() for name in "ab"]
            assert same[0] == same[1]
            ratios.append(other / own)
            print(f"  round {i + 1}: package {own:.2f} s, program {other:.2f} s", flush=True)
    tell("training, speed of the package over the program's", ratios, "(wanted: 0.97)")


def prediction(rounds, calls=2000):
    """One image of 8x8 through a small MLP, where the call itself weighs most."""
    differences, package, plain = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/mlp.safetensors"
        small = {"model.kind": "mlp", "data.size": "native", "train.epochs": 1}
        mendel.train(small, "digits", checkpoint=path)
        predictor = mendel.Predictor(path, threads=1, batch=1)
    x = np.zeros([1, 8, 8, 1], np.uint8)
    out = np.empty([1, 10], np.float32)
    # The arguments are made once, so that this is nearly the C call alone.
    handle, one = predictor._pointer, ctypes.c_size_t(1)
    pixels, logits = ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(out.ctypes.data)
    run = library.mdl_predictor_run
    for _ in range(rounds):
        begun = time.perf_counter()
        for _ in range(calls):
            run(handle, pixels, one, logits)
        between = time.perf_counter()
        for _ in range(calls):
            predictor.logits(x)
        ended = time.perf_counter()
        plain.append(1e6 * (between - begun) / calls)
        package.append(1e6 * (ended - between) / calls)
        differences.append(package[-1] - plain[-1])
    tell("prediction, one image by the C call", plain, "microseconds")
    tell("prediction, one image by Predictor.logits", package, "microseconds")
    tell("prediction, what Python adds", differences, "microseconds (wanted: 30)")


if __name__ == "__main__":
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    prediction(3 * rounds)
    training(sys.argv[1], rounds)
