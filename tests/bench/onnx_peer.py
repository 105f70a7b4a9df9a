#!/usr/bin/env python3
"""ONNX Runtime on the same network and the same work as `mendel bench --only infer`.

    python3 tests/bench/onnx_peer.py export FILE.onnx [--model baseline|hybrid] [--batch 1]
    python3 tests/bench/onnx_peer.py run FILE.onnx [--threads 2] [--repeat 70]
    python3 tests/bench/onnx_peer.py compare FILE.onnx --mendel build/mendel [--rounds 7]

`export` needs PyTorch (Debian: python3-torch) and writes the network of tests/golden/network.py with
one fixed batch size.  `run` needs onnxruntime (PyPI) and prints one JSON line with the median time of
a forward pass in float32.  `compare` runs the program and ONNX Runtime in turn, several rounds, so
that what else the machine does meets both, and prints the medians, their ratio, and the least and
the greatest ratio of a round.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time


def export(a):
    import torch
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import torch_peer
    c = torch_peer.config(kind="hybrid" if a.model == "hybrid" else "efficientnet_lite0")

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.names = {}
            for name, tensor in torch_peer.parameters(c, "cpu", "nchw").items():
                self.names[name] = name.replace(".", "_")
                self.register_buffer(self.names[name], tensor.detach())

        def forward(self, images):
            values = {name: getattr(self, buffer) for name, buffer in self.names.items()}
            return torch_peer.Peer(c, values, False).forward(images)[-1][0]

    images = torch.randn(a.batch, 3, 32, 32)
    torch.onnx.export(Module().eval(), (images,), a.file, opset_version=13, do_constant_folding=True,
                      input_names=["images"], output_names=["logits"])
    print(f"{a.file}: {a.model}, batch {a.batch}, {os.path.getsize(a.file)} bytes")


def run(a):
    import numpy
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = a.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(a.file, options, providers=["CPUExecutionProvider"])
    images = session.get_inputs()[0]
    feed = {images.name: numpy.random.default_rng(0).standard_normal(images.shape, numpy.float32)}
    for _ in range(10):
        session.run(None, feed)
    times = []
    for _ in range(a.repeat):
        start = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    print(json.dumps({"peer": "onnxruntime " + onnxruntime.__version__, "batch": images.shape[0],
                      "threads": a.threads, "median_s": statistics.median(times)}))


def line_of(command, batch=None):
    """The line of a measurement; `mendel bench --only infer` has one for a single image, too."""
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [json.loads(line) for line in output.splitlines()]
    return next(line for line in lines if "median_s" in line and batch in (None, line["batch"]))


def compare(a):
    threads, repeat = str(a.threads), str(a.repeat)
    ours, theirs = [], []
    peer = [sys.executable, os.path.abspath(__file__), "run", a.file, "--threads", threads,
            "--repeat", repeat]
    batch = line_of(peer[:-1] + ["1"])["batch"]
    program = [a.mendel, "bench", "--json", "--only", "infer", "--model", a.model, "--batch",
               str(batch), "--threads", threads, "--repeat", repeat]
    for _ in range(a.rounds):
        ours.append(line_of(program, batch)["median_s"])
        theirs.append(line_of(peer)["median_s"])
    ratios = [y / x for x, y in zip(ours, theirs)]
    x, y = statistics.median(ours), statistics.median(theirs)
    print(f"{a.model}, batch {batch}, {threads} threads: mendel {1e3 * x:.2f} ms, ONNX Runtime "
          f"{1e3 * y:.2f} ms, ratio {y / x:.2f} ({min(ratios):.2f} to {max(ratios):.2f} over "
          f"{a.rounds} rounds)")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=["export", "run", "compare"])
    parser.add_argument("file", help="the network as ONNX")
    parser.add_argument("--model", choices=["baseline", "hybrid"], default="baseline")
    parser.add_argument("--batch", type=int, default=1, help="export: images at once")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=70)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mendel", default="build/mendel")
    a = parser.parse_args()
    {"export": export, "run": run, "compare": compare}[a.work](a)


if __name__ == "__main__":
    main()
