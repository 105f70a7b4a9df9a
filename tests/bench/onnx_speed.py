#!/usr/bin/env python3
"""An exported network in ONNX Runtime and OpenVINO beside `mendel bench --only infer`, in one run.

    python3 tests/bench/onnx_speed.py build/mendel [--threads 2] [--repeat 70] [--rounds 7] [--batches 1 64]

needs onnx, onnxruntime and openvino (PyPI); without them it ends with 77.  The baseline and the hybrid
for CIFAR-10 are made with one step of training and exported.  In each round the program and each
runtime run in turn, so that what else the machine does meets all of them.  Printed is for each
model and batch the median of the rounds' medians, in milliseconds, with the least and the greatest,
and the ratio to Mendel's.  Figures count only on a machine that does nothing else.
"""
import argparse
import os
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "onnx"))
try:
    import check_onnx
    import numpy
    import onnxruntime
    import openvino
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)
from onnx_peer import line_of

MODELS = {"baseline": "efficientnet_lite0", "hybrid": "hybrid"}


def with_onnxruntime(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})


def with_openvino(path, threads):
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads,
                "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    return lambda images: request.infer({"images": images})


RUNTIMES = {"ONNX Runtime": with_onnxruntime, "OpenVINO": with_openvino}


def median_of(run, images, repeat):
    for _ in range(10):
        run(images)
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        run(images)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def compare(a, model, path, batch):
    images = numpy.random.default_rng(0).standard_normal((batch, 3, 32, 32), numpy.float32)
    program = [a.mendel, "bench", "--json", "--only", "infer", "--model", model, "--batch",
               str(batch), "--threads", str(a.threads), "--repeat", str(a.repeat)]
    runs = {name: start(path, a.threads) for name, start in RUNTIMES.items()}
    times = {"mendel": [], **{name: [] for name in runs}}
    for _ in range(a.rounds):
        times["mendel"].append(line_of(program, batch)["median_s"])
        for name, run in runs.items():
            times[name].append(median_of(run, images, a.repeat))
    ours = statistics.median(times["mendel"])
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"| {model} | {batch} | {name} | {1e3 * middle:.2f} ({1e3 * min(values):.2f} to "
              f"{1e3 * max(values):.2f}) | {middle / ours:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mendel")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=70)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64])
    a = parser.parse_args()
    a.mendel = os.path.abspath(a.mendel)
    with tempfile.TemporaryDirectory() as folder:
        check_onnx.make_images(folder)
        program = check_onnx.Program(a.mendel, str(a.threads), folder)
        print("| model | batch | runtime | ms | to mendel |\n| --- | --- | --- | --- | --- |")
        for model, kind in MODELS.items():
            checkpoint = program.train(os.path.join(folder, model), [f"model.kind={kind}"], steps=1)
            path = os.path.join(folder, model + ".onnx")
            program.export(checkpoint, path)
            for batch in a.batches:
                compare(a, model, path, batch)
    print(f"ONNX Runtime {onnxruntime.__version__}, OpenVINO {openvino.__version__}, {a.threads} threads, "
          f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
