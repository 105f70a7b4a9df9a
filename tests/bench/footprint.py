#!/usr/bin/env python3
"""What a first prediction takes beside other libraries: what is installed, time, memory.

    python3 tests/bench/footprint.py PREDICT CHECKPOINT [--rounds 5] [--python PYTHON ...]

PREDICT is examples/predict.c, compiled; CHECKPOINT an EfficientNet-Lite0 for 32x32 images that
Mendel wrote.  Each PYTHON (default: this one) runs what it has: PyTorch on the network of
tests/golden/network.py, and ONNX Runtime on `mendel export` of the checkpoint (--mendel PROGRAM).
One image, as a user's first program would have it.  Prints a line for each: the packages and MiB
that `pip install` of it puts there, the median seconds from the start of the process to its end,
and the most memory that the process had.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))

INSTALLED = """
import importlib.metadata as metadata, json, os, re, sys
def collect(name, found):
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in found:
        return
    try:
        found[key] = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return
    for text in found[key].requires or []:
        try:
            from packaging.requirements import Requirement
            asked = Requirement(text)
        except ImportError:
            from pip._vendor.packaging.requirements import Requirement
            asked = Requirement(text)
        if asked.marker is None or asked.marker.evaluate({"extra": ""}):
            collect(asked.name, found)
found = {}
collect(sys.argv[1], found)
paths = {os.fspath(file.locate()) for d in found.values() for file in d.files or []}
print(json.dumps([metadata.version(sys.argv[1]), len(found),
                  sum(os.path.getsize(path) for path in paths if os.path.isfile(path))]))
"""
TORCH = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from network import Net, config, read_safetensors
values = read_safetensors(sys.argv[2])
p = {name: torch.tensor(value, dtype=torch.float32) for name, value in values.items()}
with torch.no_grad():
    print(Net(config(kind="efficientnet_lite0"), p, False).forward(torch.zeros(1, 3, 32, 32))[0][0])
"""
ONNX = """
import sys
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
print(session.run(None, {"images": numpy.zeros((1, 3, 32, 32), numpy.float32)})[0].shape)
"""


def run(command, image):
    """Seconds and the most memory (bytes) of a process, which must end well."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    try:
        process.stdin.write(image)
        process.stdin.close()
    except BrokenPipeError:
        pass
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command[0]}: {errors.decode(errors='replace')[-500:]}")
    return time.monotonic() - begin, usage.ru_maxrss * 1024


def line(name, installed, command, image, rounds):
    results = [run(command, image) for _ in range(rounds + 1)][1:]  # the first reads the disk
    seconds = statistics.median(r[0] for r in results)
    memory = max(r[1] for r in results)
    print(f"{name:28} {installed:28} {seconds:7.2f} s {memory / 2**20:7.0f} MiB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("predict")
    parser.add_argument("checkpoint")
    parser.add_argument("--mendel", default="build/mendel")
    parser.add_argument("--python", action="append")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    image = bytes(3072)
    line("mendel (examples/predict.c)", "", [given.predict, given.checkpoint], image, given.rounds)
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "net.onnx")
        subprocess.run([given.mendel, "export", given.checkpoint, "-o", file], check=True,
                       stdout=subprocess.DEVNULL)
        for python in given.python or [sys.executable]:
            golden = os.path.join(HERE, "../golden")
            for package, program, arguments in (("torch", TORCH, [golden, given.checkpoint]),
                                                ("onnxruntime", ONNX, [file])):
                found = subprocess.run([python, "-c", INSTALLED, package], capture_output=True)
                if found.returncode != 0:
                    continue
                version, packages, size = json.loads(found.stdout)
                # Debian's packages do not say what they hold.
                installed = f"{packages} packages, {size / 2**20:.0f} MiB" if size > 2**20 else ""
                line(f"{package} {version}", installed, [python, "-c", program, *arguments], b"",
                     given.rounds)


if __name__ == "__main__":
    main()
