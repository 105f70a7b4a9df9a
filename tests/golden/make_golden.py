#!/usr/bin/env python3
"""Write the golden files of tests/golden/test_golden.c: PyTorch's results for fixed weights and images.

    python3 tests/golden/make_golden.py [CASE ...]

One JSON file a case, beside this script: loss and logits of a training step in float64, logits of
inference before it, halting logits, for each parameter [norm of the gradient, its product with
hash_uniform("<name>#"), first, middle and last element], the same for each running statistic after
the step, and how far PyTorch's own float32 is from its float64 over all gradients.  The cases here
and in test_golden.c have the same names and settings.
"""
import json
import os
import sys

import numpy
import torch

from network import (config, fill, fill_images, fill_labels, hash_uniform, inference, shapes,
                     training_step)

NARROW = dict(width=0.3, depth=0.5)
MAP4 = [1, 2, 2, 2, 1, 1, 1]  # a final map of 4x4: 16 tokens

CASES = {
    "baseline": (2, config()),
    "baseline_same": (3, config(**NARROW, padding="same", smoothing=0.1)),
    "hybrid_pooled": (3, config(**NARROW, kind="hybrid")),
    "hybrid_grid_mlp": (3, config(**NARROW, kind="hybrid", tokens="grid", dim=64, strides=MAP4)),
    "hybrid_grid_attention": (3, config(**NARROW, kind="hybrid", tokens="grid", mix="attention",
                                        dim=64, strides=MAP4, t=3)),
    "hybrid_n_sup": (3, config(**NARROW, kind="hybrid", dim=32, n=3, n_sup=2, stablemax=True,
                               smoothing=0.05)),
    "mlp": (4, config(kind="mlp", height=8, channels=1)),
}


def summary(name, array):
    flat = array.reshape(-1)
    product = float(flat @ hash_uniform(name + "#", flat.size))
    return [float(numpy.linalg.norm(flat)), product, float(flat[0]), float(flat[flat.size // 2]),
            float(flat[-1])]


def relative_error(gradients, exact):
    difference = sum(((gradients[n] - exact[n]) ** 2).sum() for n in exact)
    return float(numpy.sqrt(difference / sum((exact[n] ** 2).sum() for n in exact)))


def run(batch, c):
    values, images, labels = fill(c), fill_images(c, batch), fill_labels(c, batch)
    infer = inference(c, values, images)
    loss, steps, gradients, buffers = training_step(c, values, images, labels)
    single = training_step(c, values, images, labels, torch.float32)[2]
    return {
        "parameters": sum(v.size for n, v in values.items() if n in gradients),
        "loss": loss,
        "logits": [logits.reshape(-1).tolist() for logits, _ in steps],
        "q": [q.reshape(-1).tolist() for _, q in steps if q is not None],
        "infer_logits": [logits.reshape(-1).tolist() for logits in infer],
        "float32_error": relative_error(single, gradients),
        "gradients": {n: summary(n, g) for n, g in gradients.items()},
        "statistics": {n: summary(n, b) for n, b in buffers.items()
                       if shapes(c)[n][0] != "start"},
    }


def text(result):
    """JSON with one entry a line."""
    lines = []
    for key, value in result.items():
        if isinstance(value, dict):
            inner = ",\n".join(f"  {json.dumps(n)}: {json.dumps(v)}" for n, v in value.items())
            value = "{\n" + inner + "\n }" if inner else "{}"
        else:
            value = json.dumps(value)
        lines.append(f" {json.dumps(key)}: {value}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main():
    folder = os.path.dirname(os.path.abspath(__file__))
    for name in sys.argv[1:] or CASES:
        batch, c = CASES[name]
        result = run(batch, c)
        with open(os.path.join(folder, f"{name}.json"), "w") as file:
            file.write(text(result))
        print(f"{name}: {result['parameters']} parameters, loss {result['loss']:.6f}, "
              f"float32 error {result['float32_error']:.2e}")


if __name__ == "__main__":
    main()
