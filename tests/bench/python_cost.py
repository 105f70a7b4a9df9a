"""What Python costs: the speed of a training through the package against the program, and the time
of Predictor.logits for one image against the same call of C in a loop.

Both are measured in turns, and the median over the rounds is printed, with the least and the most.
usage: MENDEL_LIBRARY=build/libmendel.so PYTHONPATH=python python3 tests/bench/python_cost.py MENDEL [ROUNDS]
  MENDEL  the program of the same build"""

import ctypes
import json
import resource
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


def measured(who, work):
    """Seconds of the training, as its result says, and of the processor, as the system counts."""
    before = resource.getrusage(who)
    seconds = work()["seconds"]
    after = resource.getrusage(who)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return np.array([seconds, busy])


def by_program(program, folder):
    settings = [f"--set={key}={value}" for key, value in CONFIG.items()]
    command = [program, "train", "--data", "digits", "--out", folder, "--json", *settings]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return json.loads(done.stdout)


def by_package(folder):
    told = []
    tell = {"on_step": told.append, "on_epoch": told.append}
    result = mendel.train(CONFIG, "digits", out=folder, **tell)
    assert len(told) >= CONFIG["train.epochs"]
    return result


def tell(name, values, unit):
    middle, least, most = statistics.median(values), min(values), max(values)
    print(f"{name}: {middle:.3f} ({least:.3f} to {most:.3f}) {unit}", flush=True)


def training(program, rounds):
    ratios = []
    for i in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            turns = [
                (resource.RUSAGE_SELF, lambda: by_package(folder + "/0")),
                (resource.RUSAGE_CHILDREN, lambda: by_program(program, folder + "/1")),
            ]
            times = [None, None]
            for side in (0, 1) if i % 2 == 0 else (1, 0):
                times[side] = measured(*turns[side])
            same = [Path(folder, name, "final.safetensors").read_bytes() for name in "01"]
            assert same[0] == same[1]
        ratios.append(times[1] / times[0])
        print(f"  round {i + 1}: package {times[0].round(2)} s, program {times[1].round(2)} s")
    for name, values in zip(("clock", "processor"), zip(*ratios)):
        tell(
            f"training, speed of the package over the program's by {name}", values, "(wanted: 0.97)"
        )


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
