#!/usr/bin/env python3
"""Compare a built mendel with PyTorch on random weights that were made here.

    python3 tests/golden/compare_live.py build/mendel [--seeds 3] [--images 20] [--kinds ...]

For each kind of network and seed: weights as a safetensors file with timm's names and no metadata,
random images in CIFAR-10's binary form; then `mendel train` for one step of plain SGD, whose change
of the weights is the gradient, and `mendel eval --predictions`.  Printed and judged:

  reference in float64 against PyTorch in float64: gradients (relative norm over all) and logits
  within 1e-6; cpu in float32: gradients no further from float64 than three times PyTorch's own
  float32 is, in the median over the seeds (single seeds may differ by a value at a kink of ReLU6,
  which either side may fall on), logits within 1e-3.

Exit status 1 where one of these does not hold.
"""
import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile

import numpy
import torch

from make_golden import relative_error
from network import (config, inference, is_buffer, read_safetensors, shapes, training_step,
                     write_safetensors)

KINDS = {
    "efficientnet_lite0": {},
    "efficientnet_lite0 same": dict(padding="same"),
    "hybrid": dict(kind="hybrid"),
    "hybrid grid": dict(kind="hybrid", tokens="grid", strides=[1, 2, 2, 2, 1, 1, 1]),
    "hybrid attention": dict(kind="hybrid", tokens="grid", mix="attention",
                             strides=[1, 2, 2, 2, 1, 1, 1]),
}
MEAN = numpy.array([0.4914, 0.4822, 0.4465]).reshape(3, 1, 1)
STD = numpy.array([0.2470, 0.2435, 0.2616]).reshape(3, 1, 1)


def random_weights(c, rng):
    """Drawn as a fresh network is, with BatchNorm parameters that are not at rest."""
    values = {}
    for name, (role, shape) in shapes(c).items():
        if role == "matrix" and len(shape) == 4:
            outputs = 1 if shape[1] == 1 else shape[0]  # depthwise: of each group
            values[name] = rng.normal(0, numpy.sqrt(2 / (outputs * shape[2] * shape[3])), shape)
        elif role == "matrix":
            values[name] = rng.normal(0, 1 / numpy.sqrt(shape[1]), shape)
        elif role in ("gamma", "running_var"):
            values[name] = rng.uniform(0.7, 1.3, shape)
        else:
            values[name] = rng.normal(0, 1.0 if role == "start" else 0.1, shape)
    return {n: v.astype(numpy.float32) for n, v in values.items()}


def write_cifar(folder, images, labels):
    """The same images for training (in five files) and as the test set."""
    records = [bytes([int(l)]) + i.astype(numpy.uint8).tobytes() for i, l in zip(images, labels)]
    part = -(-len(records) // 5)
    for f in range(5):
        with open(os.path.join(folder, f"data_batch_{f + 1}.bin"), "wb") as file:
            file.write(b"".join(records[f * part:(f + 1) * part]))
    with open(os.path.join(folder, "test_batch.bin"), "wb") as file:
        file.write(b"".join(records))


def mendel(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join([program, *arguments])}\nexit status {done.returncode}: {done.stderr}")


def settings(c, **more):
    pairs = {"model.kind": c["kind"], "model.padding": c["padding"],
             "model.strides": f"[{', '.join(map(str, c['strides']))}]",
             "model.drop_connect": 0, "model.dropout": 0, "trm.dim": c["dim"], "trm.n": c["n"],
             "trm.t": c["t"], "trm.tokens": c["tokens"], "trm.mix": c["mix"], **more}
    return [text for key, value in pairs.items() for text in ("--set", f"{key}={value}")]


def one_step(program, c, work, weights, images, backend, precision, rate):
    """Gradients by the change of the weights."""
    out = os.path.join(work, f"out-{backend}")
    mendel(program, "train", "--out", out, "--backend", backend, *settings(
        c, **{"data.source": f"cifar10:{work}", "data.augment": "none", "data.validation_fraction": 0,
              "train.init": weights, "train.batch": images, "train.max_steps": 1,
              "train.label_smoothing": 0, "train.clip": 0, "train.ema": 0, "optim.kind": "sgd",
              "optim.lr": rate, "optim.momentum": 0, "optim.nesterov": "false",
              "optim.weight_decay": 0, "schedule.kind": "constant", "schedule.warmup": 0,
              "run.precision": precision}))
    before = read_safetensors(weights)
    after = read_safetensors(os.path.join(out, "final.safetensors"))
    return {n: (before[n].astype(float) - after[n].astype(float)) / rate
            for n, (role, _) in shapes(c).items() if not is_buffer(role)}


def logits_of(program, c, work, weights, backend, precision):
    path = os.path.join(work, "predictions.csv")
    mendel(program, "eval", weights, "--data", f"cifar10:{work}", "--predictions", path,
           "--backend", backend, *settings(c, **{"run.precision": precision}))
    with open(path) as file:
        rows = sorted(csv.reader(list(file)[1:]), key=lambda row: int(row[0]))
    return numpy.array([[float(x) for x in row[3:]] for row in rows])


def compare(program, kind, seed, count, work):
    c, rng = config(**KINDS[kind]), numpy.random.default_rng(seed)
    raw, labels = rng.integers(0, 256, (count, 3, 32, 32)), rng.integers(0, 10, count)
    write_cifar(work, raw, labels)
    values = random_weights(c, rng)
    weights = os.path.join(work, "weights.safetensors")
    write_safetensors(weights, values)
    images = (raw / 255 - MEAN) / STD
    exact = training_step(c, values, images, labels)[2]
    single = training_step(c, values, images, labels, torch.float32)[2]
    logits = inference(c, values, images)[-1]
    got64 = one_step(program, c, work, weights, count, "reference", "float64", 1)
    # A large rate, so that storing the new weights in float32 hides nothing of the gradient.
    got32 = one_step(program, c, work, weights, count, "cpu", "float32", 1000)
    return dict(
        gradients64=relative_error(got64, exact), gradients32=relative_error(got32, exact),
        pytorch32=relative_error(single, exact),
        logits64=abs(logits_of(program, c, work, weights, "reference", "float64") - logits).max(),
        logits32=abs(logits_of(program, c, work, weights, "cpu", "float32") - logits).max())


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mendel")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    a = parser.parse_args()
    good = True
    for kind in a.kinds:
        results = []
        for seed in range(a.seeds):
            with tempfile.TemporaryDirectory() as work:
                r = compare(os.path.abspath(a.mendel), kind, seed, a.images, work)
            results.append(r)
            print(f"{kind}, seed {seed}: " + ", ".join(f"{n} {v:.2e}" for n, v in r.items()),
                  flush=True)
        ratio = statistics.median(r["gradients32"] / r["pytorch32"] for r in results)
        held = (all(r["gradients64"] <= 1e-6 and r["logits64"] <= 1e-6 and r["logits32"] <= 1e-3
                    for r in results) and ratio <= 3)
        print(f"{kind}: {'holds' if held else 'DOES NOT HOLD'}; float32 error / PyTorch's: "
              f"{ratio:.2f} (median)", flush=True)
        good = good and held
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
